import t from "tap";
import { VirtualClock } from "#runtime/actor";
import type { CallOutcome, CallStart } from "#runtime/cluster";
import type { ErrorCode } from "#runtime/errors";
import { MULAW_8K } from "#runtime/media";
import type { JournalEvent } from "#actors/journal";
import { VoiceActivity, phrasesFor } from "#actors/speech";
import { tenantSchema } from "#actors/tenants";
import { TEST_TENANT } from "./call.fixture.js";
import { JournalWriter } from "./journal-writer.js";
import { Listener } from "./listener.js";
import type { MessageFile } from "./message-files.js";
import { MessageOffer } from "./message-offer.js";
import { SttFeed } from "./stt-feed.js";
import type { CachedSpeech } from "./voice-cache.js";

const { messageOffer, apology } = phrasesFor("en");
const FRAME = new Uint8Array(160);

/** `hasRoom`: for audio; `isCached`: what is to be said needs no voice. */
function lineWith({ hasRoom = true, isCached = false } = {}) {
  const clock = new VirtualClock();
  const said: string[] = [];
  const ends: CallOutcome[] = [];
  const events: JournalEvent[] = [];
  const bytes = { recogniser: 0, file: 0 };
  const settled = { heard: () => {}, unsayable: () => {}, isDiscarded: false };
  const file: MessageFile = {
    name: "messages/test/1.wav",
    hasFailed: false,
    isKept: true,
    write: (audio) => void (bytes.file += audio.length),
    keep: () => {},
    discard: () => void (settled.isDiscarded = true),
  };
  const stt = {
    write: (audio: Uint8Array) => void (bytes.recogniser += audio.length),
    flush: () => {},
    nudge: () => {},
  };
  const feed = new SttFeed({ ...stt, finalize: () => {}, close: () => {} }, MULAW_8K);
  const cached: CachedSpeech = { text: messageOffer, audio: FRAME, words: [] };
  const format = MULAW_8K;
  const offer = new MessageOffer({
    clock,
    stt,
    feed,
    turns: {
      close: () => void said.push("(closed)"),
      sayLast: (phrases, _cut, after, onFailed?: () => void) => {
        said.push(phrases.map((phrase) => (typeof phrase === "string" ? phrase : phrase.text)).join(" "));
        settled.heard = after;
        settled.unsayable = onFailed ?? after;
      },
    },
    listener: new Listener(),
    vad: new VoiceActivity(format),
    journal: new JournalWriter("call", 1, 0, clock, (event) => events.push(event) > 0),
    guard: (body) => body(),
    leave: (words) => void said.push(`${words} (the end)`),
    hangUp: (outcome) => void ends.push(outcome),
    start: { callId: "call", epoch: 1, format } as CallStart,
    tenant: tenantSchema.parse(TEST_TENANT),
    tts: { name: "tts" },
    ttsRequest: { callId: "call", model: "m", voice: "v", language: "en", format },
    cache: { get: () => (isCached ? cached : null) },
    messages: { open: () => (hasRoom ? file : null) },
    counters: { messageTaken: () => {} },
  });
  t.teardown(() => offer.close());
  return { offer, said, ends, events, bytes, settled, feed };
}

void t.test("it is offered where it can be said, and something of it be kept", async (t) => {
  const cases: readonly [ErrorCode, Parameters<typeof lineWith>[0], boolean][] = [
    ["LLM_CONNECT_FAILED", {}, true],
    ["LLM_CONNECT_FAILED", { hasRoom: false }, true], // the recogniser writes it down
    ["TTS_CONNECT_FAILED", { isCached: true }, true],
    ["TTS_CONNECT_FAILED", {}, false],
    ["STT_CONNECT_FAILED", {}, true], // as audio
    ["STT_CONNECT_FAILED", { hasRoom: false }, false],
  ];
  for (const [code, line, isMade] of cases) {
    const { offer, said, events, settled } = lineWith(line);
    if (code.startsWith("STT_")) offer.sttLost();
    offer.make(code);
    const what = `${code} ${JSON.stringify(line)}`;
    t.equal(offer.isMade, isMade, what);
    t.same(said, [isMade ? messageOffer : `${apology.providerDown} (the end)`], what);
    t.equal(events.length, isMade ? 1 : 0, what);
    if (!isMade) t.equal(settled.isDiscarded, line?.hasRoom !== false, `${what}: no empty file stays`);
  }
});

void t.test("the journal names the failure, and the audio that may come of it", async (t) => {
  for (const hasRoom of [true, false]) {
    const { offer, events } = lineWith({ hasRoom });
    offer.make("LLM_TIMEOUT");
    const audioFile = hasRoom ? "messages/test/1.wav" : null;
    t.match(events[0], { kind: "messageOffered", code: "LLM_TIMEOUT", audioFile });
  }
});

void t.test("once it was heard the leg's audio is the message's, and still the recogniser's", async (t) => {
  const { offer, bytes, settled, feed } = lineWith();
  feed.push(FRAME, FRAME.length, false);
  offer.make("LLM_TIMEOUT");
  feed.push(FRAME, FRAME.length, false);
  t.same(bytes, { recogniser: 320, file: 0 }, "what comes with the offer is its echo");
  settled.heard();
  feed.push(FRAME, FRAME.length, false);
  t.same(bytes, { recogniser: 480, file: 160 });
});

void t.test("an offer that cannot be said after all ends the call, for the first failure", async (t) => {
  const { offer, ends, settled } = lineWith();
  offer.make("LLM_TIMEOUT");
  settled.unsayable();
  t.same(ends, [{ kind: "providerFailed", code: "LLM_TIMEOUT" }]);
});

void t.test("another owner says the rest of the offer, or listens where all of it was heard", async (t) => {
  const rest = lineWith();
  rest.offer.resume("LLM_TIMEOUT", ["after the tone."], false);
  t.same(rest.said, ["after the tone."]);

  const heard = lineWith();
  heard.offer.resume("LLM_TIMEOUT", [], false);
  t.same(heard.said, ["(closed)"]);
  heard.feed.push(FRAME, FRAME.length, false);
  t.equal(heard.bytes.file, 160, "from the first frame on");
  for (const { offer } of [rest, heard]) t.ok(offer.isMade);
});

/**
 * A kind of provider is gone. The call once ended with an apology; what the caller had wanted to say was lost.
 */
import { mkdtempSync, readFileSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { LumentraError } from "#runtime/errors";
import { LegEnd, WAV_HEADER_BYTES } from "#runtime/media";
import { phrasesFor } from "#actors/speech";
import type { TtsProvider } from "#actors/providers";
import { CallFixture, type CallFixtureOptions } from "./call.fixture.js";
import { MESSAGE_PAUSE_MS, MESSAGE_SILENCE_MS } from "./message-taker.js";
import { MESSAGE_MAX_MS } from "./message-files.js";
import type { CachedSpeech, VoiceCache, VoiceKey } from "./voice-cache.js";

const { messageOffer, messagePrompt, messageThanks, silenceGoodbye } = phrasesFor("en");
const BROKEN = new LumentraError("LLM_CONNECT_FAILED", "scripted");
const OFFER_MS = messageOffer.split(" ").length * 300 + 500;

/** Everything known beforehand is cached, one second of it for each three words. */
const cached = {
  get: (_key: VoiceKey, text: string): CachedSpeech => ({
    text,
    audio: new Uint8Array(text.split(" ").length * 300 * 8).fill(0x9f),
    words: [],
  }),
} as unknown as VoiceCache;

function start(options: CallFixtureOptions = {}): CallFixture {
  const fixture = new CallFixture({
    dataDirectory: mkdtempSync(join(tmpdir(), "lumentra-messages-")),
    ...options,
  });
  fixture.run(1_500);
  return fixture;
}

void t.test("the model is gone: the message is what the recogniser wrote down", async (t) => {
  const fixture = start({ reply: () => ({ error: BROKEN }) });
  fixture.say("are you open today?", 1_000 + OFFER_MS);
  t.equal(fixture.heardByJournal().at(-1), messageOffer);
  t.same(
    fixture.facts("callerTurn").map(({ pii }) => pii.said),
    ["are you open today?"],
    "the question is kept, too",
  );
  fixture.say("this is jo on five five five", 2_000);
  fixture.say("one two three four please call me", MESSAGE_PAUSE_MS + 12_000);
  const [taken, ...more] = fixture.facts("messageTaken");
  t.same(more, []);
  t.equal(
    taken!.pii.transcript,
    "this is jo on five five five one two three four please call me",
    "a breath is no end",
  );
  t.equal(taken!.audioFile, null);
  t.equal(fixture.heardByJournal().at(-1), messageThanks);
  t.same(fixture.outcome, { kind: "providerFailed", code: "LLM_CONNECT_FAILED" });
  t.equal(fixture.crash, null);
  await fixture.messages.settled();
});

void t.test("the recogniser is gone: the message is audio on the node's disk", async (t) => {
  const dataDirectory = mkdtempSync(join(tmpdir(), "lumentra-messages-"));
  const fixture = start({ dataDirectory });
  fixture.failStt();
  fixture.run(OFFER_MS);
  fixture.callerSpeaks = true;
  fixture.run(5_000);
  fixture.callerSpeaks = false;
  fixture.run(MESSAGE_PAUSE_MS + 10_000);
  const [taken] = fixture.facts("messageTaken");
  t.equal(taken!.audioFile, "messages/test/call-1-1.wav");
  t.equal(taken!.pii.transcript, "");
  t.equal(fixture.heardByJournal().at(-1), messageThanks);
  await fixture.messages.settled();
  const wav = readFileSync(join(dataDirectory, taken!.audioFile!));
  const audioMs = (wav.length - WAV_HEADER_BYTES) / 8;
  t.ok(Math.abs(audioMs - taken!.durationMs) < 100, `${audioMs} of ${taken!.durationMs} ms`);
  t.ok(audioMs > 5_000 + MESSAGE_PAUSE_MS - 1_000);
  t.equal(wav.readUInt32LE(54), wav.length - WAV_HEADER_BYTES, "the header is complete");
});

void t.test(
  "the caller hangs up in mid-message: what he said is kept, in the journal and on disk",
  async (t) => {
    const dataDirectory = mkdtempSync(join(tmpdir(), "lumentra-messages-"));
    const fixture = start({ dataDirectory });
    fixture.failStt();
    fixture.run(OFFER_MS);
    fixture.callerSpeaks = true;
    fixture.run(2_500);
    fixture.legEnds(LegEnd.stopped);
    t.same(
      fixture.journal.slice(-2).map(({ kind }) => kind),
      ["messageTaken", "callEnded"],
    );
    await fixture.messages.settled();
    const wav = readFileSync(join(dataDirectory, fixture.facts("messageTaken")[0]!.audioFile!));
    t.ok((wav.length - WAV_HEADER_BYTES) / 8 > 2_000);
  },
);

void t.test(
  "the recogniser goes while the message is left: words so far, and the audio of all of it",
  async (t) => {
    const fixture = start({ reply: () => ({ error: BROKEN }) });
    fixture.say("are you open today?", 1_000 + OFFER_MS);
    fixture.say("this is jo", 500);
    fixture.failStt();
    fixture.callerSpeaks = true;
    fixture.run(2_000);
    fixture.callerSpeaks = false;
    fixture.run(MESSAGE_PAUSE_MS + 10_000);
    const [taken] = fixture.facts("messageTaken");
    t.equal(taken!.pii.transcript, "this is jo");
    t.not(taken!.audioFile, null);
    await fixture.messages.settled();
  },
);

void t.test("nobody speaks: asked once more, then a goodbye, and nothing is kept", async (t) => {
  const dataDirectory = mkdtempSync(join(tmpdir(), "lumentra-messages-"));
  const fixture = start({ dataDirectory });
  fixture.failStt();
  fixture.run(OFFER_MS + 2 * MESSAGE_SILENCE_MS + 15_000);
  t.same(fixture.heardByJournal().slice(-3), [messageOffer, messagePrompt, silenceGoodbye]);
  t.same(fixture.facts("messageTaken"), []);
  t.equal(fixture.outcome?.kind, "providerFailed");
  await fixture.messages.settled();
  t.same(readdirSync(join(dataDirectory, "messages/test")), []);
});

void t.test("somebody who never stops is thanked after two minutes", async (t) => {
  const fixture = start();
  fixture.failStt();
  fixture.run(OFFER_MS);
  fixture.callerSpeaks = true;
  fixture.run(MESSAGE_MAX_MS + 10_000);
  t.ok(fixture.facts("messageTaken")[0]!.durationMs < MESSAGE_MAX_MS + 1_000);
  t.equal(fixture.heardByJournal().at(-1), messageThanks);
  await fixture.messages.settled();
});

void t.test("a key ends the message", async (t) => {
  const fixture = start();
  fixture.failStt();
  fixture.run(OFFER_MS);
  fixture.callerSpeaks = true;
  fixture.run(1_000);
  fixture.callerSpeaks = false;
  fixture.digit("#");
  fixture.run(100);
  t.equal(fixture.facts("messageTaken").length, 1);
  await fixture.messages.settled();
});

void t.test("the voice is gone: cached audio offers; without any there is nothing to say", async (t) => {
  const dumb = (): TtsProvider => ({
    name: "tts",
    speak: (_request, events) => {
      const failing = fixtureClock?.setTimer(10, () =>
        events.onError(new LumentraError("TTS_CONNECT_FAILED", "scripted")),
      );
      return { push: () => {}, finish: () => {}, cancel: () => failing?.cancel() };
    },
    warm: () => Promise.resolve(),
    close: () => Promise.resolve(),
  });
  let fixtureClock: CallFixture["clock"] | null = null;
  const options: CallFixtureOptions = {
    tts: (clock) => {
      fixtureClock = clock as CallFixture["clock"];
      return dumb();
    },
  };
  const withCache = start({ ...options, cache: cached });
  withCache.say("are you open today?", 1_000 + OFFER_MS);
  withCache.say("please call jo", MESSAGE_PAUSE_MS + 10_000);
  t.equal(withCache.facts("messageTaken")[0]?.pii.transcript, "please call jo");
  t.equal(withCache.heardByJournal().at(-1), messageThanks);
  const without = start(options);
  without.run(5_000);
  t.same(without.outcome, { kind: "providerFailed", code: "TTS_CONNECT_FAILED" });
  await withCache.messages.settled();
});

void t.test("a disk that refuses: nobody is thanked for what was not kept", async (t) => {
  const fixture = start({ dataDirectory: "/dev/null" });
  fixture.failStt();
  await fixture.messages.settled();
  fixture.run(OFFER_MS);
  fixture.callerSpeaks = true;
  fixture.run(2_000);
  fixture.callerSpeaks = false;
  fixture.run(MESSAGE_PAUSE_MS + 12_000);
  t.same(fixture.facts("messageTaken"), []);
  t.equal(fixture.heardByJournal().at(-1), phrasesFor("en").apology.providerDown);
});

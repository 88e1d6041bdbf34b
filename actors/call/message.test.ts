/**
 * A kind of provider is gone. The call once ended with an apology; what the caller had wanted to say was lost.
 */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { LumentraError } from "#runtime/errors";
import { LegEnd, MULAW_8K, WAV_HEADER_BYTES } from "#runtime/media";
import { silentLogger } from "#runtime/telemetry";
import { phrasesFor } from "#actors/speech";
import type { TtsProvider } from "#actors/providers";
import { CallFixture, type CallFixtureOptions } from "./call.fixture.js";
import { MESSAGE_KEPT_WITHIN_MS, MESSAGE_PAUSE_MS, MESSAGE_SILENCE_MS } from "./message-taker.js";
import { MESSAGE_MAX_MS, MessageFiles, readMessage } from "./message-files.js";
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

const folder = mkdtempSync(join(tmpdir(), "lumentra-messages-"));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

/** A data directory of its own. */
function scratch(): string {
  return mkdtempSync(join(folder, "data-"));
}

function start(options: CallFixtureOptions = {}): CallFixture {
  const fixture = new CallFixture({
    dataDirectory: scratch(),
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
  const dataDirectory = scratch();
  const fixture = start({ dataDirectory });
  fixture.failStt();
  fixture.run(OFFER_MS);
  fixture.callerSpeaks = true;
  fixture.run(5_000);
  fixture.callerSpeaks = false;
  fixture.run(MESSAGE_PAUSE_MS + 10_000);
  const [taken] = fixture.facts("messageTaken");
  t.equal(taken!.audioFile, "messages/test/call-1-1-4.wav");
  t.equal(taken!.pii.transcript, "");
  t.equal(fixture.heardByJournal().at(-1), messageThanks);
  await fixture.messages.settled();
  const wav = readFileSync(join(dataDirectory, taken!.audioFile!));
  const audioMs = (wav.length - WAV_HEADER_BYTES) / 8;
  t.ok(Math.abs(audioMs - taken!.durationMs) < 100, `${audioMs} of ${taken!.durationMs} ms`);
  t.ok(audioMs > 5_000 + MESSAGE_PAUSE_MS - 1_000);
  t.equal(wav.readUInt32LE(54), wav.length - WAV_HEADER_BYTES, "the header is complete");
});

/** The agent broke off in the midst of a word, to say that it could not hear. */
void t.test(
  "the recogniser goes in mid-reply: the reply is heard to its end, or until the caller speaks",
  async (t) => {
    const answer = "We are open from nine to five on all days but Sunday.";
    for (const interrupts of [false, true]) {
      const fixture = start({ reply: () => ({ text: answer }) });
      fixture.say("are you open today?", 1_000);
      t.equal(fixture.facts("messageOffered").length, 0);
      fixture.failStt();
      fixture.run(300);
      t.equal(fixture.facts("messageOffered").length, 0);
      if (interrupts) {
        fixture.callerSpeaks = true;
        fixture.run(1_500);
        fixture.callerSpeaks = false;
        t.equal(fixture.facts("messageOffered").length, 1);
        t.equal(fixture.facts("bargeIn").length, 1);
      }
      fixture.run(answer.split(" ").length * 300 + OFFER_MS);
      const heard = fixture.heardByJournal();
      t.equal(heard.at(-1), messageOffer);
      if (interrupts) t.ok(answer.startsWith(heard.at(-2)!) && heard.at(-2) !== answer, heard.join(" | "));
      else t.equal(heard.at(-2), answer);
      t.equal(fixture.crash, null);
      fixture.run(2 * MESSAGE_SILENCE_MS + OFFER_MS + 10_000);
      t.same(fixture.outcome, { kind: "providerFailed", code: "STT_STREAM_BROKEN" });
      await fixture.messages.settled();
    }
  },
);

void t.test(
  "the caller hangs up in mid-message: what he said is kept, in the journal and on disk",
  async (t) => {
    const dataDirectory = scratch();
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
  const dataDirectory = scratch();
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
  fixture.run(MESSAGE_KEPT_WITHIN_MS + 100);
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

/** What had come of it was cut with the rest, within the word that was just being said. */
void t.test("the voice goes in mid-reply: what there is of the reply is heard, and no more", async (t) => {
  const said = "We are open from";
  let clock: CallFixture["clock"];
  const breaks: TtsProvider = {
    name: "tts",
    speak: (_request, events) => {
      const words = said.split(" ");
      const timed = words.map((word, at) => ({ word, startMs: at * 300, endMs: (at + 1) * 300 }));
      const timer = clock.setTimer(10, () => {
        events.onWords(timed);
        events.onAudio(new Uint8Array(words.length * 300 * 8).fill(0x9f));
        events.onError(new LumentraError("TTS_STREAM_BROKEN", "scripted"));
      });
      return { push: () => {}, finish: () => {}, cancel: () => timer.cancel() };
    },
    warm: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const fixture = start({
    cache: cached,
    reply: () => ({ text: `${said} nine to five on all days but Sunday.` }),
    tts: (given) => {
      clock = given as CallFixture["clock"];
      return breaks;
    },
  });
  fixture.say("are you open today?", 1_000);
  t.equal(fixture.facts("providerFailed").length, 1);
  t.equal(fixture.facts("messageOffered").length, 0, "it is being heard");
  fixture.run(1_500 + OFFER_MS);
  t.same(fixture.heardByJournal().slice(-2), [said, messageOffer]);
  t.match(fixture.facts("agentTurn").at(-2), { cut: "failed" });
  t.equal(fixture.crash, null);
  fixture.legEnds(LegEnd.stopped);
  await fixture.messages.settled();
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

/** Another owner goes on with the call, from its journal. */
function successor(before: CallFixture, options: CallFixtureOptions = {}): CallFixture {
  before.call.relinquish({ kind: "handedOver" });
  return new CallFixture({
    clock: before.clock,
    dataDirectory: scratch(),
    resumed: { gapMs: 100, journal: before.journal.slice(), reason: "actorCrashed" },
    ...options,
  });
}

/** The next owner once asked the model again, which was gone: a second apology, and the caller was asked anew. */
void t.test("an actor crashes in the offer: the next goes on with it and asks no model", async (t) => {
  const before = start({ reply: () => ({ error: BROKEN }) });
  before.say("are you open today?", 3_000);
  t.match(before.facts("messageOffered"), [{ code: "LLM_CONNECT_FAILED" }]);
  t.equal(before.facts("messageTaken").length, 0);
  const after = successor(before);
  after.run(OFFER_MS);
  after.say("please call jo", MESSAGE_PAUSE_MS + 12_000);
  t.equal(after.requests.length, 0);
  t.match(after.facts("messageTaken"), [{ more: false, pii: { transcript: "please call jo" } }]);
  t.equal(after.heardByJournal().at(-1), messageThanks);
  t.same(after.outcome, { kind: "providerFailed", code: "LLM_CONNECT_FAILED" });
  await Promise.all([before.messages.settled(), after.messages.settled()]);
});

void t.test("an actor crashes in mid-message: the next listens on, in silence", async (t) => {
  const half = (): CallFixture => {
    const before = start({ reply: () => ({ error: BROKEN }) });
    before.say("are you open today?", 1_000 + OFFER_MS);
    before.say("this is jo on five five five", 200);
    return before;
  };
  const before = half();
  const after = successor(before);
  t.match(before.facts("messageTaken"), [
    { more: true, pii: { transcript: "this is jo on five five five" } },
  ]);
  after.say("one two three four", MESSAGE_PAUSE_MS + 12_000);
  t.match(after.facts("messageTaken"), [{ more: false, pii: { transcript: "one two three four" } }]);
  t.same(after.heardByJournal(), [messageThanks], "he is not asked again");
  const quiet = successor(half());
  quiet.run(MESSAGE_PAUSE_MS + 12_000);
  t.same(quiet.facts("messageTaken"), [], "he had said it all");
  t.same(quiet.heardByJournal(), [messageThanks]);
  await Promise.all([before, after, quiet].map(({ messages }) => messages.settled()));
});

/** The second once began the same file anew: what the caller had said to the first was gone. */
void t.test("an actor crashes in a message that is kept as audio: both parts stay on the disk", async (t) => {
  const dataDirectory = scratch();
  const before = start({ dataDirectory });
  before.failStt();
  before.run(OFFER_MS);
  before.callerSpeaks = true;
  before.run(4_000);
  const after = successor(before, { dataDirectory, epoch: 1 });
  after.failStt();
  after.callerSpeaks = true;
  after.run(2_000);
  after.callerSpeaks = false;
  after.run(MESSAGE_PAUSE_MS + 12_000);
  await Promise.all([before, after].map(({ messages }) => messages.settled()));
  const parts = [before, after].map((call) => call.facts("messageTaken")[0]!.audioFile!);
  const bytes = parts.map((name) => readFileSync(join(dataDirectory, name)).length);
  t.not(parts[0], parts[1]);
  t.ok(bytes[0]! > 3_000 * 8, `${bytes[0]} bytes of the first`);
  t.ok(bytes[1]! > 1_500 * 8, `${bytes[1]} bytes of the second`);
  t.equal((await readMessage(dataDirectory, "call-1"))?.length, bytes[1], "the last is what is served");
});

void t.test("the journal says whether the disk has all of a message", async (t) => {
  const kept = start();
  kept.failStt();
  kept.run(OFFER_MS);
  kept.callerSpeaks = true;
  kept.run(1_000);
  kept.callerSpeaks = false;
  kept.digit("#");
  kept.run(40);
  await kept.messages.settled();
  kept.run(5_000);
  t.match(kept.facts("messageTaken"), [{ audioConfirmed: true }]);
  const hungUp = start();
  hungUp.failStt();
  hungUp.run(OFFER_MS);
  hungUp.callerSpeaks = true;
  hungUp.run(1_000);
  hungUp.legEnds(LegEnd.stopped);
  t.match(hungUp.facts("messageTaken"), [{ audioConfirmed: false }]);
  await hungUp.messages.settled();
});

void t.test("the room for messages is the node's: each shard counts what the others keep", async (t) => {
  const dataDirectory = scratch();
  const fullBytes = MESSAGE_MAX_MS * 8;
  const shards = [0, 1].map(() => new MessageFiles(dataDirectory, silentLogger, 2.5 * fullBytes));
  for (const shard of shards) await shard.start();
  const [one, two] = shards as [MessageFiles, MessageFiles];
  const kept = [one.open("t", "a", 1, 5, MULAW_8K)!, one.open("t", "b", 1, 5, MULAW_8K)!];
  await one.settled();
  t.notOk(kept.some(({ hasFailed }) => hasFailed));
  const third = two.open("t", "c", 1, 5, MULAW_8K)!;
  await two.settled();
  t.ok(third.hasFailed, "those two may grow to their full length");
  t.equal(await readMessage(dataDirectory, "c"), null, "nothing of it is left");
  kept[0]!.write(new Uint8Array(fullBytes));
  for (const file of kept) file.keep();
  await one.settled();
  t.equal((await readMessage(dataDirectory, "a"))?.length, fullBytes + WAV_HEADER_BYTES);
  for (const name of ["a-1-5.wav", "b-1-5.wav"]) rmSync(join(dataDirectory, "messages/t", name));
  const fourth = two.open("t", "d", 1, 5, MULAW_8K)!;
  await two.settled();
  t.notOk(fourth.hasFailed, "somebody has taken them away");
  fourth.discard();
  await two.settled();
  t.equal(await readMessage(dataDirectory, "../../etc/passwd"), null);
});

/** `/v1/listen` on virtual time, over a real socket: what is said when, to the millisecond. */
import t from "tap";
import { Probe } from "../probe.fixture.js";
import { AUTHORISED, silence, speech, stage, transcript } from "./speech.fixture.js";

const isFinal = (message: Readonly<Record<string, unknown>>): boolean => message["is_final"] === true;
const isSpeechFinal = (message: Readonly<Record<string, unknown>>): boolean =>
  message["speech_final"] === true;

void t.test(
  "an interim comes the interim delay after the audio with the word's end, and grows",
  async (t) => {
    const { open, hear, advance, emulators } = await stage(t);
    const probe = await open("interim_results=true&punctuate=true&extra=call_id:c1");
    const { bytes, words } = speech("Book a table");
    const firstEnd = words[0]!.endMs * 8;
    await hear(probe, bytes.subarray(0, firstEnd));
    await advance(probe, 60);
    await hear(probe, bytes.subarray(firstEnd));
    await advance(probe, 39);
    t.same(probe.ofType("Results"), []);
    await advance(probe, 1);
    t.same(probe.ofType("Results").map(transcript), ["Book"]);
    await advance(probe, 59);
    t.equal(probe.messages.length, 1);
    await advance(probe, 1);
    t.same(probe.ofType("Results").map(transcript), ["Book", "Book a table"]);
    t.match(probe.messages[1], {
      channel_index: [0, 1],
      start: 0,
      is_final: false,
      speech_final: false,
      from_finalize: false,
      channel: { alternatives: [{ words: [{ word: "book", punctuated_word: "Book" }, {}, {}] }] },
      metadata: { request_id: String, model_info: { arch: "nova-3" } },
    });
    t.match(emulators.log.stt("c1"), [
      { kind: "stt", flavour: "v1", interimCount: 2, interim: { text: "Book a table", plannedDelayMs: 100 } },
    ]);
  },
);

void t.test("the final comes the final delay after the last speech audio arrived", async (t) => {
  const { open, hear, advance, emulators, clock } = await stage(t);
  const probe = await open();
  const { bytes, durationMs } = speech("Is there parking?");
  await hear(probe, bytes);
  const arrivedAtMs = clock.nowMs();
  await advance(probe, 40);
  await hear(probe, silence(40));
  await advance(probe, 109);
  t.notOk(probe.messages.some(isFinal));
  await advance(probe, 1);
  const final = probe.messages.at(-1)!;
  t.match(final, { is_final: true, speech_final: true, start: 0, duration: (durationMs + 40) / 1000 });
  t.equal(transcript(final), "Is there parking?");
  t.match(emulators.log.stt()[0], {
    speechEndReceivedAtMs: arrivedAtMs,
    speechEndAudioMs: durationMs,
    final: { text: "Is there parking?", plannedDelayMs: 150, sentAtMs: arrivedAtMs + 150 },
  });
});

void t.test("a caller who goes on within the final delay is not cut in two", async (t) => {
  const { open, hear, advance } = await stage(t);
  const probe = await open();
  await hear(probe, speech("I would like").bytes);
  await hear(probe, silence(100));
  await advance(probe, 100);
  await hear(probe, speech("a table").bytes);
  await advance(probe, 100);
  await hear(probe, silence(100));
  await advance(probe, 50);
  t.same(probe.messages.filter(isFinal).map(transcript), ["I would like a table"]);
});

void t.test("silence is counted in audio: a stream that stalls ends no utterance", async (t) => {
  const { open, hear, advance } = await stage(t);
  const probe = await open("endpointing=100");
  await hear(probe, speech("and then").bytes);
  await advance(probe, 2_000);
  t.same(probe.messages.filter(isFinal), []);
  await hear(probe, silence(90));
  t.same(probe.messages.filter(isFinal), []);
  await hear(probe, silence(12));
  t.same(probe.messages.filter(isSpeechFinal).map(transcript), ["and then"]);
});

void t.test("endpointing=false never ends an utterance by itself", async (t) => {
  const { open, hear, advance } = await stage(t);
  const probe = await open("endpointing=false&interim_results=true");
  await hear(probe, speech("hello").bytes);
  await hear(probe, silence(3_000));
  await advance(probe, 3_000);
  t.same(probe.messages.filter(isSpeechFinal), []);
});

void t.test("without punctuate words come bare, and without interim_results no interims come", async (t) => {
  const { open, hear, advance } = await stage(t);
  const probe = await open("endpointing=10");
  await hear(probe, speech("Is there parking?").bytes);
  await hear(probe, silence(20));
  await advance(probe, 200);
  t.same(probe.ofType("Results").map(transcript), ["is there parking"]);
  t.notMatch(probe.messages[0], { channel: { alternatives: [{ words: [{ punctuated_word: String }] }] } });
});

void t.test("long speech gets finals without speech_final, which together are the utterance", async (t) => {
  const { open, hear, advance, emulators } = await stage(t);
  const probe = await open();
  const text =
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty";
  const { bytes } = speech(text);
  for (let at = 0; at < bytes.length; at += 800) {
    await hear(probe, bytes.subarray(at, at + 800));
    await advance(probe, 100);
  }
  await hear(probe, silence(20));
  await advance(probe, 150);
  const finals = probe.messages.filter(isFinal);
  t.ok(finals.length > 1);
  t.same(finals.map(isSpeechFinal), [...finals.slice(1).map(() => false), true]);
  t.equal(finals.map(transcript).filter(Boolean).join(" "), text);
  let startMs = 0;
  for (const final of finals) {
    t.equal(final["start"], startMs / 1000);
    startMs += Math.round(Number(final["duration"]) * 1000);
  }
  t.equal(emulators.log.stt()[0]?.final?.text, text);
});

void t.test("a silent stream gets an empty final now and then", async (t) => {
  const { open, hear } = await stage(t);
  const probe = await open();
  for (let second = 0; second < 11; second++) await hear(probe, silence(1_000));
  t.match(probe.messages, [
    { type: "Results", start: 0, duration: 5, is_final: true, speech_final: false },
    { type: "Results", start: 5, duration: 5, is_final: true, speech_final: false },
  ]);
  t.equal(transcript(probe.messages[0]), "");
});

void t.test("vad_events tells where speech began, and UtteranceEnd where its last word ended", async (t) => {
  const { open, hear, advance } = await stage(t);
  const probe = await open("vad_events=true&interim_results=true&utterance_end_ms=1000&endpointing=300");
  await hear(probe, silence(500));
  const { bytes, durationMs } = speech("yes");
  await hear(probe, bytes);
  t.match(probe.messages, [{ type: "SpeechStarted", channel: [0, 1], timestamp: 0.5 }]);
  await hear(probe, silence(900));
  await advance(probe, 500);
  t.same(probe.ofType("UtteranceEnd"), []);
  await hear(probe, silence(200));
  t.match(probe.ofType("UtteranceEnd"), [{ channel: [0, 1] }]);
  t.ok(Math.abs(Number(probe.ofType("UtteranceEnd")[0]!["last_word_end"]) * 1000 - 500 - durationMs) <= 2);
  await hear(probe, silence(3_000));
  t.equal(probe.ofType("UtteranceEnd").length, 1);
});

void t.test("Finalize makes what was heard final, and is not answered when there is nothing", async (t) => {
  const { open, hear, advance } = await stage(t);
  const probe = await open("endpointing=500&interim_results=true");
  probe.send({ type: "Finalize" });
  await probe.roundTrip();
  await advance(probe, 1_000);
  t.same(probe.messages, []);
  await hear(probe, speech("my number is").bytes);
  probe.send({ type: "Finalize" });
  await probe.roundTrip();
  // Not before the last word is due.
  await advance(probe, 99);
  t.same(probe.messages, []);
  await advance(probe, 1);
  t.match(probe.messages.at(-1), { is_final: true, speech_final: false, from_finalize: true });
  t.equal(transcript(probe.messages.at(-1)), "my number is");
  // The endpoint itself is still to come, and has nothing left to say.
  await hear(probe, silence(500));
  await advance(probe, 500);
  t.match(probe.messages.at(-1), { is_final: true, speech_final: true, from_finalize: false });
  t.equal(transcript(probe.messages.at(-1)), "");
});

void t.test("CloseStream brings the rest, Metadata, and a close with 1000", async (t) => {
  const { open, hear, clock } = await stage(t);
  const probe = await open("endpointing=500");
  const { bytes, durationMs } = speech("goodbye");
  await hear(probe, bytes);
  probe.send({ type: "CloseStream" });
  await probe.roundTrip();
  clock.advance(50);
  t.same(await probe.closed, { code: 1000, reason: "" });
  t.equal(transcript(probe.messages[0]), "goodbye");
  t.match(probe.messages[1], {
    type: "Metadata",
    request_id: String,
    sha256: /^[0-9a-f]{64}$/,
    duration: durationMs / 1000,
    channels: 1,
  });
});

void t.test(
  "ten seconds without a message end the stream; KeepAlive holds it, but only after audio",
  async (t) => {
    const { open, hear, clock } = await stage(t);
    const silent = await open();
    const quiet = await open();
    await hear(quiet, silence(20));
    const kept = await open();
    await hear(kept, silence(20));
    for (let second = 0; second < 10; second += 5) {
      clock.advance(4_999);
      for (const probe of [silent, kept]) probe.send({ type: "KeepAlive" });
      await kept.roundTrip();
      await silent.roundTrip();
    }
    clock.advance(5);
    t.same(await silent.closed, { code: 1011, reason: "NET-0001" });
    t.same(await quiet.closed, { code: 1011, reason: "NET-0001" });
    await kept.roundTrip();
    clock.advance(10_000);
    t.same(await kept.closed, { code: 1011, reason: "NET-0001" });
  },
);

void t.test("what is not audio ends the stream with DATA-0000", async (t) => {
  const { emulators, open } = await stage(t);
  const container = await Probe.open(`${emulators.urls.deepgram}/v1/listen?model=nova-3`, AUTHORISED);
  container.socket.send(silence(20));
  t.same(await container.closed, { code: 1008, reason: "DATA-0000" });
  for (const frame of [new Uint8Array(0), Buffer.from('{"type":"KeepAlive"}')]) {
    const probe = await open();
    probe.socket.send(frame, { binary: true });
    t.same(await probe.closed, { code: 1008, reason: "DATA-0000" });
  }
  const confused = await open();
  confused.socket.send("hello?");
  t.same(await confused.closed, { code: 1008, reason: "DATA-0000" });
  t.match(confused.messages[0], { type: "Error", variant: "UNPARSABLE_CLIENT_MESSAGE" });
});

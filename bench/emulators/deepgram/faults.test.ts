/** Every fault a stream can have, at the instant the test chose. */
import t from "tap";
import { NetworkTap } from "../network-tap.js";
import { Probe } from "../probe.fixture.js";
import { AUTHORISED, silence, speech, stage, transcript } from "./speech.fixture.js";

const INTERIMS = "interim_results=true&punctuate=true&endpointing=10";

void t.test("a close strikes when so much audio was heard, with its code and reason", async (t) => {
  const { open, hear, emulators } = await stage(t);
  emulators.deepgram.faults.arm({ kind: "close", code: 1011, reason: "NET-0000", afterAudioMs: 200 });
  const probe = await open();
  await hear(probe, silence(199));
  probe.socket.send(silence(1));
  t.same(await probe.closed, { code: 1011, reason: "NET-0000" });
});

void t.test("a drop strikes in the tick of the n-th message, and leaves no close frame", async (t) => {
  const { open, hear, clock, emulators } = await stage(t);
  emulators.deepgram.faults.arm({ kind: "drop", afterMessages: 2 });
  const probe = await open();
  await hear(probe, speech("one").bytes);
  clock.advance(100);
  await probe.next((message) => message["type"] === "Results");
  await hear(probe, speech("two three").bytes);
  clock.advance(100);
  t.same(await probe.closed, { code: 1006, reason: "" });
  t.equal(probe.messages.length, 2);
});

void t.test("only the streams a condition names are befallen, and only so many", async (t) => {
  const { open, emulators } = await stage(t);
  const armed = emulators.deepgram.faults.arm(
    { kind: "drop" },
    { count: 2, when: (stream) => stream.callId?.startsWith("bad") === true },
  );
  const good = await open(`${INTERIMS}&tag=good`);
  const bad = await open(`${INTERIMS}&tag=bad-1`);
  await bad.closed;
  t.equal(armed.remaining, 1);
  await good.roundTrip();
  armed.disarm();
  const spared = await open(`${INTERIMS}&tag=bad-2`);
  await spared.roundTrip();
  t.equal(armed.remaining, 0);
});

void t.test("a half-open stream says nothing more and is not closed", async (t) => {
  const { open, hear, advance, emulators } = await stage(t);
  const probe = await open();
  await hear(probe, silence(20));
  emulators.deepgram.live[0]!.inject({ kind: "halfOpen" });
  await hear(probe, speech("hello").bytes);
  await hear(probe, silence(500));
  await advance(probe, 9_000);
  t.same(probe.messages, []);
  t.equal(probe.socket.readyState, 1);
});

void t.test("a stalled stream brings everything at once when the stall is over", async (t) => {
  const { open, hear, advance, emulators } = await stage(t);
  const probe = await open();
  emulators.deepgram.live[0]!.inject({ kind: "stall", forMs: 2_000 });
  await hear(probe, speech("one").bytes);
  await advance(probe, 100);
  await hear(probe, speech("two").bytes);
  await advance(probe, 1_899);
  t.same(probe.messages, []);
  await advance(probe, 1);
  t.same(probe.messages.map(transcript), ["one", "one two"]);
});

void t.test("a delayed stream keeps its order", async (t) => {
  const { open, hear, advance, emulators } = await stage(t);
  const probe = await open();
  emulators.deepgram.live[0]!.inject({ kind: "delay", delayMs: 300 });
  await hear(probe, speech("one").bytes);
  await advance(probe, 100);
  await hear(probe, speech("two").bytes);
  await advance(probe, 100);
  // What follows the end of the delay does not overtake what it holds.
  emulators.deepgram.live[0]!.inject({ kind: "delay", delayMs: 0 });
  await hear(probe, silence(20));
  await advance(probe, 50);
  await advance(probe, 149);
  t.same(probe.messages, []);
  await advance(probe, 1);
  t.same(probe.messages.map(transcript), ["one"]);
  await advance(probe, 100);
  t.same(probe.messages.map(transcript), ["one", "one two", "one two"]);
});

void t.test("without speech_final only UtteranceEnd tells of the pause", async (t) => {
  const { open, hear, advance, emulators } = await stage(t);
  emulators.deepgram.faults.arm({ kind: "noSpeechFinal" });
  const probe = await open(`${INTERIMS}&utterance_end_ms=1000`);
  await hear(probe, speech("hello").bytes);
  await hear(probe, silence(200));
  await advance(probe, 200);
  await hear(probe, silence(1_000));
  t.match(probe.messages, [
    { is_final: false },
    { is_final: true, speech_final: false },
    { type: "UtteranceEnd" },
  ]);
});

void t.test("empty finals come before the real one", async (t) => {
  const { open, hear, advance, emulators } = await stage(t);
  emulators.deepgram.faults.arm({ kind: "emptyFinals", count: 2 });
  const probe = await open("endpointing=10");
  await hear(probe, speech("hello").bytes);
  await hear(probe, silence(100));
  await advance(probe, 200);
  t.same(probe.messages.map(transcript), ["", "", "hello"]);
  t.ok(probe.messages.every((message) => message["speech_final"] === true));
});

void t.test("late finals come so much later, and the log says so", async (t) => {
  const { open, hear, advance, emulators } = await stage(t);
  emulators.deepgram.faults.arm({ kind: "lateFinals", delayMs: 2_000 });
  const probe = await open("endpointing=10");
  await hear(probe, speech("hello").bytes);
  await hear(probe, silence(100));
  await advance(probe, 2_149);
  t.same(probe.messages, []);
  await advance(probe, 1);
  t.equal(probe.messages.length, 1);
  t.equal(emulators.log.stt()[0]?.final?.plannedDelayMs, 2_150);
});

void t.test("Finalize can go unanswered", async (t) => {
  const { open, hear, advance, emulators } = await stage(t);
  emulators.deepgram.faults.arm({ kind: "ignoreFinalize" });
  const probe = await open("endpointing=500");
  await hear(probe, speech("hello").bytes);
  probe.send({ type: "Finalize" });
  await probe.roundTrip();
  await advance(probe, 5_000);
  t.same(probe.messages, []);
});

void t.test("messages that are broken, unknown, or an error", async (t) => {
  const { open, emulators } = await stage(t);
  const probe = await open();
  await probe.roundTrip();
  const stream = emulators.deepgram.live[0]!;
  stream.inject({ kind: "garbage" });
  stream.inject({ kind: "unknownMessage" });
  await probe.roundTrip();
  t.match(probe.messages, [{ raw: '{"type":"Results",' }, { type: "Novelty" }]);
  stream.inject({ kind: "error", code: "INTERNAL_SERVER_ERROR", description: "went wrong" });
  t.same(await probe.closed, { code: 1011, reason: "INTERNAL_SERVER_ERROR" });
  t.match(probe.messages.at(-1), { type: "Error", description: "went wrong" });
});

void t.test("a network that freezes, comes back and breaks", async (t) => {
  const { emulators, clock } = await stage(t);
  const tap = await NetworkTap.start(emulators.urls.deepgram);
  t.teardown(() => tap.close());
  const probe = await Probe.open(
    `${tap.url}/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000&${INTERIMS}`,
    AUTHORISED,
  );
  tap.freeze();
  let ponged = false;
  const pong = probe.roundTrip().then(() => {
    ponged = true;
  });
  probe.socket.send(speech("hello").bytes);
  // Another connection shows that time passes.
  const other = await Probe.open(
    `${emulators.urls.deepgram}/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000`,
    AUTHORISED,
  );
  await other.roundTrip();
  t.notOk(ponged);
  t.equal(emulators.deepgram.live[0]!.audioMs, 0);
  tap.thaw();
  await pong;
  await probe.roundTrip();
  clock.advance(100);
  await probe.next((message) => transcript(message) === "hello");
  tap.reset();
  t.same(await probe.closed, { code: 1006, reason: "" });
  await other.close();
});

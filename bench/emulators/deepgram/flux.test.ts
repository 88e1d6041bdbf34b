/** Flux on virtual time, over a real socket: turns, their events, and what stands between them. */
import t from "tap";
import type { Message, Probe } from "../probe.fixture.js";
import { silence, speech, stage } from "./speech.fixture.js";

const turns = (probe: Probe): Message[] => probe.ofType("TurnInfo");
const events = (probe: Probe): unknown[][] =>
  turns(probe)
    .filter((message) => message["event"] !== "Update")
    .map((message) => [message["event"], message["transcript"]]);

void t.test("a turn goes through its events, and every message is counted", async (t) => {
  const { openFlux, hear, advance, emulators } = await stage(t);
  const probe = await openFlux("eager_eot_threshold=0.35&tag=c1");
  await probe.next((message) => message["type"] === "Connected");
  const { bytes, words } = speech("Book a table.");
  const cut = Math.ceil(words[0]!.endMs) * 8;
  await hear(probe, bytes.subarray(0, cut));
  await advance(probe, 100);
  t.match(turns(probe).at(-1), { event: "StartOfTurn", turn_index: 0, transcript: "Book" });
  await hear(probe, bytes.subarray(cut));
  await hear(probe, silence(80));
  // Eager at half the confidence, and so of the time, but not before the last word is due.
  await advance(probe, 99);
  t.not(turns(probe).at(-1)?.["event"], "EagerEndOfTurn");
  await advance(probe, 1);
  t.match(turns(probe).at(-1), {
    event: "EagerEndOfTurn",
    transcript: "Book a table.",
    end_of_turn_confidence: 0.35,
  });
  await advance(probe, 49);
  t.not(turns(probe).at(-1)?.["event"], "EndOfTurn");
  await advance(probe, 1);
  t.match(turns(probe).at(-1), {
    event: "EndOfTurn",
    turn_index: 0,
    transcript: "Book a table.",
    words: [{ word: "Book" }, { word: "a" }, { word: "table." }],
    end_of_turn_confidence: 0.7,
    trigger: "model",
  });
  t.same(
    probe.messages.map((message) => message["sequence_id"]),
    probe.messages.map((_message, index) => index),
  );
  t.match(emulators.log.stt("c1"), [
    { flavour: "flux", eager: { plannedDelayMs: 75 }, final: { text: "Book a table.", plannedDelayMs: 150 } },
  ]);
});

void t.test("updates come every quarter second of audio, also while nobody speaks", async (t) => {
  const { openFlux, hear } = await stage(t);
  const probe = await openFlux();
  for (let piece = 0; piece < 25; piece++) await hear(probe, silence(80));
  t.same(
    turns(probe).map((message) => [message["event"], message["audio_window_end"], message["transcript"]]),
    [0.32, 0.64, 0.96, 1.28, 1.6, 1.92].map((end) => ["Update", end, ""]),
  );
});

void t.test("a caller who goes on after an eager end takes it back", async (t) => {
  const { openFlux, hear, advance } = await stage(t);
  const probe = await openFlux("eager_eot_threshold=0.5&eot_threshold=0.9");
  await hear(probe, speech("I would like").bytes);
  await hear(probe, silence(80));
  await advance(probe, 110);
  await hear(probe, speech("a table").bytes);
  await advance(probe, 100);
  await hear(probe, silence(100));
  await advance(probe, 200);
  t.same(events(probe), [
    ["StartOfTurn", "I would like"],
    ["EagerEndOfTurn", "I would like"],
    ["TurnResumed", "I would like"],
    ["EagerEndOfTurn", "I would like a table"],
    ["EndOfTurn", "I would like a table"],
  ]);
});

void t.test("a higher threshold waits longer; one of 1.0 waits for the timeout", async (t) => {
  const { openFlux, hear, advance } = await stage(t);
  const careful = await openFlux("eot_threshold=0.9");
  const never = await openFlux("eot_threshold=1.0&eot_timeout_ms=1000");
  for (const probe of [careful, never]) {
    await hear(probe, speech("hello").bytes);
    await hear(probe, silence(200));
  }
  await advance(careful, 192);
  t.same(events(careful).at(-1), ["StartOfTurn", "hello"]);
  await advance(careful, 1);
  t.same(events(careful).at(-1), ["EndOfTurn", "hello"]);
  await advance(never, 5_000);
  t.same(events(never).at(-1), ["StartOfTurn", "hello"]);
  await hear(never, silence(820));
  t.ok(turns(never).some((turn) => turn["event"] === "EndOfTurn" && turn["trigger"] === "timeout"));
});

void t.test("without audio nothing ends", async (t) => {
  const { openFlux, hear, advance } = await stage(t);
  const probe = await openFlux("eager_eot_threshold=0.4");
  await hear(probe, speech("and then").bytes);
  await advance(probe, 10_000);
  t.same(events(probe), [["StartOfTurn", "and then"]]);
  await hear(probe, silence(85));
  t.same(events(probe).slice(1), [
    ["EagerEndOfTurn", "and then"],
    ["EndOfTurn", "and then"],
  ]);
});

void t.test(
  "ForceEndTurn ends a turn at once, with every word heard, and nothing in between turns",
  async (t) => {
    const { openFlux, hear } = await stage(t);
    const probe = await openFlux();
    probe.send({ type: "ForceEndTurn" });
    await hear(probe, speech("one two").bytes);
    t.same(events(probe), []);
    probe.send({ type: "ForceEndTurn" });
    await probe.roundTrip();
    t.same(events(probe), [
      ["StartOfTurn", "one two"],
      ["EndOfTurn", "one two"],
    ]);
    t.match(turns(probe).at(-1), { trigger: "manual", turn_index: 0 });
    await hear(probe, speech("three").bytes);
    probe.send({ type: "ForceEndTurn" });
    await probe.roundTrip();
    t.match(turns(probe).at(-1), { event: "EndOfTurn", transcript: "three", turn_index: 1 });
  },
);

void t.test("Configure is confirmed with what now holds, or refused and without effect", async (t) => {
  const { openFlux } = await stage(t);
  const probe = await openFlux("eot_threshold=0.8");
  probe.send({ type: "Configure", thresholds: { eager_eot_threshold: 0.6 }, keyterms: ["Ava"] });
  const success = await probe.next((message) => message["type"] === "ConfigureSuccess");
  t.match(success, {
    request_id: String,
    thresholds: { eot_threshold: 0.8, eager_eot_threshold: 0.6, eot_timeout_ms: 5000 },
    keyterms: ["Ava"],
  });
  for (const thresholds of [
    { eot_threshold: 2 },
    { eager_eot_threshold: 0.85 },
    { eot_timeout_ms: "soon" },
  ]) {
    probe.send({ type: "Configure", thresholds });
  }
  probe.send({ type: "Configure", keyterms: "Ava" });
  await probe.roundTrip();
  t.equal(probe.ofType("ConfigureFailure").length, 4);
  probe.send({ type: "Configure" });
  await probe.roundTrip();
  t.match(probe.ofType("ConfigureSuccess").at(-1), { thresholds: { eot_threshold: 0.8 }, keyterms: ["Ava"] });
});

void t.test("a message it does not know is a fatal error, KeepAlive included", async (t) => {
  const { openFlux } = await stage(t);
  const probe = await openFlux();
  probe.send({ type: "KeepAlive" });
  t.same(await probe.closed, { code: 1008, reason: "UNPARSABLE_CLIENT_MESSAGE" });
  t.match(probe.messages.at(-1), { type: "Error", code: "UNPARSABLE_CLIENT_MESSAGE", sequence_id: 1 });
});

void t.test("an idle stream is closed, and a ping counts as life", async (t) => {
  const { openFlux, clock } = await stage(t);
  const pinged = await openFlux();
  const idle = await openFlux();
  clock.advance(20_000);
  await pinged.roundTrip();
  clock.advance(5_000);
  t.same(await idle.closed, { code: 1011, reason: "NET-0001" });
  await pinged.roundTrip();
  clock.advance(20_000);
  await pinged.roundTrip();
});

void t.test("CloseStream ends the turn under way and closes", async (t) => {
  const { openFlux, hear } = await stage(t);
  const probe = await openFlux();
  await hear(probe, speech("bye").bytes);
  probe.send({ type: "CloseStream" });
  t.same(await probe.closed, { code: 1000, reason: "" });
  t.same(events(probe).at(-1), ["EndOfTurn", "bye"]);
});

void t.test("faults: flapping eager ends, no end of turn, an error", async (t) => {
  const { openFlux, hear, advance, emulators } = await stage(t);
  emulators.deepgram.faults.arm({ kind: "eagerFlapping", times: 2 });
  const flapping = await openFlux("eager_eot_threshold=0.5");
  await hear(flapping, speech("yes").bytes);
  await hear(flapping, silence(100));
  await advance(flapping, 200);
  t.same(
    events(flapping).map(([event]) => event),
    [
      "StartOfTurn",
      "EagerEndOfTurn",
      "TurnResumed",
      "EagerEndOfTurn",
      "TurnResumed",
      "EagerEndOfTurn",
      "EndOfTurn",
    ],
  );
  emulators.deepgram.faults.arm({ kind: "noSpeechFinal" });
  const endless = await openFlux("eot_timeout_ms=2000");
  await hear(endless, speech("yes").bytes);
  await hear(endless, silence(1_000));
  await advance(endless, 1_000);
  t.same(events(endless).at(-1), ["StartOfTurn", "yes"]);
  emulators.deepgram.live.at(-1)!.inject({ kind: "error", code: "INTERNAL_SERVER_ERROR", description: "!" });
  t.same(await endless.closed, { code: 1011, reason: "INTERNAL_SERVER_ERROR" });
});

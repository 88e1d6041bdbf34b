/** Every fault a voice can have, on its sockets and in its contexts. */
import t from "tap";
import { Probe } from "../probe.fixture.js";
import { HEADERS, audioOf, frame, heardIn, of, voiceStage } from "./voice.fixture.js";

const TEXT = "A sentence that is long enough to come in a number of chunks. ";

void t.test("handshakes: refused with any status, late, or dropped", async (t) => {
  const { emulators, url, clock } = await voiceStage(t);
  for (const status of [401, 402, 403, 429, 500] as const) {
    emulators.cartesia.socketFaults.arm({ kind: "refuse", status });
    t.equal((await Probe.refused(url, HEADERS)).status, status);
  }
  emulators.cartesia.socketFaults.arm({ kind: "dropHandshake" });
  await t.rejects(Probe.open(url, HEADERS), { code: "ECONNRESET" });
  emulators.cartesia.socketFaults.arm({ kind: "slowHandshake", delayMs: 2_000 });
  const late = Probe.open(url, HEADERS);
  const prompt = await Probe.open(url, HEADERS);
  await prompt.roundTrip();
  t.equal(emulators.cartesia.live.length, 1);
  clock.advance(2_000);
  await (await late).close();
  await prompt.close();
});

void t.test("a socket closed, dropped, or half-open, at the message the test chose", async (t) => {
  const { open, say, clock, advance, emulators } = await voiceStage(t, { ttsRealtimeFactor: 1 });
  emulators.cartesia.socketFaults.arm({ kind: "close", code: 1011, reason: "oops", afterMessages: 2 });
  const closed = await open();
  await say(closed, frame("a", TEXT));
  clock.advance(1_000);
  t.same(await closed.closed, { code: 1011, reason: "oops" });
  t.equal(closed.messages.length, 2);

  emulators.cartesia.socketFaults.arm({ kind: "drop", afterMessages: 1 });
  const dropped = await open();
  await say(dropped, frame("a", TEXT));
  clock.advance(1_000);
  t.same(await dropped.closed, { code: 1006, reason: "" });

  const halfOpen = await open();
  await say(halfOpen, frame("a", TEXT));
  await advance(halfOpen, 140);
  t.equal(halfOpen.messages.length, 2);
  emulators.cartesia.live[0]!.inject({ kind: "halfOpen" });
  await advance(halfOpen, 60_000);
  t.equal(halfOpen.messages.length, 2);
  t.equal(halfOpen.socket.readyState, 1);
});

void t.test("a socket that stalls or is late brings everything, in order", async (t) => {
  const { open, say, advance, emulators } = await voiceStage(t, { ttsRealtimeFactor: 1 });
  const probe = await open();
  await say(probe, frame("a", TEXT, { continue: false }));
  await advance(probe, 140);
  emulators.cartesia.live[0]!.inject({ kind: "stall", forMs: 1_000 });
  await advance(probe, 999);
  t.equal(probe.messages.length, 2);
  await advance(probe, 1);
  t.equal(of(probe, "a", "chunk").length, 12);
  emulators.cartesia.live[0]!.inject({ kind: "delay", delayMs: 500 });
  await advance(probe, 499);
  t.equal(of(probe, "a", "chunk").length, 12);
  await advance(probe, 30_000);
  t.equal(heardIn(audioOf(probe.messages)), TEXT.trim());
});

void t.test("errors without a context and messages that are broken", async (t) => {
  const { open, emulators } = await voiceStage(t);
  const probe = await open();
  await probe.roundTrip();
  emulators.cartesia.live[0]!.inject({ kind: "connectionError", status: 500, message: "sorry" });
  emulators.cartesia.live[0]!.inject({ kind: "garbage" });
  await probe.roundTrip();
  t.match(probe.messages, [
    { type: "error", status_code: 500, message: "sorry" },
    { raw: /^\{"type":"chunk"/ },
  ]);
  t.notOk("context_id" in probe.messages[0]!);
});

void t.test("the first audio as late as wanted", async (t) => {
  const { open, say, advance, emulators } = await voiceStage(t);
  emulators.cartesia.contextFaults.arm({ kind: "firstAudio", delayMs: 3_000 });
  const probe = await open();
  await say(probe, frame("a", TEXT), frame("b", TEXT));
  await advance(probe, 2_999);
  t.same(of(probe, "a"), []);
  t.ok(of(probe, "b").length > 0);
  await advance(probe, 1);
  t.equal(of(probe, "a", "chunk").length, 1);
  t.equal(emulators.log.tts("a")[0]?.plannedMs, 3_000);
});

void t.test("an error for one context alone, armed or at once", async (t) => {
  const { open, say, advance, emulators } = await voiceStage(t, { ttsRealtimeFactor: 1 });
  emulators.cartesia.contextFaults.arm(
    { kind: "contextError", status: 500, message: "lost", afterChunks: 2 },
    { when: ({ callId }) => callId === "bad" },
  );
  const probe = await open();
  await say(probe, frame("good/1", TEXT, { continue: false }), frame("bad/1", TEXT, { continue: false }));
  await advance(probe, 10_000);
  t.match(of(probe, "bad/1"), [
    { type: "chunk" },
    { type: "chunk" },
    { type: "error", status_code: 500, message: "lost", done: true },
  ]);
  t.equal(heardIn(audioOf(of(probe, "good/1"))), TEXT.trim());
  await say(probe, frame("later/1", TEXT));
  emulators.cartesia.live[0]!.failContext("later/1", 503, "overloaded");
  await probe.roundTrip();
  t.match(of(probe, "later/1"), [{ type: "error", status_code: 503 }]);
});

void t.test("chunks that end inside a sample, and together are whole", async (t) => {
  const { open, say, advance, emulators } = await voiceStage(t);
  emulators.cartesia.contextFaults.arm({ kind: "oddBytes" });
  const probe = await open();
  const format = { container: "raw" as const, encoding: "pcm_s16le" as const, sample_rate: 16_000 };
  await say(probe, frame("a", TEXT, { continue: false, output_format: format }));
  await advance(probe, 1_000);
  const lengths = of(probe, "a", "chunk").map(
    (message) => Buffer.from(String(message["data"]), "base64").length,
  );
  t.ok(lengths.slice(0, -1).every((length) => length % 2 === 1));
  t.equal(heardIn(audioOf(probe.messages), format), TEXT.trim());
});

void t.test("chunks still come after a cancel", async (t) => {
  const { open, say, advance, emulators } = await voiceStage(t, { ttsRealtimeFactor: 1 });
  emulators.cartesia.contextFaults.arm({ kind: "chunksAfterCancel" });
  const probe = await open();
  await say(probe, frame("a", "This piece is running. "), frame("a", "This one has not begun. "));
  await advance(probe, 140);
  await say(probe, { context_id: "a", cancel: true });
  await advance(probe, 10_000);
  t.equal(heardIn(audioOf(probe.messages)), "This piece is running.");
  t.match(probe.messages.at(-1), { type: "done" });
});

void t.test("all audio and never a done", async (t) => {
  const { open, say, advance, emulators } = await voiceStage(t);
  emulators.cartesia.contextFaults.arm({ kind: "neverDone" });
  const probe = await open();
  await say(probe, frame("a", TEXT, { continue: false }));
  await advance(probe, 60_000);
  t.equal(heardIn(audioOf(probe.messages)), TEXT.trim());
  t.same(of(probe, "a", "done"), []);
});

void t.test("a context that stalls, for a time or for good", async (t) => {
  const { open, say, advance, emulators } = await voiceStage(t);
  emulators.cartesia.contextFaults.arm({ kind: "stallContext", afterChunks: 3, forMs: 2_000 });
  const probe = await open();
  await say(probe, frame("a", TEXT, { continue: false }));
  await advance(probe, 2_000);
  t.equal(of(probe, "a", "chunk").length, 3);
  await advance(probe, 1_000);
  t.match(probe.messages.at(-1), { type: "done" });
  emulators.cartesia.contextFaults.arm({ kind: "stallContext", afterChunks: 0 });
  await say(probe, frame("b", TEXT, { continue: false }));
  await advance(probe, 60_000);
  t.same(of(probe, "b"), []);
});

void t.test("a socket that goes in the middle of one context", async (t) => {
  const { open, say, clock, emulators } = await voiceStage(t);
  emulators.cartesia.contextFaults.arm({ kind: "dropSocket", afterChunks: 2 });
  const probe = await open();
  await say(probe, frame("a", TEXT, { continue: false }));
  clock.advance(1_000);
  t.same(await probe.closed, { code: 1006, reason: "" });
  t.equal(probe.messages.length, 2);
  t.equal(emulators.cartesia.activeContexts, 0);
});

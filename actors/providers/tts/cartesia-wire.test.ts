/** What goes over the wire to Cartesia, and how its sockets are kept: the details the emulator does not look at. */
import { once } from "node:events";
import t, { type Test } from "tap";
import { MULAW_8K } from "#runtime/media";
import { advanceUntil, eventually, quietTurns } from "../compliance-kit.js";
import { type CartesiaSettings, providerDefaults } from "../settings.js";
import type { TtsRequest } from "./provider.js";
import { type VoiceWire, listen, voiceWire } from "./voice-wire.fixture.js";

/** Of virtual time, in which the server has turns enough to answer a ping. */
const PONG_STEP_MS = 1_000;

function rig(t: Test, fields: Partial<CartesiaSettings> = {}): Promise<VoiceWire> {
  return voiceWire(t, "cartesia", (url) => ({
    cartesia: { ...providerDefaults.cartesia, apiKey: "a-key", url, ...fields },
  }));
}

const request: TtsRequest = {
  callId: "call-1",
  model: "sonic-3",
  voice: "a-voice",
  language: "en",
  format: MULAW_8K,
};

function chunk(contextId: unknown, bytes: number): string {
  const data = Buffer.alloc(bytes, 1).toString("base64");
  return JSON.stringify({ type: "chunk", context_id: contextId, status_code: 206, done: false, data });
}

void t.test(
  "a reply's messages differ in transcript and continue alone, and cancel names its context",
  async (t) => {
    const { tts, messages, requests } = await rig(t);
    const reply = tts.speak(request, listen().events);
    reply.push("Sure, ");
    reply.push('you can "park" ');
    reply.push("here.");
    await eventually(() => messages.length === 1);
    reply.push(" Bye.");
    reply.finish();
    await eventually(() => messages.length === 3);
    const envelope = {
      model_id: "sonic-3",
      context_id: "call-1.1",
      voice: { mode: "id", id: "a-voice" },
      language: "en",
      output_format: { container: "raw", encoding: "pcm_mulaw", sample_rate: 8000 },
      add_timestamps: true,
      max_buffer_delay_ms: 0,
    };
    t.same(messages, [
      { ...envelope, transcript: 'Sure, you can "park" here.', continue: true },
      { ...envelope, transcript: " Bye.", continue: true },
      { ...envelope, transcript: "", continue: false },
    ]);
    reply.cancel();
    await eventually(() => messages.length === 4);
    t.same(messages[3], { context_id: "call-1.1", cancel: true });
    t.equal(requests[0]?.url, "/tts/websocket");
    t.match(requests[0]?.headers, { "x-api-key": "a-key", "cartesia-version": "2026-03-01" });
    t.equal(requests[0]?.headers["sec-websocket-extensions"], undefined, "no compression");
  },
);

void t.test("what the server holds back as half a word is asked for before it is called late", async (t) => {
  const { tts, clock, messages, sockets } = await rig(t);
  const { lines, events } = listen();
  const reply = tts.speak(request, events);
  reply.push("Sure");
  await eventually(() => messages.length === 1);
  clock.advance(1_600);
  await eventually(() => messages.length === 2);
  t.match(messages[1], { transcript: "", continue: false });
  sockets[0]!.send(chunk("call-1.1", 800));
  sockets[0]!.send(JSON.stringify({ type: "done", context_id: "call-1.1", done: true }));
  await eventually(() => lines.length === 1);
  reply.push(", why not.");
  await eventually(() => messages.length === 3);
  t.match(messages[2], { context_id: "call-1.2", transcript: ", why not." });
  reply.finish();
  sockets[0]!.send(
    JSON.stringify({
      type: "timestamps",
      context_id: "call-1.2",
      word_timestamps: { words: ["why", "not."], start: [0, 0.25], end: [0.25, 0.5] },
    }),
  );
  sockets[0]!.send(chunk("call-1.2", 4_000));
  sockets[0]!.send(JSON.stringify({ type: "done", context_id: "call-1.2", done: true }));
  await eventually(() => lines.at(-1) === "done");
  t.same(lines, ["audio 800", "why 100-350", "not. 350-600", "audio 4000", "done"]);
});

void t.test(
  "a context whose text pauses is finished before it expires, a second after its audio",
  async (t) => {
    const { tts, clock, messages, sockets } = await rig(t);
    const { lines, events } = listen();
    const reply = tts.speak(request, events);
    reply.push("One moment. ");
    await eventually(() => messages.length === 1);
    sockets[0]!.send(chunk("call-1.1", 800));
    await eventually(() => lines.length === 1);
    clock.advance(600);
    await quietTurns();
    t.equal(messages.length, 1);
    clock.advance(300);
    await eventually(() => messages.length === 2);
    t.match(messages[1], { context_id: "call-1.1", transcript: "", continue: false });
  },
);

void t.test("another socket is opened before those there are full", async (t) => {
  const { tts, sockets, messages } = await rig(t, { contextsPerSocket: 4 });
  await tts.warm(request);
  for (let count = 0; count < 2; count++) tts.speak(request, listen().events).push("Hello.");
  await eventually(() => messages.length === 2);
  t.equal(sockets.length, 1);
  tts.speak(request, listen().events).push("Hello.");
  await eventually(() => sockets.length === 2);
});

void t.test("messages nobody waits for, or nobody knows, are passed over", async (t) => {
  const { tts, messages, sockets } = await rig(t);
  const { lines, events } = listen();
  const reply = tts.speak(request, events);
  reply.push("Hello.");
  await eventually(() => messages.length === 1);
  for (const message of [
    chunk("call-9.9", 800),
    JSON.stringify({ type: "done", context_id: "call-9.9", done: true }),
    JSON.stringify({ type: "flush_done", context_id: "call-1.1", flush_id: 1 }),
    JSON.stringify({ type: "novelty", context_id: "call-1.1" }),
    JSON.stringify({ type: "novelty" }),
    JSON.stringify({
      type: "timestamps",
      context_id: "call-1.1",
      word_timestamps: { words: ["x"], start: [null] },
    }),
    JSON.stringify({ type: "timestamps", context_id: "call-1.1" }),
    chunk("call-1.1", 160),
  ]) {
    sockets[0]!.send(message);
  }
  await eventually(() => lines.length > 0);
  t.same(lines, ["audio 160"]);
});

void t.test("a chunk without audio ends its reply with TTS_PROTOCOL_ERROR", async (t) => {
  const { tts, messages, sockets } = await rig(t);
  const { lines, events } = listen();
  tts.speak(request, events).push("Hello.");
  await eventually(() => messages.length === 1);
  sockets[0]!.send(JSON.stringify({ type: "chunk", context_id: "call-1.1" }));
  await eventually(() => lines.length === 1);
  t.same(lines, ["TTS_PROTOCOL_ERROR"]);
});

void t.test("an error without a context ends every reply with what its status says", async (t) => {
  const { tts, messages, sockets } = await rig(t);
  const replies = [listen(), listen()];
  for (const { events } of replies) tts.speak(request, events).push("Hello.");
  await eventually(() => messages.length === 2);
  sockets[0]!.send(JSON.stringify({ type: "error", status_code: 429, message: "too many", done: true }));
  for (const { lines } of replies) {
    await eventually(() => lines.length === 1);
    t.same(lines, ["TTS_RATE_LIMITED"]);
  }
});

void t.test(
  "an idle socket is replaced before Cartesia closes it, and a closed one is opened again",
  async (t) => {
    const { tts, clock, sockets, openBefore } = await rig(t);
    await tts.warm(request);
    await eventually(() => sockets.length === 1);
    const closed = once(sockets[0]!, "close");
    await advanceUntil(clock, () => sockets.length === 2, PONG_STEP_MS);
    await closed;
    t.same(openBefore, [0, 1], "its successor is open before it goes");
    t.ok(clock.nowMs() - 1_000_000 >= 240_000);
    await advanceUntil(clock, () => clock.nowMs() > 1_000_000 + 250_000, PONG_STEP_MS);
    sockets[1]!.close(1000, "idle timeout");
    await eventually(() => sockets.length === 3);
  },
);

void t.test("a server that accepts and closes is dialled by the backoff, not in a loop", async (t) => {
  const { tts, clock, sockets } = await rig(t);
  const closing = setInterval(() => {
    for (const socket of sockets) socket.close(1011);
  }, 1);
  t.teardown(() => clearInterval(closing));
  await tts.warm(request);
  for (let turn = 0; turn < 10; turn++) await quietTurns();
  t.equal(sockets.length, 1);
  clock.advance(260);
  await eventually(() => sockets.length === 2);
});

void t.test("a reply that waits for a socket and is cancelled never reaches it", async (t) => {
  const { tts, messages, sockets } = await rig(t);
  const reply = tts.speak(request, listen().events);
  reply.push("Hello.");
  reply.cancel();
  const next = tts.speak(request, listen().events);
  next.push("Good morning.");
  await eventually(() => messages.length === 1);
  t.match(messages[0], { transcript: "Good morning." });
  t.equal(sockets.length, 1);
});

/** What goes over the wire to ElevenLabs, and how its sockets are kept: the details the emulator does not look at. */
import t, { type Test } from "tap";
import { MULAW_8K } from "#runtime/media";
import { advanceUntil, eventually, quietTurns } from "../compliance-kit.js";
import { type ElevenLabsSettings, providerDefaults } from "../settings.js";
import type { TtsRequest } from "./provider.js";
import { type VoiceWire, listen, voiceWire } from "./voice-wire.fixture.js";

function rig(t: Test, fields: Partial<ElevenLabsSettings> = {}): Promise<VoiceWire> {
  return voiceWire(t, "elevenlabs", (url) => ({
    elevenlabs: { ...providerDefaults.elevenlabs, apiKey: "a-key", url, ...fields },
  }));
}

const request: TtsRequest = {
  callId: "call-1",
  model: "eleven_flash_v2_5",
  voice: "a/voice",
  language: "en",
  format: MULAW_8K,
};

/** Audio with the times of characters, each 10 ms long. */
function chunk(contextId: string, bytes: number, text: string, name = "charDurationsMs"): string {
  const chars = Array.from(text);
  return JSON.stringify({
    audio: Buffer.alloc(bytes, 1).toString("base64"),
    isFinal: null,
    contextId,
    normalizedAlignment: null,
    alignment: { chars, charStartTimesMs: chars.map((_, n) => n * 10), [name]: chars.map(() => 10) },
  });
}

const final = (contextId: string): string => JSON.stringify({ isFinal: true, contextId });

void t.test("a context is opened, fed whole words with a flush, and closed after its text", async (t) => {
  const { tts, messages, requests } = await rig(t);
  const reply = tts.speak(request, listen().events);
  reply.push("Sure, ");
  await eventually(() => messages.length === 2);
  reply.push("you can park");
  await eventually(() => messages.length === 3);
  reply.push('ing "here" for 3.');
  reply.push("50.");
  reply.finish();
  await eventually(() => messages.length === 6);
  const context_id = "call-1.1";
  t.same(messages, [
    { text: " ", context_id },
    { text: "Sure, ", context_id, flush: true },
    { text: "you can ", context_id, flush: true },
    { text: 'parking "here" for ', context_id, flush: true },
    { text: "3.50. ", context_id, flush: true },
    { context_id, close_context: true },
  ]);
  const url = new URL(requests[0]!.url!, "ws://x");
  t.equal(url.pathname, "/v1/text-to-speech/a%2Fvoice/multi-stream-input");
  t.same(Object.fromEntries(url.searchParams), {
    model_id: "eleven_flash_v2_5",
    output_format: "ulaw_8000",
    inactivity_timeout: "180",
    sync_alignment: "true",
    language_code: "en",
  });
  t.match(requests[0]?.headers, { "xi-api-key": "a-key" });
  t.equal(requests[0]?.headers["sec-websocket-extensions"], undefined, "no compression");
});

void t.test("words are put together from the times of characters, across chunks and contexts", async (t) => {
  const { tts, messages, sockets } = await rig(t);
  const { lines, events } = listen();
  const reply = tts.speak(request, events);
  reply.push("Yes, we do. ");
  await eventually(() => messages.length === 2);
  const [socket] = sockets;
  socket!.send(chunk("call-1.1", 800, "Yes, w"));
  socket!.send(chunk("call-1.1", 800, "e do.", "charsDurationsMs"));
  await eventually(() => lines.length === 4);
  t.same(lines, ["audio 800", "Yes, 0-40", "audio 800", "we 50-110"], "do. may go on");
  socket!.send(JSON.stringify({ audio: "", contextId: "call-1.1", alignment: { chars: ["x"] } }));
  socket!.send(final("call-1.1")); // forgotten by the vendor: not the reply's end
  await eventually(() => lines.length === 5);
  reply.push("Bye.");
  reply.finish();
  await eventually(() => messages.length === 5);
  t.match(messages[2], { text: " ", context_id: "call-1.2" });
  socket!.send(chunk("call-1.2", 800, "Bye."));
  socket!.send(final("call-1.2"));
  await eventually(() => lines.at(-1) === "done");
  t.same(lines.slice(4), ["do. 120-150", "audio 800", "Bye. 200-240", "done"]);
});

void t.test("a pause is bridged by keep-alives, and a long one ends the context", async (t) => {
  const { tts, clock, messages, sockets } = await rig(t);
  const { lines, events } = listen();
  const reply = tts.speak(request, events);
  reply.push("One moment. ");
  await eventually(() => messages.length === 2);
  sockets[0]!.send(chunk("call-1.1", 800, "One moment. "));
  await eventually(() => lines.length > 0);
  await advanceUntil(clock, () => messages.length === 6, 1_000);
  const keepAlive = { text: "", context_id: "call-1.1" };
  t.same(messages.slice(2, 5), [keepAlive, keepAlive, keepAlive]);
  t.same(messages[5], { context_id: "call-1.1", close_context: true });
});

void t.test("a socket is not given a sixth context until one that was cancelled is over", async (t) => {
  const { tts, messages, sockets } = await rig(t, { socketsMax: 1 });
  const replies = Array.from({ length: 5 }, () => tts.speak(request, listen().events));
  for (const reply of replies) reply.push("Hello. ");
  await eventually(() => messages.length === 10);
  replies[0]!.cancel();
  await eventually(() => messages.length === 11);
  t.same(messages[10], { context_id: "call-1.1", close_context: true });
  const early = listen();
  tts.speak(request, early.events).push("Hello. ");
  await eventually(() => early.lines.length === 1);
  t.same(early.lines, ["TTS_OVERFLOW"]);
  sockets[0]!.send(chunk("call-1.1", 800, "Hello.")); // late audio: nobody's
  sockets[0]!.send(final("call-1.1"));
  sockets[0]!.send(chunk("call-1.2", 160, "H"));
  await quietTurns();
  const next = listen();
  tts.speak(request, next.events).push("Hello. ");
  await eventually(() => messages.length === 13);
  t.same(next.lines, []);
});

void t.test("each voice has its own socket, and takes that of one nobody speaks in", async (t) => {
  const { tts, sockets, requests } = await rig(t, { socketsMax: 2 });
  const voices = ["anna", "bert", "carl"].map((voice) => ({ ...request, voice }));
  await tts.warm(voices[0]!);
  tts.speak(voices[1]!, listen().events).push("Hello. ");
  await eventually(() => sockets.length === 2);
  const { lines, events } = listen();
  tts.speak(voices[2]!, events).push("Hello. ");
  await eventually(() => sockets.length === 3);
  t.match(requests[2]?.url, /carl/);
  await eventually(() => sockets[0]!.readyState === sockets[0]!.CLOSED);
  tts.speak(voices[0]!, events).push("Hello. ");
  await eventually(() => lines.length === 1);
  t.same(lines, ["TTS_OVERFLOW"], "the others are spoken in");
});

void t.test("a voice nobody spoke in for ten minutes keeps no socket", async (t) => {
  const { tts, clock, sockets } = await rig(t);
  await tts.warm(request);
  const startMs = clock.nowMs();
  const open = () => sockets.filter((socket) => socket.readyState === socket.OPEN).length;
  await advanceUntil(clock, () => clock.nowMs() - startMs > 170_000, 2_000);
  t.equal(sockets.length, 2, "replaced before the vendor closes it");
  t.equal(open(), 1);
  await advanceUntil(clock, () => open() === 0, 4_000);
  t.ok(clock.nowMs() - startMs >= 600_000);
  tts.speak(request, listen().events).push("Hello. ");
  const before = sockets.length;
  await eventually(() => sockets.length === before + 1);
});

const errors = [
  [{ error: "quota_exceeded", code: 1008 }, "TTS_UNAUTHORIZED"],
  [{ error: "too_many_concurrent_requests", code: 429 }, "TTS_RATE_LIMITED"],
  [{ error: "voice_settings_invalid", code: 1008 }, "TTS_REJECTED"],
  [{ error: "something new" }, "TTS_STREAM_BROKEN"],
] as const;
for (const [fields, code] of errors) {
  void t.test(`${fields.error} ends the reply, or all when it names none, with ${code}`, async (t) => {
    const { tts, messages, sockets } = await rig(t);
    const replies = [listen(), listen()];
    for (const { events } of replies) tts.speak(request, events).push("Hello. ");
    await eventually(() => messages.length === 4);
    sockets[0]!.send(JSON.stringify({ message: "no", ...fields, contextId: "call-1.1" }));
    await eventually(() => replies[0]!.lines.length === 1);
    t.same(replies[0]!.lines, [code]);
    t.same(replies[1]!.lines, []);
    sockets[0]!.send(JSON.stringify({ message: "no", ...fields }));
    await eventually(() => replies[1]!.lines.length === 1);
    t.same(replies[1]!.lines, [code]);
  });
}

void t.test("a format the vendor does not have is refused, not guessed", async (t) => {
  const { tts, sockets } = await rig(t);
  const { lines, events } = listen();
  const wide = { ...request, format: { encoding: "l16le", sampleRateHz: 48000 } } as const;
  await tts.warm(wide);
  tts.speak(wide, events).push("Hello. ");
  await eventually(() => lines.length === 1);
  t.same(lines, ["TTS_REJECTED"]);
  t.equal(sockets.length, 0);
});

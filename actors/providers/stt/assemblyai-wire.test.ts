/** What goes over the wire to AssemblyAI, and what its messages become: the details the emulator does not look at. */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import t, { type Test } from "tap";
import { type WebSocket, WebSocketServer } from "ws";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { MULAW_8K } from "#runtime/media";
import { KeptLog, eventually, quietTurns } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { type AssemblySettings, providerDefaults } from "../settings.js";
import { listen as listenAlone } from "./deepgram-wire.fixture.js";
import type { SttProvider, SttRequest } from "./provider.js";

interface Session {
  readonly url: URL;
  readonly headers: IncomingMessage["headers"];
  /** Text as it came, audio as `<bytes>`. */
  readonly messages: string[];
  readonly ws: WebSocket;
}

async function rig(t: Test, fields: Partial<AssemblySettings> = {}) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const sessions: Session[] = [];
  server.on("connection", (ws, request) => {
    const url = new URL(request.url ?? "", "ws://server");
    const session: Session = { url, headers: request.headers, messages: [], ws };
    ws.on("message", (data: Buffer, isBinary) => {
      session.messages.push(isBinary ? `<${data.length}>` : data.toString());
    });
    sessions.push(session);
  });
  const clock = new VirtualClock();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const settings = { ...providerDefaults.assemblyai, apiKey: "a-key", url, warmPerKind: 0, ...fields };
  const providers = createProviders(
    { assemblyai: settings },
    { clock, random: seededRandom(1), log: new KeptLog() },
  );
  t.teardown(async () => {
    await providers.close();
    server.close();
  });
  const stt: SttProvider = providers.stt("assemblyai");
  const begun = async (): Promise<Session> => {
    await eventually(() => sessions.length > 0);
    sessions[0]!.ws.send('{"type":"Begin","id":"x","expires_at":1}');
    await quietTurns();
    return sessions[0]!;
  };
  return { clock, stt, sessions, begun };
}

function request(fields: Partial<SttRequest> = {}): SttRequest {
  return {
    callId: "call-1",
    model: "universal-streaming-english",
    language: "en",
    format: MULAW_8K,
    keyterms: ["Ava", "Bright Smile"],
    ...fields,
  };
}

/** With the session's beginning, which Deepgram has none of. */
function listen(): ReturnType<typeof listenAlone> {
  const { lines, events } = listenAlone();
  return { lines, events: { ...events, onReady: () => lines.push("ready") } };
}

const words = (text: string) =>
  text.split(" ").map((word, index) => ({
    text: word,
    start: index * 100,
    end: index * 100 + 90,
    confidence: 1,
    word_is_final: true,
  }));

function turn(order: number, text: string, end: boolean, formatted = false): string {
  return JSON.stringify({
    type: "Turn",
    turn_order: order,
    turn_is_formatted: formatted,
    end_of_turn: end,
    transcript: text,
    end_of_turn_confidence: 0.5,
    words: words(text),
  });
}

void t.test("it asks for what a call needs", async (t) => {
  const { stt, sessions } = await rig(t);
  stt.open(request(), listen().events);
  await eventually(() => sessions.length === 1);
  const { url, headers } = sessions[0]!;
  t.equal(url.pathname, "/v3/ws");
  t.equal(headers.authorization, "a-key", "the key alone, without a scheme");
  t.equal(headers["sec-websocket-extensions"], undefined);
  t.same(Object.fromEntries(url.searchParams), {
    speech_model: "universal-streaming-english",
    sample_rate: "8000",
    encoding: "pcm_mulaw",
    format_turns: "true",
    end_of_turn_confidence_threshold: "0.4",
    min_turn_silence: "160",
    max_turn_silence: "1280",
    keyterms_prompt: '["Ava","Bright Smile"]',
  });
});

void t.test("nothing is sent before Begin; every message holds 50 to 1,000 ms, in order", async (t) => {
  const { stt, sessions, begun } = await rig(t);
  const { lines, events } = listen();
  const stream = stt.open(request(), events);
  const frame = Buffer.alloc(160, 1);
  stream.write(frame, true);
  stream.flush();
  await eventually(() => sessions.length === 1);
  await quietTurns();
  t.same(sessions[0]!.messages, []);
  const { messages } = await begun();
  t.same(lines, ["ready"]);
  t.same(messages, [], "20 ms are no message");
  stream.write(frame, false);
  stream.write(frame, false);
  await eventually(() => messages.length === 1);
  t.same(messages, ["<480>"], "the flush waited for the frames that make it one");
  stream.write(frame, false);
  stream.finalize();
  await quietTurns();
  t.equal(messages.length, 1);
  stream.write(Buffer.alloc(8_000 * 3), true);
  await eventually(() => messages.includes('{"type":"ForceEndpoint"}'));
  t.equal(messages[1], "<1920>");
  t.equal(messages[2], '{"type":"ForceEndpoint"}', "after what was written before it");
  stream.close();
  await eventually(() => messages.at(-1) === '{"type":"Terminate"}');
  for (const audio of messages.filter((message) => message.startsWith("<"))) {
    const bytes = Number(audio.slice(1, -1));
    t.ok(bytes >= 400 && bytes <= 8_000, audio);
  }
});

void t.test("no faster than real time beyond what it bears: the rest follows as time does", async (t) => {
  const { stt, begun, clock } = await rig(t);
  const stream = stt.open(request(), listen().events);
  const { messages } = await begun();
  for (let second = 0; second < 12; second++) stream.write(Buffer.alloc(8_000, second), true);
  const sentMs = (): number =>
    messages.reduce(
      (sum, message) => sum + (message.startsWith("<") ? Number(message.slice(1, -1)) / 8 : 0),
      0,
    );
  await eventually(() => sentMs() === 8_000);
  await quietTurns();
  t.equal(sentMs(), 8_000);
  clock.advance(2_000);
  await quietTurns();
  t.ok(sentMs() > 9_400 && sentMs() <= 10_000, `${sentMs()} ms`);
});

void t.test("turns: interims, an eager end, and one final however often the end is told", async (t) => {
  const { stt, begun } = await rig(t);
  const { lines, events } = listen();
  stt.open(request(), events);
  const { ws } = await begun();
  for (const message of [
    turn(0, "book", false),
    turn(0, "book", false),
    turn(0, "book a", false),
    turn(0, "book a", true),
    turn(0, "Book a.", true, true),
    turn(0, "Book a.", true, true),
    turn(1, "yes", true),
    turn(2, "no", false), // the formatted end of the turn before never came
    turn(2, "no", true),
    turn(2, "No.", true, true),
    JSON.stringify({ type: "Termination" }),
  ]) {
    ws.send(message);
  }
  await eventually(() => lines.at(-1)?.startsWith("final No.") === true);
  t.same(lines, [
    "ready",
    "speech 0",
    "interim book 0-90",
    "interim book a 0-190",
    "eager book a",
    "final Book a. 0-190 true",
    "speech 0",
    "eager yes",
    "final yes 0-90 true",
    "speech 0",
    "interim no 0-90",
    "eager no",
    "final No. 0-90 true",
  ]);
});

const closes = [
  [1008, "Unauthorized Connection: Invalid API key", "STT_UNAUTHORIZED"],
  [1008, "Too many new sessions", "STT_RATE_LIMITED"],
  [3005, "Server error", "STT_CONNECT_FAILED"],
  [3006, "Invalid message", "STT_REJECTED"],
  [3007, "Input duration violation", "STT_REJECTED"],
  [3009, "Too many concurrent sessions", "STT_RATE_LIMITED"],
] as const;
for (const [code, reason, expected] of closes) {
  void t.test(`closed with ${code} (${reason}) before it begins is ${expected}`, async (t) => {
    const { stt, sessions } = await rig(t);
    const { lines, events } = listen();
    stt.open(request(), events);
    await eventually(() => sessions.length === 1);
    sessions[0]!.ws.close(code, reason);
    await eventually(() => lines.length === 1);
    t.same(lines, [expected]);
  });
}

void t.test("a session that never begins, one too old, and audio it does not know", async (t) => {
  const silent = await rig(t);
  const first = listen();
  silent.stt.open(request(), first.events);
  await eventually(() => silent.sessions.length === 1);
  await quietTurns();
  silent.clock.advance(3_200);
  await eventually(() => first.lines.length === 1);
  t.same(first.lines, ["STT_TIMEOUT"]);
  const old = await rig(t);
  const second = listen();
  old.stt.open(request(), second.events);
  (await old.begun()).ws.close(3008, "Session expired");
  await eventually(() => second.lines.length === 2);
  t.same(second.lines, ["ready", "STT_STREAM_BROKEN"]);
  const third = listen();
  old.stt.open(request({ format: { encoding: "alaw", sampleRateHz: 8_000 } }), third.events);
  await eventually(() => third.lines.length === 1);
  t.same(third.lines, ["STT_REJECTED"]);
});

/** What goes over the wire to Deepgram, and what its messages become: the details the emulator does not look at. */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import t, { type Test } from "tap";
import { type WebSocket, WebSocketServer } from "ws";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { type AudioFormat, MULAW_8K } from "#runtime/media";
import { KeptLog, advanceUntil, eventually, quietTurns } from "../compliance-kit.js";
import { type Providers, createProviders } from "../providers.js";
import { type DeepgramSettings, providerDefaults } from "../settings.js";
import type { SttEvents, SttRequest, SttStream } from "./provider.js";

/** Of virtual time, in which the server has turns enough to answer a ping. */
const PONG_STEP_MS = 1_000;

/** One connection as the server saw it: text as it came, audio as `<bytes>`. */
interface Session {
  readonly url: URL;
  readonly headers: IncomingMessage["headers"];
  readonly messages: string[];
  readonly audio: Buffer[];
  readonly ws: WebSocket;
}

interface Rig {
  readonly clock: VirtualClock;
  readonly providers: Providers;
  readonly sessions: Session[];
  /** The session that came as the nth, from 0. */
  readonly session: (index: number) => Promise<Session>;
}

async function rig(t: Test, fields: Partial<DeepgramSettings> = {}): Promise<Rig> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const sessions: Session[] = [];
  server.on("connection", (ws, request) => {
    const url = new URL(request.url ?? "", "ws://server");
    const session: Session = { url, headers: request.headers, messages: [], audio: [], ws };
    ws.on("message", (data: Buffer, isBinary) => {
      session.messages.push(isBinary ? `<${data.length}>` : data.toString());
      if (isBinary) session.audio.push(data);
    });
    sessions.push(session);
  });
  const clock = new VirtualClock();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const settings = { ...providerDefaults.deepgram, apiKey: "a-key", url, warmPerKind: 0, ...fields };
  const providers = createProviders(
    {
      deepgram: settings,
    },
    { clock, random: seededRandom(1), log: new KeptLog() },
  );
  t.teardown(async () => {
    await providers.close();
    server.close();
  });
  const session = async (index: number): Promise<Session> => {
    await eventually(() => sessions.length > index);
    return sessions[index]!;
  };
  return { clock, providers, sessions, session };
}

function request(fields: Partial<SttRequest> = {}): SttRequest {
  return {
    callId: "call-1",
    model: "nova-3",
    language: "en",
    format: MULAW_8K,
    keyterms: ["Ava", "Bright Smile"],
    ...fields,
  };
}

/** Events as one line each. */
function listen(): { readonly lines: string[]; readonly events: SttEvents } {
  const lines: string[] = [];
  const events: SttEvents = {
    onInterim: ({ text, startMs, endMs }) => lines.push(`interim ${text} ${startMs}-${endMs}`),
    onFinal: ({ text, startMs, endMs }, pause) => lines.push(`final ${text} ${startMs}-${endMs} ${pause}`),
    onSpeechStarted: (atMs) => lines.push(`speech ${atMs}`),
    onEagerEndOfTurn: ({ text }) => lines.push(`eager ${text}`),
    onTurnResumed: () => lines.push("resumed"),
    onError: ({ code }) => lines.push(code),
  };
  return { lines, events };
}

function frames(stream: SttStream, count: number, speech: boolean, format: AudioFormat = MULAW_8K): void {
  const bytes = format.encoding === "mulaw" ? 160 : 320;
  for (let index = 0; index < count; index++) stream.write(Buffer.alloc(bytes, index), speech);
}

void t.test("v1 asks for what a call needs, and only for what the model knows", async (t) => {
  const { providers, session } = await rig(t);
  providers.stt("deepgram").open(request(), listen().events);
  const { url, headers } = await session(0);
  t.equal(url.pathname, "/v1/listen");
  t.equal(headers.authorization, "Token a-key");
  t.equal(headers["sec-websocket-extensions"], undefined, "no compression: a zlib context per call");
  const query = url.searchParams;
  t.same(query.getAll("keyterm"), ["Ava", "Bright Smile"]);
  const asked = Object.fromEntries([...query].filter(([name]) => name !== "keyterm"));
  t.same(asked, {
    model: "nova-3",
    language: "en",
    encoding: "mulaw",
    sample_rate: "8000",
    channels: "1",
    interim_results: "true",
    punctuate: "true",
    vad_events: "true",
    endpointing: "100",
    utterance_end_ms: "1000",
    extra: "call_id:call-1",
  });
  const format = { encoding: "l16le", sampleRateHz: 16000 } as const;
  providers.stt("deepgram").open(request({ model: "nova-2-phonecall", format }), listen().events);
  const older = (await session(1)).url.searchParams;
  t.same(older.getAll("keywords"), ["Ava", "Bright Smile"]);
  t.notOk(older.has("keyterm"));
  t.same([older.get("encoding"), older.get("sample_rate")], ["linear16", "16000"]);
});

void t.test("Flux asks for its own options", async (t) => {
  const { providers, session } = await rig(t);
  const flux = providers.stt("deepgram-flux");
  flux.open(request({ model: "flux-general-en" }), listen().events);
  const { url } = await session(0);
  t.equal(url.pathname, "/v2/listen");
  t.same([...url.searchParams].map(([name, value]) => `${name}=${value}`).sort(), [
    "eager_eot_threshold=0.5",
    "encoding=mulaw",
    "eot_threshold=0.7",
    "eot_timeout_ms=5000",
    "keyterm=Ava",
    "keyterm=Bright Smile",
    "model=flux-general-en",
    "sample_rate=8000",
  ]);
  flux.open(request({ model: "flux-general-multi", language: "es", keyterms: [] }), listen().events);
  t.equal((await session(1)).url.searchParams.get("language_hint"), "es");
});

void t.test("at most a hundred keyterms are sent", async (t) => {
  const { providers, session } = await rig(t);
  const keyterms = Array.from({ length: 150 }, (_, index) => `term ${index}`);
  providers.stt("deepgram").open(request({ keyterms }), listen().events);
  t.equal((await session(0)).url.searchParams.getAll("keyterm").length, 100);
});

void t.test(
  "silence goes in pieces of 100 ms, speech frame by frame, and a flush or finalize sends the rest",
  async (t) => {
    const { providers, session } = await rig(t);
    const stream = providers.stt("deepgram").open(request(), listen().events);
    const { messages } = await session(0);
    await quietTurns(); // open
    frames(stream, 12, false);
    await eventually(() => messages.length === 2);
    frames(stream, 3, true); // with the first the 40 ms that waited, and then one by one
    await eventually(() => messages.length === 5);
    t.same(messages, ["<800>", "<800>", "<480>", "<160>", "<160>"]);
    frames(stream, 1, false);
    stream.flush();
    stream.flush();
    frames(stream, 1, false);
    stream.finalize();
    await eventually(() => messages.some((message) => message.includes("Finalize")));
    t.same(messages.slice(5), ["<160>", "<160>", '{"type":"Finalize"}']);
    stream.close();
    await eventually(() => messages.at(-1) === '{"type":"CloseStream"}');
  },
);

void t.test(
  "on a line that has been silent for 2 s pieces are of 240 ms, and speech does not wait for one",
  async (t) => {
    const { providers, session } = await rig(t);
    const stream = providers.stt("deepgram").open(request(), listen().events);
    const { messages } = await session(0);
    await quietTurns(); // open
    frames(stream, 100 + 12 + 7, false);
    frames(stream, 1, true);
    frames(stream, 6, false);
    await eventually(() => messages.length === 23);
    t.same(
      messages.slice(0, 20),
      Array.from({ length: 20 }, () => "<800>"),
    );
    t.same(messages.slice(20), ["<1920>", "<1280>", "<800>"]);
  },
);

void t.test(
  "on a crowded shard speech goes in pieces of 40 ms, and the end of it at once all the same",
  async (t) => {
    const { providers, session } = await rig(t, { crowdedStreams: 2 });
    const stt = providers.stt("deepgram");
    const stream = stt.open(request(), listen().events);
    const { messages } = await session(0);
    await quietTurns(); // open
    frames(stream, 2, true);
    await eventually(() => messages.length === 2);
    const other = stt.open(request({ callId: "call-2" }), listen().events);
    frames(stream, 5, true);
    stream.flush();
    await eventually(() => messages.length === 5);
    other.close();
    frames(stream, 2, true);
    await eventually(() => messages.length === 7);
    t.same(messages, ["<160>", "<160>", "<320>", "<320>", "<160>", "<160>", "<160>"]);
    const third = stt.open(request({ callId: "call-3" }), listen().events);
    frames(stream, 1, true);
    stream.nudge(); // it fades
    frames(stream, 2, true);
    await eventually(() => messages.length === 9);
    third.close();
    stream.nudge();
    t.same(messages.slice(7), ["<160>", "<320>"]);
  },
);

void t.test("a piece larger than a batch is sent whole, in order", async (t) => {
  const { providers, session } = await rig(t);
  const stream = providers.stt("deepgram").open(request(), listen().events);
  const { audio } = await session(0);
  const sent = Buffer.from(Array.from({ length: 5_000 }, (_, index) => index % 251));
  stream.write(sent, true);
  stream.flush();
  await eventually(() => Buffer.concat(audio).length === sent.length);
  t.same(Buffer.concat(audio), sent);
});

void t.test("big-endian PCM arrives little-endian, and the caller's bytes stay as they were", async (t) => {
  const { providers, session } = await rig(t);
  const format = { encoding: "l16be", sampleRateHz: 8000 } as const;
  const stream = providers.stt("deepgram").open(request({ format }), listen().events);
  const { audio, url } = await session(0);
  t.equal(url.searchParams.get("encoding"), "linear16");
  const sent = Buffer.from([0x12, 0x34, 0x56, 0x78]);
  stream.write(sent, true);
  stream.flush();
  await eventually(() => audio.length === 1);
  t.same([...audio[0]!], [0x34, 0x12, 0x78, 0x56]);
  t.same([...sent], [0x12, 0x34, 0x56, 0x78]);
});

void t.test(
  "a waiting socket has a moment of silence and KeepAlives, and its call's audio comes after",
  async (t) => {
    const { providers, session, sessions, clock } = await rig(t, { warmPerKind: 1 });
    const { callId: _callId, ...kind } = request();
    await providers.stt("deepgram").warm(kind);
    const { messages, url } = await session(0);
    t.notOk(url.searchParams.has("extra"), "no call is known yet");
    await eventually(() => messages.length === 1);
    const openedAtMs = clock.nowMs();
    await advanceUntil(clock, () => messages.length === 6, PONG_STEP_MS);
    t.ok(clock.nowMs() - openedAtMs >= 5 * 4_000 - 1_000);
    t.same(messages, ["<640>", ...Array.from({ length: 5 }, () => '{"type":"KeepAlive"}')]);
    const { lines, events } = listen();
    const stream = providers.stt("deepgram").open(request(), events);
    frames(stream, 2, true);
    await eventually(() => messages.length === 8);
    sessions[0]!.ws.send(results("hello", 0.08 + 0.5, 1, { is_final: false }));
    await eventually(() => lines.length === 1);
    t.same(lines, ["interim hello 500-1500"], "the silence is not the call's time");
  },
);

void t.test(
  "a waiting Flux socket is sent silence again and again, all of it taken out of the times",
  async (t) => {
    const { providers, session, sessions, clock } = await rig(t, { warmPerKind: 1 });
    const { callId: _callId, ...kind } = request({ model: "flux-general-en" });
    await providers.stt("deepgram-flux").warm(kind);
    const { messages } = await session(0);
    await advanceUntil(clock, () => messages.length === 5, PONG_STEP_MS);
    t.same(new Set(messages), new Set(["<640>"]));
    const { lines, events } = listen();
    providers.stt("deepgram-flux").open(request({ model: "flux-general-en" }), events);
    sessions[0]!.ws.send(turn("Update", "hi", 5 * 0.08, 5 * 0.08 + 1));
    await eventually(() => lines.length === 1);
    t.same(lines, ["interim hi 0-1000"]);
  },
);

void t.test(
  "an old waiting socket is renewed; warming closes none for another kind, a call the longest unused",
  async (t) => {
    const { providers, session, sessions, clock } = await rig(t, { warmPerKind: 1, warmMax: 2 });
    const stt = providers.stt("deepgram");
    const { callId: _callId, ...kind } = request();
    await stt.warm(kind);
    const first = await session(0);
    // In steps in which the server can answer pings: it is age that ends the socket.
    await advanceUntil(clock, () => sessions.length === 2, PONG_STEP_MS);
    t.ok(clock.nowMs() - 1_000_000 >= 120_000);
    await eventually(() => first.ws.readyState === first.ws.CLOSED);
    t.equal(first.messages.at(-1), '{"type":"CloseStream"}');
    const languages = () => sessions.map(({ url }) => url.searchParams.get("language"));
    await stt.warm({ ...kind, language: "es" });
    for (const language of ["fr", "de", "it"]) await stt.warm({ ...kind, language });
    await quietTurns();
    t.same(languages(), ["en", "en", "es"], "there was no room for more");
    const oldest = once(sessions[1]!.ws, "close");
    stt.open(request({ language: "fr" }), listen().events);
    await oldest;
    await eventually(() => sessions.length === 5);
    t.same(languages(), ["en", "en", "es", "fr", "fr"], "the call's own and one for the next");
  },
);

void t.test("a call with other keyterms gets a socket of its own, not a warm one", async (t) => {
  const { providers, session } = await rig(t, { warmPerKind: 1 });
  const stt = providers.stt("deepgram");
  const { callId: _callId, ...kind } = request();
  await stt.warm(kind);
  await session(0);
  stt.open(request({ keyterms: ["Lucia"] }), listen().events);
  t.same((await session(1)).url.searchParams.getAll("keyterm"), ["Lucia"]);
});

/** How long after the vendor's last word, with the line's audio going on, a stream is given up. */
async function givenUpAfterMs(t: Test, hears: (session: Session, stream: SttStream) => Promise<void>) {
  const { providers, session, clock } = await rig(t);
  const { lines, events } = listen();
  const stream = providers.stt("deepgram").open(request(), events);
  const first = await session(0);
  await quietTurns();
  frames(stream, 12, true);
  await hears(first, stream);
  const saidAtMs = clock.nowMs();
  await advanceUntil(
    clock,
    () => {
      frames(stream, 25, false);
      return lines.at(-1) === "STT_TIMEOUT";
    },
    500,
  );
  return clock.nowMs() - saidAtMs;
}

void t.test("words that are shown and never final, and a final that is asked for, are owed", async (t) => {
  const tells = async ({ ws, messages }: Session, stream: SttStream, isFinal: boolean): Promise<void> => {
    ws.send(results("tell me", 0.1, 0.24, { is_final: isFinal }));
    await quietTurns();
    frames(stream, 12, true); // a quarter of a second: by itself it owes nothing
    await eventually(() => messages.length === 24);
  };
  const shown = await givenUpAfterMs(t, (session, stream) => tells(session, stream, false));
  t.ok(shown >= 4_000 && shown <= 5_500, `${shown} ms`);
  const asked = await givenUpAfterMs(t, async (session, stream) => {
    await tells(session, stream, true);
    stream.finalize();
  });
  t.ok(asked >= 4_000 && asked <= 5_500, `${asked} ms`);
  const nothing = await givenUpAfterMs(t, (session, stream) => tells(session, stream, true));
  t.ok(nothing >= 30_000, `${nothing} ms`);
});

void t.test("a quiet stream is kept alive", async (t) => {
  const { providers, session, clock } = await rig(t);
  const stream = providers.stt("deepgram").open(request(), listen().events);
  const { messages } = await session(0);
  await quietTurns();
  frames(stream, 5, false);
  await eventually(() => messages.length === 1);
  clock.advance(4_600);
  await eventually(() => messages.length === 2);
  t.equal(messages[1], '{"type":"KeepAlive"}');
});

void t.test("v1: UtteranceEnd tells of a pause that speech_final did not, once", async (t) => {
  const { providers, session } = await rig(t);
  const { lines, events } = listen();
  providers.stt("deepgram").open(request(), events);
  const { ws } = await session(0);
  await quietTurns();
  const utteranceEnd = JSON.stringify({ type: "UtteranceEnd", channel: [0, 1], last_word_end: 1.25 });
  for (const message of [
    utteranceEnd, // nothing was said
    results("one", 0, 1, { is_final: true }),
    utteranceEnd,
    utteranceEnd,
    results("", 1, 1, { is_final: true }), // empty: nothing new
    utteranceEnd,
    results("two", 2, 1, { is_final: true, speech_final: true }),
    utteranceEnd, // known already
    JSON.stringify({ type: "SpeechStarted", channel: [0, 1], timestamp: 9.54 }),
    JSON.stringify({ type: "Metadata", request_id: "x" }),
    JSON.stringify({ type: "Warning", description: "x" }),
  ]) {
    ws.send(message);
  }
  await eventually(() => lines.at(-1) === "speech 9540");
  t.same(lines, [
    "final one 0-1000 false",
    "final  1250-1250 true",
    "final  1000-2000 false",
    "final two 2000-3000 true",
    "speech 9540",
  ]);
});

void t.test("Flux: a turn's events in order, updates only when something changed", async (t) => {
  const { providers, session } = await rig(t);
  const { lines, events } = listen();
  providers.stt("deepgram-flux").open(request({ model: "flux-general-en" }), events);
  const { ws } = await session(0);
  await quietTurns();
  for (const [event, text] of [
    ["Update", ""],
    ["StartOfTurn", "Book"],
    ["Update", "Book"],
    ["Update", "Book a"],
    ["EagerEndOfTurn", "Book a table."],
    ["TurnResumed", "Book a table."],
    ["Update", "Book a table for two."],
    ["EagerEndOfTurn", "Book a table for two."],
    ["EndOfTurn", "Book a table for two."],
    ["Update", ""],
    ["SomethingNew", "Next"],
  ] as const) {
    ws.send(turn(event, text, 0, 1));
  }
  ws.send(JSON.stringify({ type: "ConfigureSuccess", sequence_id: 9 }));
  await eventually(() => lines.at(-1) === "interim Next 0-1000");
  t.same(lines, [
    "speech 0",
    "interim Book 0-1000",
    "interim Book a 0-1000",
    "eager Book a table.",
    "resumed",
    "interim Book a table for two. 0-1000",
    "eager Book a table for two.",
    "final Book a table for two. 0-1000 true",
    "interim Next 0-1000",
  ]);
});

void t.test("closed from inside an event, the rest of the same message is not told", async (t) => {
  const { providers, session } = await rig(t);
  const { lines, events } = listen();
  const closing = { ...events, onSpeechStarted: () => stream.close() };
  const stream = providers.stt("deepgram-flux").open(request({ model: "flux-general-en" }), closing);
  const { ws } = await session(0);
  const closed = once(ws, "close");
  ws.send(turn("StartOfTurn", "Book", 0, 1));
  await closed;
  t.same(lines, []);
});

const malformed = {
  "not JSON": "{",
  "JSON, but no object": "7",
  "results without a transcript": JSON.stringify({ type: "Results", start: 0, duration: 1 }),
  "results without times": JSON.stringify({
    type: "Results",
    channel: { alternatives: [{ transcript: "x" }] },
  }),
};
for (const [what, message] of Object.entries(malformed)) {
  void t.test(`${what} ends the stream with STT_PROTOCOL_ERROR`, async (t) => {
    const { providers, session } = await rig(t);
    const { lines, events } = listen();
    providers.stt("deepgram").open(request(), events);
    const { ws } = await session(0);
    const closed = once(ws, "close");
    ws.send(message);
    await closed;
    t.same(lines, ["STT_PROTOCOL_ERROR"]);
  });
}

void t.test("audio that Deepgram cannot decode is our mistake, not a broken stream", async (t) => {
  const { providers, session } = await rig(t);
  const { lines, events } = listen();
  providers.stt("deepgram").open(request(), events);
  (await session(0)).ws.close(1008, "DATA-0000");
  await eventually(() => lines.length === 1);
  t.same(lines, ["STT_REJECTED"]);
});

void t.test("a server that stops reading ends the stream before its audio fills our memory", async (t) => {
  const { providers, session } = await rig(t);
  const { lines, events } = listen();
  const stream = providers.stt("deepgram").open(request(), events);
  const { ws } = await session(0);
  await quietTurns();
  ws.pause();
  let writtenMs = 0;
  while (lines.length === 0 && writtenMs < 3_600_000) {
    frames(stream, 500, false);
    writtenMs += 10_000;
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.same(lines, ["STT_OVERFLOW"]);
  ws.terminate();
});

function results(transcript: string, start: number, duration: number, fields: object): string {
  const channel = { alternatives: [{ transcript, confidence: 1, words: [] }] };
  return JSON.stringify({ type: "Results", channel_index: [0, 1], start, duration, channel, ...fields });
}

function turn(event: string, transcript: string, start: number, end: number): string {
  return JSON.stringify({
    type: "TurnInfo",
    event,
    turn_index: 0,
    transcript,
    words: [],
    audio_window_start: start,
    audio_window_end: end,
  });
}

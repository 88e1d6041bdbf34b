/** A server in Deepgram's place that keeps what came over the wire, and what a test says over it. */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Test } from "tap";
import { type WebSocket, WebSocketServer } from "ws";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { type AudioFormat, MULAW_8K } from "#runtime/media";
import { KeptLog, eventually } from "../compliance-kit.js";
import { type Providers, createProviders } from "../providers.js";
import { type DeepgramSettings, providerDefaults } from "../settings.js";
import type { SttEvents, SttRequest, SttStream } from "./provider.js";

/** One connection as the server saw it: text as it came, audio as `<bytes>`. */
export interface Session {
  readonly url: URL;
  readonly headers: IncomingMessage["headers"];
  readonly messages: string[];
  readonly audio: Buffer[];
  readonly ws: WebSocket;
}

export interface Rig {
  readonly clock: VirtualClock;
  readonly providers: Providers;
  readonly sessions: Session[];
  /** The session that came as the nth, from 0. */
  readonly session: (index: number) => Promise<Session>;
}

export async function rig(t: Test, fields: Partial<DeepgramSettings> = {}): Promise<Rig> {
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

export function request(fields: Partial<SttRequest> = {}): SttRequest {
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
export function listen(): { readonly lines: string[]; readonly events: SttEvents } {
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

export function frames(
  stream: SttStream,
  count: number,
  speech: boolean,
  format: AudioFormat = MULAW_8K,
): void {
  const bytes = format.encoding === "mulaw" ? 160 : 320;
  for (let index = 0; index < count; index++) stream.write(Buffer.alloc(bytes, index), speech);
}

/** Deepgram v1's message. */
export function results(transcript: string, start: number, duration: number, fields: object): string {
  const channel = { alternatives: [{ transcript, confidence: 1, words: [] }] };
  return JSON.stringify({ type: "Results", channel_index: [0, 1], start, duration, channel, ...fields });
}

/** Flux's. */
export function turn(event: string, transcript: string, start: number, end: number): string {
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

/** A bare WebSocket server for a voice's client: what came over the wire, and a hand on it. */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Test } from "tap";
import { type WebSocket, WebSocketServer } from "ws";
import { VirtualClock, seededRandom } from "#runtime/actor";
import type { TtsName } from "#actors/tenants";
import { KeptLog } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import type { ProviderSettings } from "../settings.js";
import type { TtsEvents, TtsProvider } from "./provider.js";

type Message = Readonly<Record<string, unknown>>;

export interface VoiceWire {
  readonly clock: VirtualClock;
  readonly tts: TtsProvider;
  readonly sockets: WebSocket[];
  /** Of each socket: how many others were open when it came. */
  readonly openBefore: readonly number[];
  readonly requests: IncomingMessage[];
  /** What the client sent, over all sockets. */
  readonly messages: Message[];
}

export async function voiceWire(
  t: Test,
  name: TtsName,
  settingsFor: (url: string) => ProviderSettings,
): Promise<VoiceWire> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const sockets: WebSocket[] = [];
  const openBefore: number[] = [];
  const requests: IncomingMessage[] = [];
  const messages: Message[] = [];
  server.on("connection", (ws, request) => {
    openBefore.push(sockets.filter((other) => other.readyState === other.OPEN).length);
    sockets.push(ws);
    requests.push(request);
    ws.on("message", (data: Buffer) => messages.push(JSON.parse(data.toString()) as Message));
  });
  const clock = new VirtualClock();
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const providers = createProviders(settingsFor(url), { clock, random: seededRandom(1), log: new KeptLog() });
  t.teardown(async () => {
    await providers.close();
    server.close();
  });
  return { clock, tts: providers.tts(name), sockets, openBefore, requests, messages };
}

/** Events as one line each. */
export function listen(): { readonly lines: string[]; readonly events: TtsEvents } {
  const lines: string[] = [];
  const events: TtsEvents = {
    onAudio: (audio) => lines.push(`audio ${audio.length}`),
    onWords: (words) => lines.push(...words.map(({ word, startMs, endMs }) => `${word} ${startMs}-${endMs}`)),
    onDone: () => lines.push("done"),
    onError: ({ code }) => lines.push(code),
  };
  return { lines, events };
}

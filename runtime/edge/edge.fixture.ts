/**
 * What the edge's tests stand on: a real Edge on loopback ports, a real arena, a delegate that notes what
 * it is told, the shard's end of each slot, and a wire-level phone. Everything that has to be waited for is
 * waited for by its condition, never by time.
 */
import { setImmediate } from "node:timers/promises";
import type { ClientOptions } from "ws";
import { type Clock, VirtualClock } from "#runtime/actor";
import { Arena } from "#runtime/media";
import { createMetrics, type Logger, silentLogger } from "#runtime/telemetry";
import { createSignalWire } from "./carriers/signalwire.js";
import { createTwilio } from "./carriers/twilio.js";
import { Edge } from "./edge.js";
import { NotingDelegate } from "./noting-delegate.fixture.js";
import type { EdgeOptions } from "./options.js";
import { Phone, TWILIO_FORMAT } from "./phone.fixture.js";
import type { ShardEnd } from "./shard-end.fixture.js";

export interface HarnessOptions {
  readonly edge?: Partial<EdgeOptions>;
  readonly clock?: Clock;
  readonly slotCount?: number;
  readonly authTokens?: readonly string[];
  readonly signingKeys?: readonly string[];
  readonly codec?: "PCMU@8000h" | "L16@16000h" | "L16@24000h";
  readonly log?: Logger;
}

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

export interface Ringing {
  readonly callId: string;
  readonly carrierCallId: string;
  readonly carrier: string;
  readonly mediaPath: string;
}

export interface LiveCall extends Ringing {
  readonly phone: Phone;
  readonly shard: ShardEnd;
}

export class Harness {
  readonly clock: Clock;
  readonly delegate: NotingDelegate;
  readonly metrics = createMetrics({ thread: "main" });
  readonly edge: Edge;
  port = 0;
  adminPort = 0;
  readonly #phones: Phone[] = [];
  #callCount = 0;

  constructor(options: HarnessOptions = {}) {
    this.clock = options.clock ?? new VirtualClock();
    this.delegate = new NotingDelegate(Arena.create({ slotCount: options.slotCount ?? 4 }));
    this.edge = new Edge(
      {
        host: "127.0.0.1",
        port: 0,
        adminPort: 0,
        publicUrl: "https://edge.example.test",
        // Not the default, which may change: tests count what leaves.
        playoutLeadMs: 200,
        carriers: [
          createTwilio({ authTokens: options.authTokens ?? [] }),
          createSignalWire({
            signingKeys: options.signingKeys ?? [],
            ...(options.codec === undefined ? {} : { codec: options.codec }),
          }),
        ],
        ...options.edge,
      },
      {
        clock: this.clock,
        log: options.log ?? silentLogger,
        metrics: this.metrics,
        delegate: this.delegate,
        admin: this.delegate,
        nap: null,
      },
    );
    this.delegate.attach(this.edge);
  }

  static async start(options: HarnessOptions = {}): Promise<Harness> {
    const harness = new Harness(options);
    const { port, adminPort } = await harness.edge.listen();
    harness.port = port;
    harness.adminPort = adminPort;
    return harness;
  }

  async stop(): Promise<void> {
    for (const phone of this.#phones) phone.destroy();
    // Else close() gives the phones time to read its close frames, a quarter of a second in every test.
    for (let turn = 0; turn < 20_000 && this.edge.connectionCount > 0; turn++) await setImmediate();
    await this.edge.close();
    this.metrics.close();
  }

  /** Every phone's connection breaks. */
  hangUpPhones(): void {
    for (const phone of this.#phones) phone.destroy();
  }

  /** Moves virtual time on; the harness was started with a VirtualClock. */
  advance(ms: number): void {
    (this.clock as VirtualClock).advance(ms);
  }

  async post(
    path: string,
    form: Readonly<Record<string, string>> | string,
    headers: Readonly<Record<string, string>> = {},
    method = "POST",
  ): Promise<Answer> {
    const body = typeof form === "string" ? form : new URLSearchParams(form).toString();
    return this.request(method, path, {
      ...(method === "GET" ? {} : { body }),
      headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
    });
  }

  async request(method: string, path: string, init: RequestInit = {}, port = this.port): Promise<Answer> {
    const headers = { connection: "close", ...(init.headers as Record<string, string> | undefined) };
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, ...init, headers });
    const text = await response.text();
    return { status: response.status, contentType: response.headers.get("content-type") ?? "", text };
  }

  admin(path: string, method = "GET"): Promise<Answer> {
    return this.request(method, path, {}, this.adminPort);
  }

  /** Posts a voice webhook; the media path the markup names, and the ids. */
  async ring(carrier = "twilio", headers: Readonly<Record<string, string>> = {}): Promise<Ringing> {
    const carrierCallId = `CA${String(++this.#callCount).padStart(32, "0")}`;
    const answer = await this.post(`/${carrier}/voice`, voiceForm(carrierCallId), headers);
    return { ...ringingFrom(answer.text), carrierCallId, carrier };
  }

  /** Opens a media socket. `path` as in the markup. */
  async dial(path: string, options: ClientOptions = {}): Promise<Phone> {
    const phone = new Phone(`ws://127.0.0.1:${this.port}${path}`, options);
    this.#phones.push(phone);
    await phone.opened;
    return phone;
  }

  /** A whole call up to and with `start`. */
  async call(carrier = "twilio", format: object = TWILIO_FORMAT): Promise<LiveCall> {
    const ringing = await this.ring(carrier);
    const phone = await this.dial(ringing.mediaPath);
    phone.start(ringing.carrierCallId, format);
    await this.delegate.event("opened", ringing.callId);
    const shard = this.delegate.shards.get(ringing.callId)!;
    return { ...ringing, phone, shard };
  }

  /** The counters of bad input that are not zero. */
  async badInput(): Promise<Readonly<Record<string, number>>> {
    const { values } = await this.metrics.edgeBadInput.get();
    return Object.fromEntries(values.map(({ labels, value }) => [labels["reason"], value]));
  }
}

export function voiceForm(carrierCallId: string): Record<string, string> {
  return {
    CallSid: carrierCallId,
    AccountSid: "AC00000000000000000000000000000001",
    From: "+15550100001",
    To: "+15550100002",
    CallStatus: "ringing",
    Direction: "inbound",
  };
}

/** Reads our own markup; whether it is what a carrier wants is the markup test's business. */
function ringingFrom(markup: string): { callId: string; mediaPath: string } {
  const mediaPath = /url="wss:\/\/[^/]+([^"]+)"/.exec(markup)?.[1];
  const callId = /\/after\/([\w-]+)\.\d+</.exec(markup)?.[1];
  if (mediaPath === undefined || callId === undefined) throw new Error(`no media socket in ${markup}`);
  return { mediaPath, callId };
}

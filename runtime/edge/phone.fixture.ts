/** The carrier's end of a media socket in the edge's tests, message by message. */
import { once } from "node:events";
import { type ClientOptions, WebSocket } from "ws";
import { Condition } from "./condition.fixture.js";

export const TWILIO_FORMAT = { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 };

/** A message of ours as the carrier receives it. */
export interface Outbound {
  readonly event: "media" | "mark" | "clear";
  readonly streamSid: string;
  readonly media?: { readonly payload: string };
  readonly mark?: { readonly name: string };
}

export class Phone {
  readonly socket: WebSocket;
  readonly received: Outbound[] = [];
  readonly opened: Promise<void>;
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly streamSid = "MZ00000000000000000000000000000001";
  readonly #condition = new Condition();
  #sequence = 0;
  #chunk = 0;

  constructor(url: string, options: ClientOptions) {
    this.socket = new WebSocket(url, { perMessageDeflate: false, ...options });
    this.socket.on("error", () => {});
    this.opened = once(this.socket, "open").then(() => {});
    this.closed = once(this.socket, "close").then(([code, reason]: unknown[]) => ({
      code: code as number,
      reason: String(reason),
    }));
    // A socket that is refused fails `opened`, and nobody may be waiting for its close.
    this.closed.catch(() => {});
    this.socket.on("message", (data: Buffer) => {
      this.received.push(JSON.parse(data.toString("utf8")) as Outbound);
      this.#condition.changed();
    });
    this.socket.on("close", () => this.#condition.changed());
  }

  send(message: object | string): void {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  /** `connected` and `start`. */
  start(carrierCallId: string, mediaFormat: object = TWILIO_FORMAT, streamSid = this.streamSid): void {
    this.send({ event: "connected", protocol: "Call", version: "1.0.0" });
    this.sendStart(carrierCallId, mediaFormat, streamSid);
  }

  sendStart(carrierCallId: string, mediaFormat: object = TWILIO_FORMAT, streamSid = this.streamSid): void {
    const start = {
      accountSid: "AC00000000000000000000000000000001",
      streamSid,
      callSid: carrierCallId,
      tracks: ["inbound"],
      mediaFormat,
      customParameters: { session: "s-1" },
    };
    this.send({ event: "start", sequenceNumber: String(++this.#sequence), start, streamSid });
  }

  /** The next audio message, in order; `overrides` for those that are not. */
  media(audio: Uint8Array, overrides: { chunk?: number; timestamp?: number } = {}): void {
    const chunk = overrides.chunk ?? ++this.#chunk;
    this.#chunk = Math.max(this.#chunk, chunk);
    const timestamp = overrides.timestamp ?? chunk * 20;
    this.send({
      event: "media",
      sequenceNumber: String(++this.#sequence),
      media: {
        track: "inbound",
        chunk: String(chunk),
        timestamp: String(timestamp),
        payload: Buffer.from(audio).toString("base64"),
      },
      streamSid: this.streamSid,
    });
  }

  echoMark(name: string): void {
    this.send({ event: "mark", sequenceNumber: "1", streamSid: this.streamSid, mark: { name } });
  }

  stop(): void {
    this.send({ event: "stop", sequenceNumber: "9", streamSid: this.streamSid, stop: {} });
  }

  of(event: Outbound["event"]): Outbound[] {
    return this.received.filter((message) => message.event === event);
  }

  audio(): Buffer {
    return Buffer.concat(this.of("media").map(({ media }) => Buffer.from(media!.payload, "base64")));
  }

  /** Waits until so many messages of the kind have come. */
  async count(event: Outbound["event"], atLeast: number): Promise<Outbound[]> {
    await this.#condition.until(() => this.of(event).length >= atLeast);
    return this.of(event);
  }

  async audioBytes(atLeast: number): Promise<Buffer> {
    await this.#condition.until(() => this.audio().length >= atLeast);
    return this.audio();
  }

  /**
   * Everything we sent up to now has been handled by the edge, and all it sent has arrived: the pong comes
   * behind it.
   */
  async settled(): Promise<void> {
    const pong = once(this.socket, "pong");
    this.socket.ping();
    await pong;
  }

  destroy(): void {
    this.socket.terminate();
  }
}

/**
 * A client at the wire for tests: keeps every message, and can say "everything sent so far has arrived".
 */
import type { IncomingMessage } from "node:http";
import { once } from "node:events";
import { WebSocket } from "ws";

export interface Refused {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export type Message = Readonly<Record<string, unknown>>;

export class Probe {
  readonly socket: WebSocket;
  /** Parsed; a text that is not JSON is kept as `{ raw }`. */
  readonly messages: Message[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly headers: Promise<IncomingMessage["headers"]>;
  #waiting: (() => void)[] = [];
  #closedWith: string | null = null;

  private constructor(url: string, headers: Record<string, string>, protocols: string[]) {
    this.socket = new WebSocket(url, protocols, { headers, perMessageDeflate: true });
    this.headers = once(this.socket, "upgrade").then(([response]) => (response as IncomingMessage).headers);
    this.headers.catch(() => undefined);
    this.socket.on("message", (data: Buffer) => {
      const text = data.toString("utf8");
      try {
        this.messages.push(JSON.parse(text) as Message);
      } catch {
        this.messages.push({ raw: text });
      }
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      this.socket.on("close", (code, reason) => {
        this.#closedWith = `${code} ${reason.toString("utf8")}`;
        resolve({ code, reason: reason.toString("utf8") });
        this.#wake();
      });
    });
  }

  /** Open, or an error. */
  static async open(
    url: string,
    headers: Record<string, string> = {},
    protocols: string[] = [],
  ): Promise<Probe> {
    const probe = new Probe(url, headers, protocols);
    await once(probe.socket, "open");
    probe.socket.on("error", () => undefined);
    return probe;
  }

  /** The answer of an upgrade that must be refused. */
  static async refused(url: string, headers: Record<string, string> = {}): Promise<Refused> {
    const probe = new Probe(url, headers, []);
    probe.socket.on("error", () => undefined);
    const [, response] = (await once(probe.socket, "unexpected-response")) as [unknown, IncomingMessage];
    let body = "";
    for await (const piece of response) body += String(piece);
    return { status: response.statusCode ?? 0, headers: response.headers, body };
  }

  send(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  /** Resolves with the first message, past or to come, that matches; rejects when the socket closes first. */
  async next(matches: (message: Message) => boolean): Promise<Message> {
    for (;;) {
      const found = this.messages.find(matches);
      if (found !== undefined) return found;
      if (this.#closedWith !== null) throw new Error(`closed (${this.#closedWith}) before the message came`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  ofType(type: string): Message[] {
    return this.messages.filter((message) => message["type"] === type);
  }

  /** A ping there and back: all that was sent before it, either way, has arrived. */
  async roundTrip(): Promise<void> {
    const pong = once(this.socket, "pong");
    this.socket.ping();
    await pong;
  }

  async close(): Promise<void> {
    this.socket.terminate();
    await this.closed;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }
}

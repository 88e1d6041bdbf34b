/**
 * One WebSocket to a provider: the handshake with its deadline, proof of life, and one end.
 *
 * Used beneath the Deepgram SDK (as its transport) and by the Cartesia client, because the SDKs' own
 * sockets offer `permessage-deflate` (a zlib context per socket is several times a call's memory budget),
 * hide the status and headers of a refused upgrade, reconnect by themselves, and keep time by the machine.
 *
 * Stages: connecting -> open -> closing -> closed, in that order, skipping what did not happen.
 *
 * S1  `onClosed` is called exactly once, and nothing after it.
 * S2  No callback runs synchronously inside a call of the owner's.
 * S3  Whatever the peer does, a socket told to close is gone after CLOSE_GRACE_MS.
 */
import type { Clock } from "#runtime/actor";
import { type Due, type DueSweep, NEVER } from "./due-sweep.js";
import { type Failure, reasonOfStatus, retryAfterMs, systemCode } from "./failures.js";
import type { HandshakeAnswer } from "./client-socket.js";
import { type Network, type NetworkSocket, systemNetwork } from "./network.js";

/** After our close frame the peer has this long to answer: one slow round trip, not a stalled peer's minutes. */
const CLOSE_GRACE_MS = 2_000;
/** A quiet open socket is pinged this often, which also keeps NATs and idle timers (Flux: 20 s) content. */
const PING_INTERVAL_MS = 10_000;
/** A ping unanswered this long means the peer or the path is gone. Shorter than the interval: one in flight. */
const PONG_TIMEOUT_MS = 5_000;

export interface WireSocketOwner {
  onOpen(): void;
  /** A text message. Providers of ours send nothing else; a binary one ends the socket. */
  onText(text: string): void;
  /** S1. The failure is null when we asked for the end and nothing went wrong. */
  onClosed(failure: Failure | null): void;
}

export interface WireSocketOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly connectTimeoutMs: number;
  /** A larger message from the peer ends the socket. */
  readonly messageMaxBytes: number;
  /** Response header that names the request at the provider, for its support. */
  readonly requestIdHeader: string;
  /** Response header with the reason of a refusal, if it has one. */
  readonly errorHeader?: string;
}

export class WireSocket implements Due {
  dueAtMs: number;
  readonly #clock: Clock;
  readonly #sweep: DueSweep;
  readonly #requestIdHeader: string;
  readonly #errorHeader: string | undefined;
  readonly #owner: WireSocketOwner;
  readonly #socket: NetworkSocket;
  #stage: "connecting" | "open" | "closing" | "closed" = "connecting";
  #pinging = false;
  #heard = false;
  /** Why it ends, once known; reported when the socket is really gone, or at once if that may take long. */
  #failure: Failure | null = null;
  #requestId: string | undefined;

  constructor(
    options: WireSocketOptions,
    owner: WireSocketOwner,
    clock: Clock,
    sweep: DueSweep,
    network: Network = systemNetwork,
  ) {
    this.#requestIdHeader = options.requestIdHeader;
    this.#errorHeader = options.errorHeader;
    this.#owner = owner;
    this.#clock = clock;
    this.#sweep = sweep;
    this.#socket = network.openSocket(options.url, options);
    this.#socket.on("upgrade", (response) => this.#noteRequestId(response));
    this.#socket.on("unexpected-response", (_request, response) => this.#onRefused(response));
    this.#socket.on("open", () => this.#onOpen());
    this.#socket.on("message", (data: Buffer, isBinary) => this.#onMessage(data, isBinary));
    this.#socket.on("pong", () => {
      this.#heard = true;
    });
    this.#socket.on("error", (error) => this.#onError(error));
    this.#socket.on("close", (code, reason) => this.#onClose(code, reason));
    this.dueAtMs = clock.nowMs() + options.connectTimeoutMs;
    sweep.add(this);
  }

  get isOpen(): boolean {
    return this.#stage === "open";
  }

  /** Handed to the kernel's care but not yet taken by it. */
  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  get requestId(): string | undefined {
    return this.#requestId;
  }

  /** Text when given a string, binary otherwise; the buffer may be reused at once. Ignored unless open. */
  send(data: string | Uint8Array): void {
    if (this.#stage !== "open") return;
    if (typeof data === "string") this.#socket.send(data);
    else this.#socket.sendBinary(data);
  }

  /** Says goodbye and leaves. Idempotent. */
  close(): void {
    if (this.#stage === "closing" || this.#stage === "closed") return;
    this.#stage = "closing";
    this.dueAtMs = this.#clock.nowMs() + CLOSE_GRACE_MS; // S3
    // Not yet open: `ws` reports the abandoned handshake by an error and a close, on a later tick (S2).
    this.#socket.close(1000);
  }

  /** Leaves at once and reports `failure`, on a later tick. For a peer that broke the protocol. */
  fail(failure: Failure): void {
    if (this.#stage === "closed") return;
    this.#failure ??= failure;
    this.#stage = "closing";
    this.dueAtMs = NEVER;
    this.#socket.terminate();
  }

  onDue(nowMs: number): void {
    switch (this.#stage) {
      case "connecting": {
        const detail = { phase: "connect" } as const;
        this.fail({ reason: "TIMEOUT", what: "did not open a connection in time", detail });
        return;
      }
      case "open":
        this.#proveLife(nowMs);
        return;
      case "closing":
        this.dueAtMs = NEVER;
        this.#socket.terminate();
        return;
      case "closed":
        this.dueAtMs = NEVER;
    }
  }

  #proveLife(nowMs: number): void {
    if (this.#heard) {
      this.#heard = false;
      this.#pinging = false;
      this.dueAtMs = nowMs + PING_INTERVAL_MS;
      return;
    }
    if (this.#pinging) {
      const detail = { phase: "betweenEvents" } as const;
      this.fail({ reason: "TIMEOUT", what: "no longer answers on an open connection", detail });
      return;
    }
    this.#pinging = true;
    this.#socket.ping();
    this.dueAtMs = nowMs + PONG_TIMEOUT_MS;
  }

  #onOpen(): void {
    if (this.#stage !== "connecting") return;
    this.#stage = "open";
    this.dueAtMs = this.#clock.nowMs() + PING_INTERVAL_MS;
    this.#owner.onOpen();
  }

  #onMessage(data: Buffer, isBinary: boolean): void {
    if (this.#stage !== "open") return;
    this.#heard = true;
    if (isBinary) {
      this.fail({ reason: "PROTOCOL_ERROR", what: "sent a binary message where text belongs" });
      return;
    }
    this.#owner.onText(data.toString("utf8"));
  }

  #onRefused(response: HandshakeAnswer): void {
    this.#noteRequestId(response);
    const status = response.statusCode ?? 0;
    const errorHeader = this.#errorHeader;
    const message = errorHeader === undefined ? undefined : response.headers[errorHeader];
    const waitMs = retryAfterMs(response.headers["retry-after"], this.#clock.unixMs());
    const detail = {
      phase: "connect",
      status,
      ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
      ...(typeof message === "string" ? { providerMessage: message } : {}),
      ...this.#idDetail(),
    } as const;
    // The body repeats the headers we read; not waiting for it keeps a slow one from holding the dial.
    this.fail({ reason: reasonOfStatus(status), what: `refused the connection (${status})`, detail });
  }

  #onError(error: Error): void {
    if (this.#failure !== null || this.#stage === "closing") return;
    const code = systemCode(error);
    const detail = { systemCode: code, ...this.#idDetail() };
    // `ws` names what a peer got wrong on the wire WS_ERR_*; in the handshake it has no code for it.
    if (this.#stage === "open") {
      const reason = code.startsWith("WS_ERR") ? "PROTOCOL_ERROR" : "STREAM_BROKEN";
      this.#failure = { reason, what: `broke the connection (${code})`, detail };
    } else {
      this.#failure = { reason: "CONNECT_FAILED", what: `could not be reached (${code})`, detail };
    }
  }

  #onClose(code: number, reason: Buffer): void {
    const asked = this.#stage === "closing";
    this.#stage = "closed";
    this.dueAtMs = NEVER;
    this.#sweep.remove(this);
    if (this.#failure === null && !asked) {
      const text = reason.toString("utf8");
      const word = text.split(" ", 1)[0] ?? "";
      const detail = {
        closeCode: code,
        ...(text === "" ? {} : { providerCode: word, providerMessage: text }),
        ...this.#idDetail(),
      };
      this.#failure = { reason: "STREAM_BROKEN", what: `closed the connection (${code})`, detail };
    }
    this.#owner.onClosed(this.#failure);
  }

  #noteRequestId(response: HandshakeAnswer): void {
    const id = response.headers[this.#requestIdHeader];
    // By itself: it was cut out of the answer's head, which would stay with it.
    if (typeof id === "string") this.#requestId = Buffer.from(id, "latin1").toString("latin1");
  }

  #idDetail(): { readonly requestId?: string } {
    return this.#requestId === undefined ? {} : { requestId: this.#requestId };
  }
}

/**
 * HTTP for every provider that has no socket of its own (language models, Whisper, voices over HTTP): a keep-alive
 * pool to one origin. A streamed answer's bytes go straight
 * to the `ResponseSink` that came with the request; an answer other than 200 comes as a whole.
 *
 * Why not fetch: its web streams and an SDK's stream reader cost 1.6 ms of CPU per answer of 30 tokens, an
 * SDK over this pool 0.7, this way 0.5; a call in conversation makes one every few seconds and has 1 ms per
 * second for everything.
 *
 * Invariants:
 * H1  A sink hears one of `onResponseEnd`, `onResponseBroken`, `onRefused` and `onUnanswered`, at most once,
 *     and nothing after `abort()` nor from inside `send()`.
 * H2  A request that failed on a socket before any byte of an answer is sent once more, on another socket:
 *     an idle socket the server closed just then looks like that. Nothing else is retried here.
 */
import type { Dispatcher } from "undici";
import { type Network, type NetworkPool, systemNetwork } from "./network.js";

/** Of an answer that is an error; they are a few hundred bytes. */
const ERROR_BODY_MAX_BYTES = 16 * 1024;
/** H2. */
const STALE_SOCKET_RETRIES_MAX = 1;
const STALE_SOCKET_CODES: ReadonlySet<string> = new Set(["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"]);

export interface HttpRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | null;
}

/** An answer that does not stream. */
export interface HttpAnswer {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The first ERROR_BODY_MAX_BYTES of it, or less. */
  readonly text: string;
}

/** Told to the pool, which tells nobody. One for all: replies are given up several times a turn, and a stack costs. */
const ABORTED = new Error("aborted");

export interface ResponseSink {
  /** The request is under way; `exchange.abort()` ends it. Called from inside `send()`. */
  onExchange(exchange: Exchange): void;
  onResponseData(chunk: Buffer): void;
  onResponseEnd(): void;
  onResponseBroken(error: Error): void;
  /** Any status but 200. */
  onRefused(answer: HttpAnswer): void;
  /** There was no answer at all. */
  onUnanswered(error: Error): void;
}

export interface Exchange {
  /** Idempotent. The socket is closed, since the rest of the answer is on its way on it. */
  abort(): void;
  /** Nothing more is read from the socket until after `resume()`. For whoever has as much as it keeps. */
  pause(): void;
  resume(): void;
}

export class HttpTransport {
  readonly #pool: NetworkPool;

  constructor(
    origin: string,
    socketsMax: number,
    connectTimeoutMs: number,
    network: Network = systemNetwork,
  ) {
    this.#pool = network.openPool(origin, { socketsMax, connectTimeoutMs });
  }

  send(request: HttpRequest, sink: ResponseSink): void {
    new PoolExchange(this.#pool, request, sink).start();
  }

  /** The status of the answer, whose body is read and dropped; 0 when there was none. */
  touch(request: HttpRequest): Promise<number> {
    return new Promise((resolve) => {
      this.send(request, {
        onExchange() {},
        onResponseData() {},
        onResponseEnd: () => resolve(200),
        onResponseBroken: () => resolve(0),
        onRefused: ({ status }) => resolve(status),
        onUnanswered: () => resolve(0),
      });
    });
  }

  /** Requests under way are aborted. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

class PoolExchange implements Exchange, Dispatcher.DispatchHandler {
  readonly #pool: NetworkPool;
  readonly #options: Dispatcher.DispatchOptions;
  readonly #sink: ResponseSink;
  #controller: Dispatcher.DispatchController | null = null;
  #retryCount = 0;
  #aborted = false;
  #dispatching = false;
  #status = 0;
  #headers: Record<string, string | undefined> = {};
  /** Of an answer that does not stream; null while there is none, and of one that does. */
  #body: Buffer[] | null = null;
  #bodyBytes = 0;

  constructor(pool: NetworkPool, request: HttpRequest, sink: ResponseSink) {
    this.#pool = pool;
    // Copied: the pool is free to add to its headers.
    this.#options = { ...request, headers: { ...request.headers } };
    this.#sink = sink;
  }

  start(): void {
    this.#sink.onExchange(this);
    if (!this.#aborted) this.#dispatch();
  }

  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#controller?.abort(ABORTED);
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    // Later: the pool parses for one socket at a time, and throws when asked from inside another's answer. What waited
    // in the socket comes from inside it, too.
    queueMicrotask(() => {
      if (!this.#aborted) this.#controller?.resume();
    });
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#aborted) controller.abort(ABORTED);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    if (status < 200) return;
    this.#status = status;
    if (status === 200) return;
    this.#body = [];
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined) this.#headers[name.toLowerCase()] = String(value);
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#aborted) return;
    if (this.#body === null) {
      this.#sink.onResponseData(chunk);
      return;
    }
    if (this.#bodyBytes + chunk.length > ERROR_BODY_MAX_BYTES) return;
    this.#bodyBytes += chunk.length;
    this.#body.push(Buffer.from(chunk));
  }

  onResponseEnd(): void {
    if (this.#aborted) return;
    if (this.#body === null) this.#sink.onResponseEnd();
    else this.#refused(this.#body);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#aborted) return;
    // H1: the pool may answer at once, with no socket to be had.
    if (this.#dispatching) queueMicrotask(() => this.#failed(error));
    else this.#failed(error);
  }

  #dispatch(): void {
    this.#dispatching = true;
    try {
      this.#pool.dispatch(this.#options, this);
    } finally {
      this.#dispatching = false;
    }
  }

  #failed(error: Error): void {
    if (this.#aborted) return;
    const code = "code" in error ? String(error.code) : "";
    if (this.#status === 0 && STALE_SOCKET_CODES.has(code) && this.#retryCount < STALE_SOCKET_RETRIES_MAX) {
      this.#retryCount += 1; // H2
      this.#dispatch();
    } else if (this.#status === 0) this.#sink.onUnanswered(error);
    // A refusal whose body broke off is a refusal.
    else if (this.#body !== null) this.#refused(this.#body);
    else this.#sink.onResponseBroken(error);
  }

  #refused(body: readonly Buffer[]): void {
    const text = Buffer.concat(body).toString("utf8");
    this.#sink.onRefused({ status: this.#status, headers: this.#headers, text });
  }
}

/**
 * HTTP for the model's SDK: a keep-alive pool of sockets to one origin, dressed as the `fetch` the SDK
 * wants. A streamed answer's bytes go straight to the `ResponseSink` that came with the request.
 *
 * Why not real fetch: its web streams and the SDK's stream reader cost 1.6 ms of CPU per answer of 30
 * tokens, this way 0.6 (the SDK's share is 0.2); a call in conversation makes one every few seconds and has
 * 1 ms per second for everything.
 *
 * Invariants:
 * H1  A sink hears `onResponseEnd` or `onResponseBroken` at most once, and nothing after `abort()`.
 * H2  A request that failed on a socket before any byte of an answer is sent once more, on another socket:
 *     an idle socket the server closed just then looks like that. Nothing else is retried here.
 */
import type { Dispatcher } from "undici";
import { type Network, type NetworkPool, systemNetwork } from "../network.js";

/** Of an answer that is an error; they are a few hundred bytes. */
const ERROR_BODY_MAX_BYTES = 16 * 1024;
/** H2. */
const STALE_SOCKET_RETRIES_MAX = 1;
const STALE_SOCKET_CODES: ReadonlySet<string> = new Set(["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"]);

export interface ResponseSink {
  /** The request is under way; `exchange.abort()` ends it. Called before any other, perhaps synchronously. */
  onExchange(exchange: Exchange): void;
  onResponseData(chunk: Buffer): void;
  onResponseEnd(): void;
  onResponseBroken(error: Error): void;
}

export interface Exchange {
  /** Idempotent. The socket is closed, since the rest of the answer is on its way on it. */
  abort(): void;
}

/** How a request of the SDK carries its sink: a property the SDK copies along and nobody else reads. */
export const SINK = Symbol("responseSink");

interface Outcome {
  readonly resolve: (response: Response) => void;
  readonly reject: (error: Error) => void;
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

  /** Shaped like `fetch`, for the SDK; answers other than 200 to a sink's request come as whole responses. */
  readonly fetch = (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input);
    const sink = (init as { readonly [SINK]?: ResponseSink } | undefined)?.[SINK] ?? null;
    const options: Dispatcher.DispatchOptions = {
      path: url.pathname + url.search,
      method: init?.method ?? "GET",
      headers: Object.fromEntries(new Headers(init?.headers)),
      body: (init?.body ?? null) as string | null,
    };
    return new Promise((resolve, reject) => {
      new PoolExchange(this.#pool, options, sink, { resolve, reject }).start();
    });
  };

  /** Requests under way are aborted. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

class PoolExchange implements Exchange, Dispatcher.DispatchHandler {
  readonly #pool: NetworkPool;
  readonly #options: Dispatcher.DispatchOptions;
  readonly #sink: ResponseSink | null;
  readonly #outcome: Outcome;
  #controller: Dispatcher.DispatchController | null = null;
  #retryCount = 0;
  #aborted = false;
  /** Whole answers: the body so far. Null while there is no answer, or when it streams to the sink. */
  #body: Buffer[] | null = null;
  #bodyBytes = 0;
  #status = 0;
  #headers: Headers | null = null;

  constructor(
    pool: NetworkPool,
    options: Dispatcher.DispatchOptions,
    sink: ResponseSink | null,
    outcome: Outcome,
  ) {
    this.#pool = pool;
    this.#options = options;
    this.#sink = sink;
    this.#outcome = outcome;
  }

  start(): void {
    this.#sink?.onExchange(this);
    if (!this.#aborted) this.#pool.dispatch(this.#options, this);
  }

  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    const error = new Error("aborted");
    // Rejected here too: a request that still waits for a socket would not hear of it before it has one.
    this.#outcome.reject(error);
    this.#controller?.abort(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#aborted) controller.abort(new Error("aborted"));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    if (status < 200) return;
    this.#status = status;
    this.#headers = new Headers();
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined) this.#headers.set(name, String(value));
    }
    if (this.#sink === null || status !== 200) this.#body = [];
    else this.#outcome.resolve(new Response(null, { status, headers: this.#headers }));
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#aborted) return;
    if (this.#body === null) {
      this.#sink?.onResponseData(chunk);
      return;
    }
    if (this.#bodyBytes + chunk.length > ERROR_BODY_MAX_BYTES) return;
    this.#bodyBytes += chunk.length;
    this.#body.push(Buffer.from(chunk));
  }

  onResponseEnd(): void {
    if (this.#aborted) return;
    if (this.#body === null) {
      this.#sink?.onResponseEnd();
      return;
    }
    const headers = this.#headers ?? new Headers();
    // 204 and 304 may not have a body at all.
    const body = this.#bodyBytes === 0 ? null : Buffer.concat(this.#body);
    this.#outcome.resolve(new Response(body, { status: this.#status, headers }));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#aborted) return;
    const code = "code" in error ? String(error.code) : "";
    if (this.#status === 0 && STALE_SOCKET_CODES.has(code) && this.#retryCount < STALE_SOCKET_RETRIES_MAX) {
      this.#retryCount += 1; // H2
      this.#pool.dispatch(this.#options, this);
      return;
    }
    if (this.#status !== 0 && this.#body === null) this.#sink?.onResponseBroken(error);
    else this.#outcome.reject(error);
  }
}

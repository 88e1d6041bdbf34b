/**
 * HTTP to a vendor inside a simulated world: what a client asks of undici's pool, and the vendor's end of each request.
 *
 * X1 what a request is told comes in order, an instant each, on a later tick, in the client's own thread; nothing after its
 *    end, nor once the client's thread is gone.
 */
import type { NetworkPool } from "#actors/providers";
import type { SimThread, SimTime } from "./sim-time.js";

export type PoolRequest = Parameters<NetworkPool["dispatch"]>[0];
type Handler = Parameters<NetworkPool["dispatch"]>[1];
type Controller = Parameters<NonNullable<Handler["onRequestStart"]>>[0];

const LATENCY_MS = [4, 20] as const;

export interface SimPoolOptions {
  readonly time: SimTime;
  readonly thread: SimThread;
  readonly isOut: () => boolean;
  readonly answer: (exchange: SimExchange, request: PoolRequest) => void;
}

export class SimPool implements NetworkPool {
  readonly #options: SimPoolOptions;
  readonly #exchanges = new Set<SimExchange>();

  constructor(options: SimPoolOptions) {
    this.#options = options;
  }

  get openCount(): number {
    return this.#exchanges.size;
  }

  dispatch(request: PoolRequest, handler: Handler): boolean {
    const { time, thread, isOut, answer } = this.#options;
    const exchange = new SimExchange(time, thread, handler, () => this.#exchanges.delete(exchange));
    this.#exchanges.add(exchange);
    exchange.begin();
    if (isOut()) exchange.whole(503, { error: { message: "down" } });
    else answer(exchange, request);
    return true;
  }

  /** What is under way breaks off. */
  breakAll(): void {
    const broken = [...this.#exchanges];
    this.#options.thread.after(0, () => {
      for (const exchange of broken) exchange.break();
    });
  }

  destroy(): Promise<void> {
    this.drop();
    return Promise.resolve();
  }

  /** The client's thread is gone. */
  drop(): void {
    this.#exchanges.clear();
  }
}

export class SimExchange {
  readonly #time: SimTime;
  readonly #thread: SimThread;
  readonly #handler: Handler;
  readonly #onGone: () => void;
  readonly #controller: Controller;
  #isOver = false;
  #dueAtMs = 0;

  constructor(time: SimTime, thread: SimThread, handler: Handler, onGone: () => void) {
    this.#time = time;
    this.#thread = thread;
    this.#handler = handler;
    this.#onGone = onGone;
    this.#controller = {
      aborted: false,
      paused: false,
      reason: null,
      pause: () => {},
      resume: () => {},
      abort: (error: Error) => {
        if (this.#isOver) return;
        this.#leave();
        this.#thread.after(0, () => this.#handler.onResponseError?.(this.#controller, error));
      },
    };
  }

  begin(): void {
    this.#dueAtMs = this.#time.nowMs() + this.#time.between(...LATENCY_MS);
    this.#later(0, () => this.#handler.onRequestStart?.(this.#controller, null));
  }

  answers(delayMs: number): void {
    this.#later(delayMs, () => this.#handler.onResponseStart?.(this.#controller, 200, {}, "OK"));
  }

  data(delayMs: number, data: string | Buffer): void {
    this.#later(delayMs, () => this.#handler.onResponseData?.(this.#controller, Buffer.from(data as string)));
  }

  done(delayMs: number): void {
    this.#later(delayMs, () => this.#end(() => this.#handler.onResponseEnd?.(this.#controller, {})));
  }

  breakLater(delayMs: number): void {
    this.#later(delayMs, () => this.break());
  }

  break(): void {
    if (this.#isOver) return;
    const error = Object.assign(new Error("reset"), { code: "ECONNRESET" });
    this.#end(() => this.#handler.onResponseError?.(this.#controller, error));
  }

  /** An answer that does not stream. */
  whole(status: number, body: object, retryAfterMs = 0): void {
    const headers = retryAfterMs > 0 ? { "retry-after": String(Math.ceil(retryAfterMs / 1_000)) } : {};
    this.#later(2, () => this.#handler.onResponseStart?.(this.#controller, status, headers, ""));
    this.data(0, JSON.stringify(body));
    this.done(0);
  }

  /** X1 */
  #later(delayMs: number, body: () => void): void {
    this.#dueAtMs = Math.max(this.#dueAtMs + 1, this.#dueAtMs + delayMs);
    this.#thread.after(this.#dueAtMs - this.#time.nowMs(), () => {
      if (!this.#isOver) body();
    });
  }

  #end(tell: () => void): void {
    this.#leave();
    tell();
  }

  #leave(): void {
    this.#isOver = true;
    this.#onGone();
  }
}

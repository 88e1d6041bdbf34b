/**
 * A WebSocket to a vendor inside a simulated world: what a client asks of `ws`, and the vendor's end of it.
 *
 * K1 events reach the client in order, each on a later tick, in the client's own thread; none after `close`.
 * K2 a client that dies takes its end with it: the vendor hears of it at once and nothing is delivered.
 */
import type { NetworkSocket } from "#actors/providers";
import type { SimThread, SimTime } from "./sim-time.js";

export interface VendorEnd {
  /** The client has heard that it is open. */
  onOpen?(): void;
  onText(text: string): void;
  onBinary(data: Uint8Array): void;
  onGone(): void;
}

type Listener = (...parameters: readonly unknown[]) => void;

const LATENCY_MS = [4, 12] as const;

export class SimSocket {
  readonly bufferedAmount = 0;
  /** The vendor sends nothing any more, not even to pings, though the socket is open. */
  isDeaf = false;
  readonly #time: SimTime;
  readonly #thread: SimThread;
  readonly #listeners = new Map<string, Listener>();
  readonly #onGone: (socket: SimSocket) => void;
  #vendor: VendorEnd | null = null;
  #state: "connecting" | "open" | "closing" | "closed" = "connecting";
  #lastDueAtMs = 0;

  constructor(time: SimTime, thread: SimThread, onGone: (socket: SimSocket) => void) {
    this.#time = time;
    this.#thread = thread;
    this.#onGone = onGone;
  }

  asNetworkSocket(): NetworkSocket {
    return this as unknown as NetworkSocket;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  // ---- the client's end

  on(event: string, listener: Listener): this {
    this.#listeners.set(event, listener);
    return this;
  }

  send(text: string): void {
    if (this.#state === "open") this.#vendor?.onText(text);
  }

  sendBinary(data: Uint8Array): void {
    if (this.#state === "open") this.#vendor?.onBinary(data);
  }

  ping(): void {
    if (!this.isDeaf) this.#deliver(0, () => this.#emit("pong"));
  }

  close(): void {
    if (this.#state === "closing" || this.#state === "closed") return;
    const wasOpen = this.#state === "open";
    this.#state = "closing";
    // Before it is open `ws` reports an error and then the close.
    if (!wasOpen) this.#deliver(0, () => this.#emit("error", new Error("closed before it was open")));
    if (!this.isDeaf) this.#deliver(0, () => this.#closed(1000, ""));
  }

  terminate(): void {
    if (this.#state === "closed") return;
    this.#state = "closing";
    this.#thread.after(0, () => this.#closed(1006, ""));
  }

  // ---- the vendor's end

  accept(delayMs: number, vendor: VendorEnd): void {
    this.#deliver(delayMs, () => {
      if (this.#state !== "connecting") return;
      this.#state = "open";
      this.#vendor = vendor;
      this.#emit("upgrade", { headers: {} });
      this.#emit("open");
      vendor.onOpen?.();
    });
  }

  refuse(delayMs: number, status: number): void {
    this.#deliver(delayMs, () => {
      if (this.#state !== "connecting") return;
      this.#emit("unexpected-response", {}, { headers: {}, statusCode: status, destroy: () => {} });
    });
  }

  /** A message to the client. */
  tell(delayMs: number, message: object): void {
    if (this.isDeaf) return;
    this.#deliver(delayMs, () => {
      if (this.#state === "open") this.#emit("message", Buffer.from(JSON.stringify(message)), false);
    });
  }

  /** The network breaks it, or the vendor does. */
  break(delayMs: number): void {
    this.#deliver(delayMs, () => {
      if (this.#state === "closed") return;
      this.#emit("error", Object.assign(new Error("reset"), { code: "ECONNRESET" }));
      this.#closed(1006, "");
    });
  }

  /** The vendor closes it, and says why. */
  end(code: number, reason: string): void {
    this.#deliver(0, () => this.#closed(code, reason));
  }

  /** The client's process or thread is gone. */
  drop(): void {
    this.#state = "closed";
    this.#leave();
  }

  /** K1 */
  #deliver(delayMs: number, body: () => void): void {
    const nowMs = this.#time.nowMs();
    // One later than the one before: the clock fires what is due at one instant in any order.
    this.#lastDueAtMs = Math.max(this.#lastDueAtMs + 1, nowMs + this.#time.between(...LATENCY_MS) + delayMs);
    this.#thread.after(this.#lastDueAtMs - nowMs, () => {
      if (this.#state !== "closed") body();
    });
  }

  #closed(code: number, reason: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#leave();
    this.#emit("close", code, Buffer.from(reason));
  }

  #leave(): void {
    const vendor = this.#vendor;
    this.#vendor = null;
    vendor?.onGone();
    this.#onGone(this);
  }

  #emit(event: string, ...parameters: readonly unknown[]): void {
    this.#listeners.get(event)?.(...parameters);
  }
}

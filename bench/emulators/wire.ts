/**
 * The server's end of one socket: sends, and can be made to hold back, fall silent or break off.
 *
 * W1: what is sent leaves in the order it was sent, whatever delay or stall was on in between.
 */
import type { Clock, TimerHandle } from "#runtime/actor";

/** Messages held back by a delay fault; past it the oldest are let go at once. */
const HELD_MESSAGES_MAX = 10_000;

/** What a vendor does with the messages of one socket. */
export interface WireHandler {
  onText(text: string): void;
  /** The view is only valid during the call. */
  onBinary(bytes: Uint8Array): void;
  onPing(): void;
  /** Once, and the last. */
  onClosed(): void;
}

/** What a Wire needs of the socket underneath. */
export interface RawSocket {
  send(text: string): void;
  end(code: number, reason: string): void;
  close(): void;
}

interface HeldMessage {
  readonly dueAtMs: number;
  readonly act: () => void;
}

/** The server's end of one socket. After it closed every method does nothing. */
export class Wire {
  readonly #clock: Clock;
  #socket: RawSocket | null = null;
  #handler: WireHandler | null = null;
  /** In order; empty unless a fault delays or stalls. */
  #held: HeldMessage[] = [];
  #heldTimer: TimerHandle | null = null;
  #muted = false;
  #delayMs = 0;
  #stalled = false;
  /** Text messages sent. */
  sentCount = 0;
  /** Called after each message has been handed to the kernel, in the same tick. */
  onSent: (() => void) | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get open(): boolean {
    return this.#socket !== null;
  }

  sendJson(message: object): void {
    this.send(JSON.stringify(message));
  }

  send(text: string): void {
    this.#pass(() => {
      if (this.#socket === null) return;
      this.#socket.send(text);
      this.sentCount += 1;
      this.onSent?.();
    });
  }

  /** With a close frame, after whatever is held back. */
  close(code: number, reason: string): void {
    this.#pass(() => this.closeNow(code, reason));
  }

  closeNow(code: number, reason: string): void {
    this.#socket?.end(code, reason);
  }

  /** Without a close frame: the client sees 1006. */
  drop(): void {
    this.#socket?.close();
  }

  /** Half-open: nothing more is sent or heard, and nothing is closed. Pings are still answered; see NetworkTap. */
  mute(): void {
    this.#muted = true;
  }

  /** Everything sent from now on leaves this much later, in order. 0 ends it for what follows. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Holds everything back until `resume`. */
  stall(): void {
    this.#stalled = true;
  }

  resume(): void {
    this.#stalled = false;
    this.#release();
  }

  #pass(act: () => void): void {
    if (this.#socket === null || this.#muted) return;
    if (!this.#stalled && this.#delayMs === 0 && this.#held.length === 0) {
      act();
      return;
    }
    this.#held.push({ dueAtMs: this.#clock.nowMs() + this.#delayMs, act });
    if (this.#held.length > HELD_MESSAGES_MAX) this.#held.shift()!.act();
    this.#release();
  }

  /** Lets go what is due, in order, and comes back for the rest. */
  #release(): void {
    this.#heldTimer?.cancel();
    this.#heldTimer = null;
    if (this.#stalled) return;
    const nowMs = this.#clock.nowMs();
    while (this.#held.length > 0 && this.#held[0]!.dueAtMs <= nowMs) this.#held.shift()!.act();
    if (this.#held.length === 0) return;
    this.#heldTimer = this.#clock.setTimer(this.#held[0]!.dueAtMs - nowMs, () => this.#release());
  }

  /** @internal */
  opened(socket: RawSocket, begin: (wire: Wire) => WireHandler): void {
    this.#socket = socket;
    this.#handler = begin(this);
  }

  /** @internal */
  received(message: ArrayBuffer, isBinary: boolean): void {
    if (this.#muted || this.#socket === null) return;
    if (isBinary) this.#handler?.onBinary(new Uint8Array(message));
    else this.#handler?.onText(Buffer.from(message).toString("utf8"));
  }

  /** @internal */
  pinged(): void {
    if (!this.#muted) this.#handler?.onPing();
  }

  /** @internal */
  closed(): void {
    this.#socket = null;
    this.#held = [];
    this.#heldTimer?.cancel();
    this.#handler?.onClosed();
    this.#handler = null;
  }
}

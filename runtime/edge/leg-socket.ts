/**
 * A leg's end of its WebSocket.
 *
 * K1  The socket is not touched once it has closed: uWebSockets.js throws.
 * K2  A socket that hears nothing for half the time is pinged, and lost when the other half has passed
 *     without an answer. The second half counts from the ping, so that after a stall of our own, when all
 *     sockets look silent, each gets its chance.
 */
import type { WebSocket } from "uWebSockets.js";

/** send() as uWebSockets.js answers it: the buffer is full and the message was not taken. */
const SEND_REFUSED = 2;

export class LegSocket {
  #socket: WebSocket<unknown> | null = null;
  #lastHeardAtMs: number;
  #pingSentAtMs = Number.NEGATIVE_INFINITY;

  constructor(nowMs: number) {
    this.#lastHeardAtMs = nowMs;
  }

  get lastHeardAtMs(): number {
    return this.#lastHeardAtMs;
  }

  get isOpen(): boolean {
    return this.#socket !== null;
  }

  opened(socket: WebSocket<unknown>): void {
    this.#socket = socket;
  }

  /** The library says it is gone. */
  closed(): void {
    this.#socket = null;
  }

  heard(nowMs: number): void {
    this.#lastHeardAtMs = nowMs;
  }

  /** K2: pings when it is time to; true when the socket is lost. */
  isLost(nowMs: number, halfOpenMs: number): boolean {
    const halfMs = halfOpenMs / 2;
    if (nowMs - this.#lastHeardAtMs < halfMs) return false;
    if (this.#pingSentAtMs > this.#lastHeardAtMs) return nowMs - this.#pingSentAtMs >= halfMs;
    this.#pingSentAtMs = nowMs;
    this.#socket?.ping();
    return false;
  }

  /** False when the other side has not read for so long that the buffer is full. */
  send(text: string): boolean {
    return this.#socket === null || this.#socket.send(text) !== SEND_REFUSED;
  }

  /** Runs `callback`; what it sends leaves in one packet. */
  cork(callback: () => void): void {
    this.#socket?.cork(callback);
  }

  /** Closes it, and so has the library call its close handler before this returns. False when it was closed. */
  close(code: number, reason: string): boolean {
    const socket = this.#socket;
    this.#socket = null;
    socket?.end(code, reason);
    return socket !== null;
  }

  bufferedBytes(): number {
    return this.#socket?.getBufferedAmount() ?? 0;
  }
}

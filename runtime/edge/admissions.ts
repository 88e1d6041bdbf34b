/**
 * Calls whose webhook was answered and whose media socket has not come yet.
 *
 * A1  An admitted call leaves here exactly once: its socket came (take), its time ran out, or the carrier
 *     said the call is over (both expire it).
 * A2  A webhook that the carrier repeats is the same call again, not a second one: it gets the same answer.
 * A3  A token opens one socket. A call may have several tokens: one per media socket it is to have in its life, and
 *     one more when two nodes answered its webhook.
 */
import { LRUCache } from "lru-cache";
import type { Clock, TimerHandle } from "#runtime/actor";
import type { Admission } from "./delegate.js";

export type Admitted = Extract<Admission, { kind: "admitted" }>;

export interface WaitingCall {
  readonly admitted: Admitted;
  readonly carrier: string;
  readonly carrierCallId: string;
  /** Its token ends then too. */
  readonly expiresAtUnixMs: number;
}

/** Tokens live for half a minute: some hours of calls. */
const SPENT_MAX = 10_000;

export class Admissions {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #onExpired: (callId: string) => void;
  /** Bounded by the slots there are: each entry holds one. */
  readonly #waiting = new Map<string, { readonly call: WaitingCall; readonly timer: TimerHandle }>();
  readonly #callIds = new Map<string, string>();
  #lastExpiryUnixMs = 0;
  readonly #spent = new LRUCache<string, true>({ max: SPENT_MAX });

  constructor(clock: Clock, ttlMs: number, onExpired: (callId: string) => void) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#onExpired = onExpired;
  }

  /** When a token made now ends. Never the same twice: a call's second token must not be its first again (A3). */
  nextExpiry(): number {
    const expiresAtUnixMs = Math.ceil(this.#clock.unixMs() + this.#ttlMs);
    this.#lastExpiryUnixMs = Math.max(expiresAtUnixMs, this.#lastExpiryUnixMs + 1);
    return this.#lastExpiryUnixMs;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  add(carrier: string, carrierCallId: string, admitted: Admitted): WaitingCall {
    const { callId } = admitted;
    this.#remove(callId);
    const expiresAtUnixMs = this.nextExpiry();
    const call: WaitingCall = { admitted, carrier, carrierCallId, expiresAtUnixMs };
    const timer = this.#clock.setTimer(this.#ttlMs, () => this.expire(callId));
    this.#waiting.set(callId, { call, timer });
    this.#callIds.set(keyOf(carrier, carrierCallId), callId);
    return call;
  }

  /** A2 */
  find(carrier: string, carrierCallId: string): WaitingCall | null {
    const callId = this.#callIds.get(keyOf(carrier, carrierCallId));
    return callId === undefined ? null : (this.#waiting.get(callId)?.call ?? null);
  }

  waiting(callId: string): WaitingCall | null {
    return this.#waiting.get(callId)?.call ?? null;
  }

  /** The socket came. Null when the call is not waiting (any more). */
  take(callId: string): WaitingCall | null {
    return this.#remove(callId);
  }

  /** A3: false when it was spent before. */
  spend(token: string): boolean {
    if (this.#spent.has(token)) return false;
    this.#spent.set(token, true);
    return true;
  }

  isSpent(token: string): boolean {
    return this.#spent.has(token);
  }

  /** The socket was refused for a reason of ours: the token may be tried again. */
  unspend(token: string): void {
    this.#spent.delete(token);
  }

  expire(callId: string): void {
    if (this.#remove(callId) !== null) this.#onExpired(callId);
  }

  expireAll(): void {
    for (const callId of this.#waiting.keys()) this.expire(callId);
  }

  #remove(callId: string): WaitingCall | null {
    const entry = this.#waiting.get(callId);
    if (entry === undefined) return null;
    entry.timer.cancel();
    this.#waiting.delete(callId);
    this.#callIds.delete(keyOf(entry.call.carrier, entry.call.carrierCallId));
    return entry.call;
  }
}

function keyOf(carrier: string, carrierCallId: string): string {
  return `${carrier}/${carrierCallId}`;
}

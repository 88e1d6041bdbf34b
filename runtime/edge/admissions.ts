/**
 * Calls whose webhook was answered and whose media socket has not come yet.
 *
 * A1  An admitted call leaves here exactly once: its socket came (take), its time ran out, or the carrier
 *     said the call is over (both expire it).
 * A2  A webhook that the carrier repeats is the same call again, not a second one: it gets the same answer.
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

/** Only to tell a token used twice from one that ran out, in the answer: some hours of calls. */
const TAKEN_MAX = 10_000;

export class Admissions {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #onExpired: (callId: string) => void;
  /** Bounded by the slots there are: each entry holds one. */
  readonly #waiting = new Map<string, { readonly call: WaitingCall; readonly timer: TimerHandle }>();
  readonly #callIds = new Map<string, string>();
  readonly #taken = new LRUCache<string, true>({ max: TAKEN_MAX });

  constructor(clock: Clock, ttlMs: number, onExpired: (callId: string) => void) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#onExpired = onExpired;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  add(carrier: string, carrierCallId: string, admitted: Admitted): WaitingCall {
    const { callId } = admitted;
    this.#remove(callId);
    const expiresAtUnixMs = Math.ceil(this.#clock.unixMs() + this.#ttlMs);
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
    const call = this.#remove(callId);
    if (call !== null) this.#taken.set(callId, true);
    return call;
  }

  wasTaken(callId: string): boolean {
    return this.#taken.has(callId);
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

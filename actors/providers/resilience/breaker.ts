/**
 * A circuit breaker: after enough failures nobody asks, for a while; then one at a time may try.
 *
 *                 enough faults, or a bad key                     time is up, and somebody asks
 *   closed ─────────────────────────────────────> open ─────────────────────────────────────> halfOpen
 *     ^                                            ^                                            │  │
 *     │                                            └──────────────── a probe failed ────────────┘  │
 *     └──────────────────────────── PROBES_TO_CLOSE probes in a row went well ─────────────────────┘
 *
 * Ours rather than a library's: cockatiel and opossum wrap a function that returns a promise and count its
 * settling, on the process's own clock. Here what is guarded is a stream that may fail after its first words, is
 * cancelled by the caller's "no, wait" without having failed, and is hedged; and a test must own the time.
 *
 * Invariants
 * B1 open lets nobody through; half-open at most PROBES_AT_ONCE at a time, and who has nobody else to ask.
 * B2 it stays open longer each time it is opened again without having closed, up to BACKOFF_MAX_MS, with jitter.
 * B3 no timer: time is looked at when somebody asks.
 * B4 a connection that opens is no success, but ends a probe well: it is what a network's hiccup takes away, and what
 *    five hundred streams wait for. Not where silence on open connections was the fault: then words alone end it.
 * B5 what was asked before it last opened says nothing any more: `era` tells, and whoever enters remembers it.
 */
import type { Clock, Random } from "#runtime/actor";
import { BACKOFF_MAX_MS, backoffMs } from "../backoff.js";

/** Failures older than this are forgotten: a bad minute an hour ago says nothing about now. */
export const WINDOW_MS = 10_000;
const BUCKET_COUNT = 10;
const BUCKET_MS = WINDOW_MS / BUCKET_COUNT;
/** Fewer faults in the window open nothing: two unlucky calls are no outage. */
export const MIN_FAULTS = 5;
/** Share of the window's outcomes. Below it callers are better off trying: a fallback covers the rest. */
const FAULT_SHARE = 0.5;
/** Without traffic to take shares of, so many faults in a row will do, however far apart. */
export const FAULTS_IN_ROW = 3;
/** The first stay; jitter takes up to half of it. Shorter would be two callers' timeouts per second of outage. */
const FIRST_OPEN_BACKOFF = 4; // backoffMs(4) is at most 2 s
/** A key is put right by a person: asking twice a minute is enough. */
export const DENIED_OPEN_MS = BACKOFF_MAX_MS;
/** The caller behind a probe may pay for it with a second of silence: one at a time. */
const PROBES_AT_ONCE = 1;
/** One may be luck: half of a provider's servers may be back. */
export const PROBES_TO_CLOSE = 2;
/** A probe that has told nothing for this long (a stream nobody speaks into) stands in nobody's way. */
export const PROBE_PATIENCE_MS = 15_000;

export type BreakerState = "closed" | "open" | "halfOpen";

export class Breaker {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #onChange: (state: BreakerState) => void;
  readonly #faults = Array.from({ length: BUCKET_COUNT }, () => 0);
  readonly #successes = Array.from({ length: BUCKET_COUNT }, () => 0);
  #bucket = 0;
  #state: BreakerState = "closed";
  #openUntilMs = 0;
  #era = 0;
  /** Times it was opened since it was last closed. */
  #openings = 0;
  #faultsInRow = 0;
  #probeCount = 0;
  #probedAtMs = 0;
  #goodProbes = 0;
  /** B4: what opened it was one that let us in and told nothing. */
  #wasMute = false;

  constructor(clock: Clock, random: Random, onChange: (state: BreakerState) => void = () => {}) {
    this.#clock = clock;
    this.#random = random;
    this.#onChange = onChange;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** B5. Another one each time it opens. */
  get era(): number {
    return this.#era;
  }

  /** How long nobody will be let through; 0 when somebody may. */
  get closedForMs(): number {
    return this.#state === "open" ? Math.max(0, this.#openUntilMs - this.#clock.nowMs()) : 0;
  }

  /** Whether one more may try now; `isLast`: he has nobody else to ask. Takes nothing. */
  mayTry(isLast = false): boolean {
    if (this.#state === "closed") return true;
    const nowMs = this.#clock.nowMs();
    if (this.#state === "open") return nowMs >= this.#openUntilMs;
    return isLast || this.#probeCount < PROBES_AT_ONCE || nowMs - this.#probedAtMs >= PROBE_PATIENCE_MS; // B1
  }

  /** Lets one through, or not. What it did is told by `succeeded`, `failed` or `abandoned`, once, within its era. */
  tryEnter(isLast = false): boolean {
    if (!this.mayTry(isLast)) return false;
    if (this.#state === "closed") return true;
    if (this.#state === "open") this.#move("halfOpen");
    // Also in place of one that has told nothing for long.
    this.#probeCount = Math.min(this.#probeCount + 1, PROBES_AT_ONCE);
    this.#probedAtMs = this.#clock.nowMs();
    return true;
  }

  /** Whether words are needed to close it again. */
  get wasMute(): boolean {
    return this.#wasMute;
  }

  /** B4. A connection is open. True: that was all its probe was for. */
  reached(): boolean {
    if (this.#state !== "halfOpen" || this.#wasMute) return false;
    this.#probed();
    return true;
  }

  /** `hasProbed`: `reached` has counted it. */
  succeeded(hasProbed = false): void {
    this.#faultsInRow = 0;
    if (this.#state === "closed") this.#successes[this.#turnTo()]! += 1;
    else if (this.#state === "halfOpen" && !hasProbed) this.#probed();
    // Open: it began before that, and says nothing of now.
  }

  /** A fault; `denied`: a key that is no good; `mute`: it let us in and told nothing (B4). */
  failed({ denied = false, mute = false } = {}): void {
    if (this.#state === "open") return;
    this.#faultsInRow += 1;
    const bucket = this.#turnTo();
    this.#faults[bucket]! += 1;
    if (denied || this.#state === "halfOpen" || this.#isEnough()) {
      this.#openings += 1;
      this.#wasMute = mute;
      const stayMs = backoffMs(this.#openings - 1 + FIRST_OPEN_BACKOFF, this.#random); // B2
      this.#open(denied ? Math.max(stayMs, DENIED_OPEN_MS) : stayMs);
    }
  }

  /** It went, for reasons that say nothing about the provider. */
  abandoned(): void {
    if (this.#state === "halfOpen") this.#probeCount = Math.max(0, this.#probeCount - 1);
  }

  /** Another thread's breaker has opened: we need not find out for ourselves. */
  openedElsewhere(forMs: number, wasMute = false): void {
    if (this.#state === "open") return;
    this.#wasMute = wasMute;
    this.#openings = Math.max(1, this.#openings);
    // A little later than the one that found out: its probes come first, and tell us.
    this.#open(forMs * (1 + this.#random.next() / 4));
  }

  /** Another thread's probes went well. */
  closedElsewhere(): void {
    if (this.#state !== "closed") this.#move("closed");
  }

  #probed(): void {
    this.#probeCount = Math.max(0, this.#probeCount - 1);
    this.#goodProbes += 1;
    if (this.#goodProbes >= PROBES_TO_CLOSE) this.#move("closed");
  }

  #open(forMs: number): void {
    this.#era += 1;
    this.#openUntilMs = this.#clock.nowMs() + forMs;
    this.#move("open");
  }

  #move(state: BreakerState): void {
    this.#state = state;
    this.#probeCount = 0;
    this.#goodProbes = 0;
    if (state === "closed") {
      this.#openings = 0;
      this.#wasMute = false;
      this.#faultsInRow = 0;
      this.#faults.fill(0);
      this.#successes.fill(0);
    }
    this.#onChange(state);
  }

  #isEnough(): boolean {
    if (this.#faultsInRow >= FAULTS_IN_ROW && this.#sum(this.#successes) === 0) return true;
    const faults = this.#sum(this.#faults);
    return faults >= MIN_FAULTS && faults >= FAULT_SHARE * (faults + this.#sum(this.#successes));
  }

  #sum(counts: readonly number[]): number {
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** The present bucket's index; those that passed by since the last look are emptied. */
  #turnTo(): number {
    const bucket = Math.floor(this.#clock.nowMs() / BUCKET_MS);
    const passed = Math.min(bucket - this.#bucket, BUCKET_COUNT);
    for (let back = 0; back < passed; back += 1) {
      const index = (bucket - back) % BUCKET_COUNT;
      this.#faults[index] = 0;
      this.#successes[index] = 0;
    }
    this.#bucket = bucket;
    return bucket % BUCKET_COUNT;
  }
}

/**
 * How far one reply was heard. The carrier tells when a mark was played: that is the truth. Between marks the clock says
 * how far it can have come, never past the next mark that has not come back.
 *
 * Invariants
 * PP1 the position never runs ahead of what was written, nor past a mark that has not come back, nor on from a gap for
 *     the time that it lasted, nor, once the reply is cut, ahead of what had left.
 * PP2 the clock starts with the first byte that left, or with a mark behind it: not with that of what another owner sent,
 *     nor with the end of a pause, both of which may come while nothing has left.
 */

/** A position at which not even words that end with the first byte have been heard. */
const BEFORE_FIRST_MS = -1;

interface PendingMark {
  readonly id: number;
  readonly positionMs: number;
}

export class PlayoutPosition {
  /** Written, and not come back. */
  readonly #marks: PendingMark[] = [];
  /** This was heard for sure, at that instant; null before the first byte left (PP2). */
  #anchorMs = 0;
  #anchorAtMs: number | null = null;
  /** PP1: all that was written had been played when more came; from this position on nothing played before this instant. */
  #dryMs = 0;
  #dryAtMs = Number.NEGATIVE_INFINITY;
  /** PP1. Of a reply that was cut: what the edge had taken. */
  #leftMs = Number.POSITIVE_INFINITY;
  #isPaused = false;

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** What the marks that came back say was heard. */
  get confirmedMs(): number {
    return this.#anchorMs;
  }

  /** Whether the first byte has left. */
  get isStarted(): boolean {
    return this.#anchorAtMs !== null;
  }

  /** Whether all marks came back. */
  get isConfirmed(): boolean {
    return this.#marks.length === 0;
  }

  /** Another reply. `hasQueued`: before its first byte the carrier plays something that belongs to it. */
  reset(hasQueued: boolean): void {
    this.#marks.length = 0;
    this.#anchorMs = hasQueued ? BEFORE_FIRST_MS : 0;
    this.#anchorAtMs = null;
    this.#dryMs = 0;
    this.#dryAtMs = Number.NEGATIVE_INFINITY;
    this.#leftMs = Number.POSITIVE_INFINITY;
    this.#isPaused = false;
  }

  /** How much of the reply the caller has heard at `atMs`, of which `writtenMs` were written. */
  at(atMs: number, writtenMs: number): number {
    if (this.#anchorAtMs === null) return this.#anchorMs;
    const byClock = this.#byClockMs(this.#anchorAtMs, atMs);
    // PP1; a hair before the mark, as the word that ends there has not been confirmed
    const bound = Math.min(writtenMs, this.#leftMs, (this.#marks[0]?.positionMs ?? Infinity) - 0.5);
    return Math.max(this.#anchorMs, Math.min(byClock, bound));
  }

  /** The first byte left for the carrier. */
  start(atMs: number): void {
    this.#anchorAtMs = atMs;
  }

  /** A mark was written, after so much audio. */
  addMark(id: number, positionMs: number): void {
    this.#marks.push({ id, positionMs });
  }

  /** Whether this mark was written and has not come back. */
  awaits(id: number): boolean {
    return this.#marks.some((mark) => mark.id === id);
  }

  /** One that is awaited came back: everything before it was played at `atMs`. */
  confirm(id: number, atMs: number): void {
    const index = this.#marks.findIndex((mark) => mark.id === id);
    this.#anchorMs = this.#marks[index]!.positionMs;
    if (this.isStarted || this.#anchorMs > 0) this.#anchorAtMs = atMs;
    this.#marks.splice(0, index + 1);
  }

  /** PP1. More is about to be written, after `writtenMs`. */
  noteDry(nowMs: number, writtenMs: number): void {
    const anchorAtMs = this.#anchorAtMs;
    if (anchorAtMs === null || this.#byClockMs(anchorAtMs, nowMs) < writtenMs) return;
    this.#dryMs = writtenMs;
    this.#dryAtMs = nowMs;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(nowMs: number, writtenMs: number): void {
    this.#anchorMs = this.at(nowMs, writtenMs);
    if (this.isStarted) this.#anchorAtMs = nowMs;
    this.#isPaused = false;
  }

  /** The reply is cut: so much of it had left. */
  cut(leftMs: number): void {
    this.#leftMs = leftMs;
    this.#isPaused = false;
  }

  /** All of it was heard. */
  finish(writtenMs: number): void {
    this.#marks.length = 0;
    this.#anchorMs = writtenMs;
    this.#isPaused = false;
  }

  /** How far it can have come at most, had all of it been written. */
  #byClockMs(anchorAtMs: number, atMs: number): number {
    const sinceMs = this.#isPaused ? 0 : Math.max(0, atMs - anchorAtMs);
    return Math.min(this.#anchorMs + sinceMs, this.#dryMs + Math.max(0, atMs - this.#dryAtMs));
  }
}

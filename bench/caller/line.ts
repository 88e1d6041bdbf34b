/**
 * The line between the phone's carrier and the node, with its faults. Messages leave in order, as on one TCP
 * connection: a message held back holds everything after it.
 *
 * L1 without jitter and stall a message is sent in the tick it was made.
 * L2 a lost frame never leaves; its numbers are used up, so the node sees the gap.
 */
import type { Random } from "#runtime/actor";

/** What is wrong with the line. Absent means perfect. */
export interface LineImpairments {
  /** The agent's own voice comes back into the microphone, this much below what was played; −20 is a poor line. */
  readonly echo?: { readonly gainDb: number; readonly delayMs: number };
  /** Steady noise this far below speech level, all the time: 20 is a car. */
  readonly noise?: { readonly snrDb: number };
  /** Each message is delayed by a random time up to this. @default 0 */
  readonly jitterMs?: number;
  /** Share of audio frames that never arrive, 0 to 1. @default 0 */
  readonly lossRatio?: number;
  /** Share of audio frames that change places with the next, as from a carrier that mixes its own packets up. @default 0 */
  readonly reorderRatio?: number;
  /** The carrier says late that a mark was played, or never. @default at once */
  readonly markDelayMs?: number | "never";
  /** Nothing leaves for `durationMs`, then everything at once; `atMs` counts from the stream's start. */
  readonly stall?: { readonly atMs: number; readonly durationMs: number };
}

/** A minute of a stalled line at 50 frames a second; beyond it the carrier drops the oldest (31930). */
const HELD_MESSAGES_MAX = 3000;

interface HeldMessage {
  readonly text: string;
  readonly releaseAtMs: number;
}

export class LineOut {
  droppedMessages = 0;
  lostFrames = 0;
  readonly #send: (text: string) => void;
  readonly #random: Random;
  readonly #jitterMs: number;
  readonly #lossRatio: number;
  readonly #reorderRatio: number;
  /** A frame that lets the next one go first. */
  #overtaken: string | null = null;
  #held: HeldMessage[] = [];
  #stalledUntilMs = 0;

  constructor(line: LineImpairments, random: Random, send: (text: string) => void) {
    this.#send = send;
    this.#random = random;
    this.#jitterMs = line.jitterMs ?? 0;
    this.#lossRatio = line.lossRatio ?? 0;
    this.#reorderRatio = line.reorderRatio ?? 0;
  }

  /** Whether the next audio frame is to be lost; counts it. */
  loses(): boolean {
    if (this.#lossRatio === 0 || this.#random.next() >= this.#lossRatio) return false;
    this.lostFrames++;
    return true;
  }

  /** Nothing leaves from now on for this long. */
  stall(nowMs: number, durationMs: number): void {
    this.#stalledUntilMs = Math.max(this.#stalledUntilMs, nowMs + durationMs);
  }

  /** The same for a frame of audio, which may be overtaken by the next. */
  pushAudio(text: string, nowMs: number): void {
    const overtaken = this.#overtaken;
    this.#overtaken = null;
    if (overtaken === null && this.#reorderRatio > 0 && this.#random.next() < this.#reorderRatio) {
      this.#overtaken = text;
      return;
    }
    this.push(text, nowMs);
    if (overtaken !== null) this.push(overtaken, nowMs);
  }

  push(text: string, nowMs: number): void {
    const jitterMs = this.#jitterMs === 0 ? 0 : this.#random.next() * this.#jitterMs;
    const releaseAtMs = Math.max(nowMs + jitterMs, this.#stalledUntilMs);
    if (this.#held.length === 0 && releaseAtMs <= nowMs) {
      this.#send(text); // L1
      return;
    }
    if (this.#held.length === HELD_MESSAGES_MAX) {
      this.#held.shift();
      this.droppedMessages++;
    }
    this.#held.push({ text, releaseAtMs });
  }

  /** Sends what is due; a message waits for those before it. */
  flush(nowMs: number): void {
    let count = 0;
    while (count < this.#held.length && this.#held[count]!.releaseAtMs <= nowMs) {
      this.#send(this.#held[count]!.text);
      count++;
    }
    if (count > 0) this.#held.splice(0, count);
  }

  /** Sends everything, due or not: the carrier says its last words. */
  flushAll(): void {
    this.flush(Number.POSITIVE_INFINITY);
    if (this.#overtaken !== null) this.#send(this.#overtaken);
    this.#overtaken = null;
  }

  get heldCount(): number {
    return this.#held.length;
  }
}

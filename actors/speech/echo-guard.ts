/**
 * Whether what comes in is what we sent, coming back.
 *
 * We keep the level of every 20 ms we play. An inbound frame is echo when somewhere in the last 600 ms we
 * played something so much louder that its echo explains the frame. A caller talking over us is louder than
 * our echo and gets through. A caller as faint as our echo does not; the recogniser still hears him, and
 * `ourWords` helps to tell his words from ours.
 *
 *   played    ......####.##..####.........        (playAtMs on this clock)
 *   inbound   .........####.##..####......        loss 20 dB, 0 to 300 ms later
 *                      ^ loudest played in [at − 600, at], less the line's loss, is the most echo there can be
 *
 * When it played is an estimate between two marks, and on a busy machine or a slow network far off. So two
 * histories are kept: the estimate, from which the line is learned, and what may have been playing at all,
 * between the last mark that came back and the furthest that the clock allows; echo may be of either.
 *
 * The loss is 12 dB until more is known of the line, then what was learned of it (see echo-path.ts). The
 * delay is not narrowed down to what was learned: jitter buffers move it in mid-call.
 */
import { FRAME_MS } from "#runtime/media";
import { EchoPath } from "./echo-path.js";
import { SentLevels } from "./sent-levels.js";

export interface EchoGuardOptions {
  /**
   * How much fainter echo is than what was sent, at the least, before the line is known. Telephone sets keep
   * leakage to the microphone over 20; a bad speakerphone reaches 12. @default 12
   */
  readonly returnLossDb?: number;
  /**
   * The latest echo: 300 for a mobile network's way to the phone and back, and 300 for what plays while
   * playout is paused and is only noted when its mark comes back, a quarter of a second later. @default 600
   */
  readonly maxDelayMs?: number;
}

const DEFAULT_RETURN_LOSS_DB = 12;
/** Learned losses stay within: an echo of −20 dB always counts as echo, a caller of our own level never. */
const RETURN_LOSS_MIN_DB = 6;
const RETURN_LOSS_MAX_DB = 18;
const DEFAULT_MAX_DELAY_MS = 600;
/** Fainter than this our playout is a pause, from which nothing is learned of the line. */
const AUDIBLE_DB = -50;
/** The window grows by how late a record is (see `isEcho`), up to the burst after a long stall. */
const LATE_MAX_MS = 1_000;

export class EchoGuard {
  readonly #maxDelayMs: number;
  readonly #sent = new SentLevels();
  readonly #maybe = new SentLevels();
  readonly #path: EchoPath;

  constructor(options: EchoGuardOptions = {}) {
    this.#maxDelayMs = options.maxDelayMs ?? DEFAULT_MAX_DELAY_MS;
    this.#path = new EchoPath(
      options.returnLossDb ?? DEFAULT_RETURN_LOSS_DB,
      RETURN_LOSS_MIN_DB,
      RETURN_LOSS_MAX_DB,
    );
  }

  /** How much fainter than what we sent a frame must be to count as echo, as far as the line is known. */
  get returnLossDb(): number {
    return this.#path.lossDb;
  }

  /** We play a frame of this level at this instant (an estimate; it may lie ahead). */
  noteSentLevel(levelDb: number, playAtMs: number): void {
    this.#sent.note(levelDb, playAtMs);
  }

  /** At this instant something of this level may be playing: the loudest of all that may. */
  noteMaybe(levelDb: number, atMs: number): void {
    this.#maybe.note(levelDb, atMs);
  }

  /** One inbound frame, whatever it holds: learns how much comes back. `VoiceActivity` calls it. */
  observe(levelDb: number, atMs: number): void {
    if (this.#sent.loudestBefore(atMs, this.#windowFrames(0)) < AUDIBLE_DB) return;
    this.#path.observe(levelDb, atMs, this.#sent);
  }

  /**
   * Whether an inbound frame of this level that arrived at `atMs` is no louder than our echo can be. `lateMs`:
   * how much later than usual it arrived (the burst after a stall); its echo is of something that much older.
   */
  isEcho(levelDb: number, atMs: number, lateMs = 0): boolean {
    const frames = this.#windowFrames(lateMs);
    const sentDb = Math.max(this.#sent.loudestBefore(atMs, frames), this.#maybe.loudestBefore(atMs, frames));
    return levelDb <= sentDb - this.#path.lossDb;
  }

  #windowFrames(lateMs: number): number {
    // One more: a frame heard may lie across two that were sent.
    return Math.ceil((this.#maxDelayMs + Math.min(lateMs, LATE_MAX_MS)) / FRAME_MS) + 1;
  }
}

/**
 * What the echo guard is told of a reply: the level of each frame as it was played, and the loudest that may be playing.
 *
 * Invariants
 * PE1 whatever the caller may be hearing is known to the echo guard before the frame that may hold its echo is judged,
 *     however late marks, threads and networks are.
 */
import { type AudioFormat, FRAME_MS } from "#runtime/media";
import { AudioLevels, type EchoGuard } from "#actors/speech";

/** What the carrier still plays of another owner's is taken to be as loud as this: nobody here has seen it. */
const QUEUED_LEVEL_DB = -15;

export class PlayoutEcho {
  readonly #guard: Pick<EchoGuard, "noteSentLevel" | "noteMaybe">;
  readonly #levels: AudioLevels;
  /** Frames that the guard was told of. */
  #notedFrames = 0;
  #startedAtMs: number | null = null;

  constructor(guard: Pick<EchoGuard, "noteSentLevel" | "noteMaybe">, format: AudioFormat) {
    this.#guard = guard;
    this.#levels = new AudioLevels(format);
  }

  /** Another reply. */
  reset(): void {
    this.#levels.reset();
    this.#notedFrames = 0;
    this.#startedAtMs = null;
  }

  audio(bytes: Uint8Array): void {
    this.#levels.push(bytes);
  }

  /** The first byte left for the carrier. */
  start(atMs: number): void {
    this.#startedAtMs = atMs;
  }

  /** Everything before this position was played at `atMs`. */
  notePlayed(playedMs: number, atMs: number): void {
    for (; (this.#notedFrames + 1) * FRAME_MS <= playedMs; this.#notedFrames += 1) {
      const frameAtMs = atMs - (playedMs - this.#notedFrames * FRAME_MS);
      this.#guard.noteSentLevel(this.#levels.at(this.#notedFrames), frameAtMs);
    }
  }

  /** What another owner sent may be playing. */
  noteQueued(atMs: number): void {
    this.#guard.noteMaybe(QUEUED_LEVEL_DB, atMs);
  }

  /**
   * PE1. From the last mark on, as marks are late; to where the clock would be if nothing had ever held our
   * audio up, as nothing plays sooner.
   */
  noteMaybe(confirmedMs: number, writtenMs: number, atMs: number): void {
    if (this.#startedAtMs === null) return;
    const untilMs = Math.min(atMs - this.#startedAtMs, writtenMs);
    this.#guard.noteMaybe(this.#levels.loudest(Math.max(0, confirmedMs), untilMs), atMs);
  }
}

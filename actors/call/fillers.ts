/**
 * Words for a caller who is kept waiting: one filler at most per reply, before its first word, or where the model stalls
 * within it and the caller has heard all there is.
 */
import type { Clock, TimerHandle } from "#runtime/actor";
import type { CachedSpeech } from "./voice-cache.js";

/** A caller starts to wonder after a second of nothing. */
export const FILLER_AFTER_MS = 1_200;
/** A reply that stalls is bridged when no more than this of it is left to hear: by then the filler is on its way. */
export const STALL_LEFT_MS = 100;

export interface FillersDeps {
  readonly clock: Clock;
  readonly guard: (body: () => void) => void;
  /** Null when it is not cached. */
  readonly filler: () => CachedSpeech | null;
  /** Whether it would be the first that is heard: behind text that waits for its voice it would come after the answer. */
  readonly wouldBeFirst: () => boolean;
  /** Whether the model is answering, and a caller hears what it says. */
  readonly isHeard: () => boolean;
  /** Of what it has said so far, what is left to hear; null: it has said nothing yet. */
  readonly leftMs: () => number | null;
  readonly onFirst: (filler: CachedSpeech) => void;
  /** Within the answer. */
  readonly onStall: (filler: CachedSpeech) => void;
}

export class Fillers {
  readonly #deps: FillersDeps;
  #first: TimerHandle | null = null;
  #stall: TimerHandle | null = null;
  #hasFilled = false;
  #lastTextAtMs = 0;

  constructor(deps: FillersDeps) {
    this.#deps = deps;
  }

  /** The caller begins to wait for the first word. */
  arm(): void {
    if (this.#first !== null) return;
    this.#first = this.#after(FILLER_AFTER_MS, () => {
      const filler = this.#deps.wouldBeFirst() ? this.#deps.filler() : null;
      if (filler === null) return;
      this.#hasFilled = true;
      this.#deps.onFirst(filler);
    });
  }

  /** There is something to hear. */
  onAudio(): void {
    this.#first?.cancel();
  }

  /** The model goes on. */
  onText(atMs: number): void {
    this.#lastTextAtMs = atMs;
    this.watch();
  }

  /** From here on the answer is looked after. The one timer looks again rather than being set anew for each token. */
  watch(afterMs = FILLER_AFTER_MS): void {
    if (this.#stall !== null || this.#hasFilled || !this.#deps.isHeard()) return;
    this.#stall = this.#after(afterMs, () => {
      this.#stall = null;
      this.#look();
    });
  }

  close(): void {
    this.#first?.cancel();
    this.#stall?.cancel();
  }

  #look(): void {
    const { clock, filler, onStall, leftMs } = this.#deps;
    const playingMs = this.#deps.isHeard() ? leftMs() : null;
    if (playingMs === null) return;
    const quietForMs = FILLER_AFTER_MS - (clock.nowMs() - this.#lastTextAtMs);
    const waitMs = Math.max(quietForMs, playingMs - STALL_LEFT_MS);
    if (waitMs > 0) return this.watch(waitMs);
    const speech = this.#hasFilled ? null : filler();
    if (speech === null) return;
    this.#hasFilled = true;
    onStall(speech);
  }

  #after(delayMs: number, body: () => void): TimerHandle {
    return this.#deps.clock.setTimer(delayMs, () => this.#deps.guard(body));
  }
}

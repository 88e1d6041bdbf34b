/**
 * Our own words in what the recogniser hears: while we speak, and for as long after it as they may come back. Which of
 * them are whose says overlap.ts; here is what it has to be told.
 */
import type { SttWord } from "#actors/providers";
import type { VoiceActivity } from "#actors/speech";
import type { Listener } from "./listener.js";
import { KnownWords, type Overlap, whoseWords } from "./overlap.js";
import type { Playout } from "./playout.js";

/**
 * Words of ours that come back this long after we fell silent, in audio, may still be echo. As long as the
 * echo guard looks back; what the recogniser and we ourselves are late does not count.
 */
export const ECHO_TEXT_AFTER_MS = 600;

export interface EchoWordsDeps {
  readonly vad: Pick<VoiceActivity, "msOf" | "positionMs">;
  readonly listener: Listener;
  readonly playout: Pick<Playout, "spokenWords">;
}

export class EchoWords {
  readonly #deps: EchoWordsDeps;
  readonly #known = new KnownWords();
  /** Position in the caller's audio when we fell silent. */
  #silentSinceMs = Number.NEGATIVE_INFINITY;

  constructor(deps: EchoWordsDeps) {
    this.#deps = deps;
  }

  whose(words: readonly SttWord[]): Overlap {
    const { vad, playout } = this.#deps;
    return whoseWords(words, playout.spokenWords, vad, this.#known);
  }

  /** We fell silent: played out, or cut. */
  onSilent(): void {
    this.#silentSinceMs = this.#deps.vad.positionMs;
  }

  /** Drops our last words, heard back after we fell silent. The caller's answer may stand behind them. */
  forgetLate(): void {
    const { listener } = this.#deps;
    const untilMs = this.#silentSinceMs + ECHO_TEXT_AFTER_MS;
    if (listener.fromMs > untilMs) return;
    const words = listener.wordsUntil(untilMs);
    if (words.length > 0 && this.whose(words).isEcho) listener.forgetThrough(words.at(-1)!);
  }
}

/**
 * A caller of whom only sound arrives: whether he spoke, and the recogniser made nothing of it. He is told,
 * once between two turns, and not left to wait for an answer.
 */
import type { Clock } from "#runtime/actor";
import type { Endpointing, VoiceActivity } from "#actors/speech";
import type { ListeningTime } from "./listening-time.js";

/** A sound this long was meant to be words: coughs and doors are shorter. */
export const WORDLESS_SOUND_MS = 600;

export interface WordlessDeps {
  readonly clock: Clock;
  readonly vad: VoiceActivity;
  readonly endpointing: Endpointing;
  readonly listening: Pick<ListeningTime, "sinceSpeechMs">;
  readonly language: string;
}

export class Wordless {
  readonly #deps: WordlessDeps;
  #soundFromMs = 0;
  #isTold = false;

  constructor(deps: WordlessDeps) {
    this.#deps = deps;
  }

  /** Sound that began before this was made over the agent's words, or by a key: no words are missing from it. */
  ignoreSoundBefore(atMs: number): void {
    this.#soundFromMs = atMs;
  }

  /** The caller was understood: he may be told again. */
  onTurn(): void {
    this.#isTold = false;
  }

  /** Whether to tell him now; true once. To be asked while there are no words at all. */
  isDue(): boolean {
    const { vad, clock, endpointing, listening, language } = this.#deps;
    const { speechStartedAtMs, lastSpeechAtMs } = vad;
    if (this.#isTold || vad.isSpeech || speechStartedAtMs === null || lastSpeechAtMs === null) return false;
    if (speechStartedAtMs < this.#soundFromMs || lastSpeechAtMs - speechStartedAtMs < WORDLESS_SOUND_MS)
      return false;
    const decision = endpointing.decide({
      nowMs: clock.nowMs(),
      text: "",
      isFinal: true,
      sttEndOfSpeech: false,
      silenceMs: vad.silenceMs,
      sttTimeMs: listening.sinceSpeechMs,
      transcriptAtMs: null,
      language,
    });
    // A caller whom nobody understands is not asked in a circle.
    this.#isTold = decision.kind === "commit";
    return this.#isTold;
  }
}

/**
 * How far the journal tells what the caller said: where whoever goes on with the call begins to listen. A committed turn
 * says it; words that no turn has taken yet are told when what lies behind the last told word is about to be more than the
 * in-ring holds, or when no turn will take them soon.
 *
 * Invariants
 * W1 behind the position that is told lies all that was said and not told; before it nothing of the kind, but where the
 *    words cover what was heard: then the rest is no word.
 */
import { COVER_TOLERANCE_MS, type VoiceActivity } from "#actors/speech";
import type { AudioInstants } from "./audio-instants.js";
import type { JournalWriter } from "./journal-writer.js";
import type { Listener } from "./listener.js";

/**
 * The ring holds 2,560 ms; a shard that hangs is seen after a third of a second, and for as long as nobody goes on with the
 * call the ring gets more. Most turns are shorter.
 */
const TELL_EVERY_MS = 1_500;
/** A recogniser may still change its mind about younger words. */
const SETTLED_AFTER_MS = 500;
/** A late recogniser is always so far behind: what is told is worth an event. */
const WORTH_TELLING_MS = 700;

export interface ToldWordsDeps {
  readonly vad: VoiceActivity;
  readonly listener: Listener;
  readonly journal: JournalWriter;
  readonly instants: AudioInstants;
}

export class ToldWords {
  readonly #deps: ToldWordsDeps;
  /** In audio. */
  #throughMs = 0;
  #throughAtMs: number | null = null;
  #version = -1;

  constructor(deps: ToldWordsDeps) {
    this.#deps = deps;
  }

  /** Of the turn that was taken last. */
  get throughAtMs(): number | null {
    return this.#throughAtMs;
  }

  /** Words came since it was last asked for them. */
  get hasNews(): boolean {
    return this.#deps.listener.version !== this.#version;
  }

  /** Another owner had told so much of the audio that comes, up to this instant. */
  takeUp(throughMs: number, throughAtMs: number | null): void {
    this.#throughMs = throughMs;
    this.#throughAtMs = throughAtMs;
  }

  /** The listener's words were taken for a turn. By their own times: a late recogniser's pause was an earlier one (W1). */
  onTaken(): void {
    const { vad, listener } = this.#deps;
    const isCovered = vad.lastSpeechPositionMs - listener.throughMs <= COVER_TOLERANCE_MS;
    this.#move(isCovered ? vad.positionMs : listener.throughMs);
  }

  /** He may be in the midst of it. `turn`: the one that it will be; `text` puts `carried` words before. */
  tellSpoken(turn: number, withCarried: (words: string) => string): void {
    const { vad, listener } = this.#deps;
    if (!this.hasNews) return;
    this.#version = listener.version;
    if (vad.positionMs - Math.max(listener.fromMs, this.#throughMs) < TELL_EVERY_MS) return;
    this.#tell(turn, vad.positionMs - SETTLED_AFTER_MS, WORTH_TELLING_MS, withCarried);
  }

  /** They were said before the reply that is being spoken, and came after it had begun. */
  tellLate(turn: number, beforeMs: number): void {
    const { listener } = this.#deps;
    if (!this.hasNews || !listener.isFinal) return;
    this.#version = listener.version;
    this.#tell(turn, beforeMs, 0, (words) => words);
  }

  #tell(turn: number, untilMs: number, leastMs: number, withCarried: (words: string) => string): void {
    const { listener, journal } = this.#deps;
    const words = listener.wordsUntil(untilMs);
    const last = words.at(-1);
    if (last === undefined || last.endMs <= this.#throughMs + leastMs) return;
    this.#move(last.endMs);
    const said = withCarried(listener.textOf(words));
    journal.record({
      kind: "callerProgress",
      turn,
      throughAtMs: this.#throughAtMs,
      isOpen: true,
      pii: { said },
    });
  }

  #move(throughMs: number): void {
    this.#throughMs = throughMs;
    this.#throughAtMs = this.#deps.instants.at(throughMs);
  }
}

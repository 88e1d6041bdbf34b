/**
 * Whose words the recogniser heard while we spoke: the caller's, or our own come back from his phone.
 *
 *   heard      tuesday at ten    stop     brifht        please hold on
 *   voice      =================  ====    ~~~~~~        ~~~~~~~~~~~~~~     = speech   ~ echo, by its level
 *   ours       yes     yes yes   no       misheard      no     no   no
 *   whose      the caller's      his      ours          his: three in a row that are not ours
 *
 * The voice activity, which takes our echo out by level, is asked about each word, where it was said: that a
 * caller coughs says nothing of the echo before and after. Words alone decide where it heard nobody: a
 * caller as faint as our echo. Recognisers mishear echo, so it takes several that cannot be ours.
 */
import type { SttWord } from "#actors/providers";
import { FrameKind, type VoiceActivity, ourWords } from "#actors/speech";

/**
 * A caller as faint as our echo is not seen by the voice activity, but the recogniser hears him: so many
 * words in a row that are not ours are his all the same. Fewer may be an echo that was misheard.
 */
export const WORDS_WITHOUT_VOICE = 3;
/** Of a word that is not ours. A caller fainter than we are is heard in his vowels only. */
const VOICED_SHARE = 1 / 3;
/** Of words that are ours: the caller repeats them. A cough over our echo does not last as long as they do. */
const REPEATED_SHARE = 0.6;
/** Recognisers' word times are off by this much. */
const WORD_TIME_ERROR_MS = 100;
/** Of a word that may be echo. */
const ECHO_SHARE = 1 / 4;

export interface Overlap {
  /** The caller's words. */
  readonly caller: readonly string[];
  /** How many words stand before the first of his; all of them when there is none. */
  readonly echoCount: number;
  /** Every word was heard in our echo or is ours, and none is the caller's. */
  readonly isEcho: boolean;
}

type Voice = Pick<VoiceActivity, "msOf">;

export function whoseWords(
  words: readonly SttWord[],
  spokenWords: readonly string[],
  voice: Voice,
  known = new KnownWords(),
): Overlap {
  const ours = known.ours(words, spokenWords);
  const isRepeated = voicedShare(words.filter((_, index) => ours[index]!)) >= REPEATED_SHARE;
  const isHis = words.map((word, index) => (ours[index]! ? isRepeated : isVoiced(word)));
  markFaint(isHis, ours);
  const first = isHis.indexOf(true);
  return {
    caller: words.filter((_, index) => isHis[index]!).map(({ word }) => word),
    echoCount: first < 0 ? words.length : first,
    isEcho: first < 0 && words.every((word, index) => ours[index]! || isInEcho(word)),
  };

  function voicedShare(group: readonly SttWord[]): number {
    let totalMs = 0;
    let voicedMs = 0;
    for (const { startMs, endMs } of group) {
      totalMs += endMs - startMs;
      voicedMs += voice.msOf(FrameKind.speech, startMs, endMs);
    }
    return totalMs === 0 ? 0 : voicedMs / totalMs;
  }

  function isVoiced({ startMs, endMs }: SttWord): boolean {
    const voicedMs = voice.msOf(FrameKind.speech, startMs - WORD_TIME_ERROR_MS, endMs + WORD_TIME_ERROR_MS);
    return voicedMs > 0 && voicedMs >= (endMs - startMs) * VOICED_SHARE;
  }

  function isInEcho({ startMs, endMs }: SttWord): boolean {
    return voice.msOf(FrameKind.echo, startMs, endMs) >= (endMs - startMs) * ECHO_SHARE;
  }
}

/**
 * Which words may be ours, looked for again only when there are others, heard or spoken: while somebody talks over us it
 * is asked with each frame, and most frames bring none. Times move with every transcript, and do not matter here.
 */
export class KnownWords {
  #heard: readonly SttWord[] = [];
  #spoken: readonly string[] = [];
  #ours: readonly boolean[] = [];

  ours(heard: readonly SttWord[], spoken: readonly string[]): readonly boolean[] {
    if (spoken === this.#spoken && haveSameText(heard, this.#heard)) return this.#ours;
    this.#heard = heard;
    this.#spoken = spoken;
    this.#ours = ourWords(
      heard.map(({ word }) => word),
      spoken,
    );
    return this.#ours;
  }
}

function haveSameText(some: readonly SttWord[], others: readonly SttWord[]): boolean {
  return some.length === others.length && some.every(({ word }, index) => word === others[index]!.word);
}

/** Runs of words that are neither ours nor voiced, if long enough, are the caller's. */
function markFaint(isHis: boolean[], ours: readonly boolean[]): void {
  let runLength = 0;
  for (const [index, isOurs] of ours.entries()) {
    runLength = isOurs ? 0 : runLength + 1;
    if (runLength >= WORDS_WITHOUT_VOICE) isHis.fill(true, index + 1 - runLength, index + 1);
  }
}

/**
 * The spoken voice: eSpeak NG for people and speech detectors, with the bare tones beneath it for the
 * decoder. Each word's tones end where its voice ends, so that whoever is cut off in mid-word has said it
 * to neither.
 *
 * ```
 *  voice   |== we ==|=== have ===|= a =|==== table ====|     300–2400 Hz, SPOKEN_LEVEL_DBFS
 *  tones   |P we C| |P  have   C| |PaC| |P   table   C|      2600–3350 Hz, WATERMARK_LEVEL_DBFS
 * ```
 *
 * A phrase is spoken in one go, for its melody, but with gaps between the words, at which it is cut up;
 * each word is then stretched to the length of its tones, within what sounds natural, and what remains is
 * made up with a pause on the shorter side.
 */
import { LRUCache } from "lru-cache";
import { type EncodedWord, encodeText } from "./alphabet.js";
import { ESPEAK_RATE_HZ, Espeak, type EspeakSettings } from "./espeak.js";
import { toNarrowband } from "./narrowband.js";
import { SAMPLES_PER_MS } from "./signal.js";
import { stretch } from "./time-stretch.js";
import {
  type SpeechWord,
  type SynthesizedSpeech,
  type Voice,
  addTones,
  gapSamples,
  toneSamples,
} from "./tone-voice.js";

export interface SpokenVoiceOptions {
  /** eSpeak's name of voice and variant: another one tells caller and agent apart. @default "en-us+f3" */
  readonly voice?: string;
}

/** RMS of the voice: about what people on the telephone arrive with. */
export const SPOKEN_LEVEL_DBFS = -19;
/** RMS of the tones: a twitter one can listen past, and still 3 dB above noise that is 20 dB below the voice. */
export const WATERMARK_LEVEL_DBFS = -36;

const FRAME_SAMPLES = 20 * SAMPLES_PER_MS;
/** Words of an average length then take about as long as their tones. */
const WORDS_PER_MINUTE = 170;
/** 300 ms: longer than any pause a voice makes inside a word, so words can be told by it. */
const WORD_GAP = 30;
const GAP_MS = 150;
/** What a word bears before it sounds drawled or rushed. */
const LONGEST_STRETCH = 1.35;
const SHORTEST_STRETCH = 0.75;
/** Peak of a loud phrase; the tones and a codec's error fit above. */
const PEAK = 28_000;
/** 2 ms at both ends of a word, so that no cut clicks. */
const FADE_SAMPLES = 2 * SAMPLES_PER_MS;
/** Words spoken in one go: a long text is made in pieces of this at most. */
const MAX_PHRASE_WORDS = 40;
/**
 * Phrases kept, 8 MiB of samples: what a demo says again (greetings, re-prompts) costs nothing the second
 * time; the least recently used goes.
 */
const MAX_CACHED_PHRASE_BYTES = 8 * 1024 * 1024;
/** Single words kept: those that had to be spoken alone to tell how many pieces they make. */
const MAX_CACHED_WORDS = 512;

/**
 * Loads eSpeak NG (0.1 s, 70 MB of memory per voice); rejects with what is wrong with an unknown voice.
 * `synthesize` then takes 10 to 100 ms of this thread for a phrase, and nothing for one it has cached.
 */
export async function loadSpokenVoice(options: SpokenVoiceOptions = {}): Promise<Voice> {
  const voice = new SpokenVoice(await Espeak.load(), options.voice ?? "en-us+f3");
  voice.synthesize("hello");
  return voice;
}

class SpokenVoice implements Voice {
  readonly name = "spoken";
  readonly #espeak: Espeak;
  readonly #settings: EspeakSettings;
  readonly #phrases = new LRUCache<string, SynthesizedSpeech>({
    maxSize: MAX_CACHED_PHRASE_BYTES,
    sizeCalculation: (speech) => Math.max(1, speech.samples.byteLength),
  });
  readonly #words = new LRUCache<string, readonly Float64Array[]>({ max: MAX_CACHED_WORDS });

  constructor(espeak: Espeak, voice: string) {
    this.#espeak = espeak;
    this.#settings = { voice, wordsPerMinute: WORDS_PER_MINUTE, wordGap: WORD_GAP };
  }

  synthesize(text: string): SynthesizedSpeech {
    return join(phrases(encodeText(text)).map((phrase) => this.#phrase(phrase)));
  }

  #phrase(words: readonly EncodedWord[]): SynthesizedSpeech {
    const key = words.map((word) => word.word).join(" ");
    const cached = this.#phrases.get(key);
    if (cached !== undefined) return cached;
    const speech = compose(words, this.#speakWords(words));
    this.#phrases.set(key, speech);
    return speech;
  }

  /** The voice of each word. */
  #speakWords(words: readonly EncodedWord[]): Float64Array[] {
    const pieces = this.#pieces(words.map((word) => word.word).join(" "));
    const counts = words.map(({ word }) => (isPlain(word) ? 1 : this.#wordPieces(word).length));
    // Some words are spoken as two ("7:30"), a few pairs as one ("of the"): if the sum does not come out,
    // speak each word for itself.
    if (counts.reduce((sum, count) => sum + count, 0) !== pieces.length) {
      return words.map(({ word }) => joinPieces(this.#wordPieces(word)));
    }
    let at = 0;
    return counts.map((count) => {
      at += count;
      return joinPieces(pieces.slice(at - count, at));
    });
  }

  #wordPieces(word: string): readonly Float64Array[] {
    const cached = this.#words.get(word);
    if (cached !== undefined) return cached;
    const pieces = this.#pieces(word);
    this.#words.set(word, pieces);
    return pieces;
  }

  #pieces(text: string): Float64Array[] {
    const spoken = this.#espeak.speak(text, this.#settings);
    return soundBounds(spoken).map(([from, to]) => toNarrowband(spoken.subarray(from, to)));
  }
}

/** Whole sentences, as far as they are not too long. */
function phrases(words: readonly EncodedWord[]): EncodedWord[][] {
  const found: EncodedWord[][] = [];
  let phrase: EncodedWord[] = [];
  for (const word of words) {
    phrase.push(word);
    if (/[.?!]$/.test(word.word) || phrase.length === MAX_PHRASE_WORDS) {
      found.push(phrase);
      phrase = [];
    }
  }
  if (phrase.length > 0) found.push(phrase);
  return found;
}

/** Letters alone, and punctuation that is not spoken: eSpeak makes one piece of it. */
function isPlain(word: string): boolean {
  return /^["'(]*\p{L}[\p{Ll}'’]*[.,;:?!"')]*$/u.test(word);
}

/** Where sound begins and ends, in samples of eSpeak's; pauses shorter than GAP_MS are part of it. */
function soundBounds(samples: Int16Array): Array<readonly [number, number]> {
  // Of 32767: eSpeak's pauses are digital silence, its softest consonants a few hundred.
  const quiet = 40;
  const gap = (GAP_MS * ESPEAK_RATE_HZ) / 1000;
  const bounds: Array<readonly [number, number]> = [];
  let from = -1;
  let last = -1;
  for (let i = 0; i < samples.length; i++) {
    if (Math.abs(samples[i]!) < quiet) continue;
    if (from >= 0 && i - last > gap) {
      bounds.push([from, last + 1]);
      from = i;
    }
    if (from < 0) from = i;
    last = i;
  }
  if (from >= 0) bounds.push([from, last + 1]);
  return bounds;
}

/** The parts of one word, 40 ms apart. */
function joinPieces(pieces: readonly Float64Array[]): Float64Array {
  const between = 40 * SAMPLES_PER_MS;
  const length = pieces.reduce((sum, piece) => sum + piece.length + between, -between);
  const joined = new Float64Array(Math.max(0, length));
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length + between;
  }
  return joined;
}

/** Voice and tones of a phrase, word by word, in whole frames. */
function compose(encoded: readonly EncodedWord[], spoken: readonly Float64Array[]): SynthesizedSpeech {
  const voices = encoded.map((word, index) => fitVoice(word, spoken[index]!));
  const lengths = encoded.map((word, index) => {
    const voiceFrames = Math.ceil(voices[index]!.length / FRAME_SAMPLES);
    return Math.max(toneSamples(word), voiceFrames * FRAME_SAMPLES) + gapSamples(word);
  });
  const samples = new Int16Array(lengths.reduce((sum, length) => sum + length, 0));
  const gain = voiceGain(voices);
  const words: SpeechWord[] = [];
  let at = 0;
  encoded.forEach((word, index) => {
    const end = at + lengths[index]! - gapSamples(word);
    const voice = voices[index]!;
    addVoice(samples, end - voice.length, voice, gain);
    const start = end - toneSamples(word);
    addTones(samples, start, word, WATERMARK_LEVEL_DBFS);
    words.push({ word: word.word, startMs: start / SAMPLES_PER_MS, endMs: end / SAMPLES_PER_MS });
    at += lengths[index]!;
  });
  return { samples, words };
}

function fitVoice(word: EncodedWord, voice: Float64Array): Float64Array {
  const wanted = toneSamples(word);
  const length = Math.min(LONGEST_STRETCH * voice.length, Math.max(SHORTEST_STRETCH * voice.length, wanted));
  return stretch(voice, Math.round(length));
}

function voiceGain(voices: readonly Float64Array[]): number {
  let energy = 0;
  let count = 0;
  let peak = 1;
  for (const voice of voices) {
    for (const sample of voice) {
      energy += sample * sample;
      peak = Math.max(peak, Math.abs(sample));
    }
    count += voice.length;
  }
  if (energy === 0) return 0;
  const rms = Math.sqrt(energy / count);
  return Math.min((32767 * 10 ** (SPOKEN_LEVEL_DBFS / 20)) / rms, PEAK / peak);
}

function addVoice(target: Int16Array, offset: number, voice: Float64Array, gain: number): void {
  for (let i = 0; i < voice.length; i++) {
    const edge = Math.min(i + 1, voice.length - i);
    const fade = edge < FADE_SAMPLES ? edge / FADE_SAMPLES : 1;
    target[offset + i] = Math.round(gain * fade * voice[i]!);
  }
}

/** A copy even of a single phrase: phrases are shared, and callers may change their samples. */
function join(parts: readonly SynthesizedSpeech[]): SynthesizedSpeech {
  const samples = new Int16Array(parts.reduce((sum, part) => sum + part.samples.length, 0));
  const words: SpeechWord[] = [];
  let at = 0;
  for (const part of parts) {
    samples.set(part.samples, at);
    const atMs = at / SAMPLES_PER_MS;
    for (const { word, startMs, endMs } of part.words) {
      words.push({ word, startMs: startMs + atMs, endMs: endMs + atMs });
    }
    at += part.samples.length;
  }
  return { samples, words };
}

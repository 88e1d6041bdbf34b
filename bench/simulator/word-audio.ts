/**
 * Words as audio that costs next to nothing: 20 ms µ-law frames of one loudness, a word's name written into the signs of
 * its samples. What the caller heard and what the recogniser was sent is read off the frames, not assumed.
 *
 *   frame: | 32 sign bits: hash of the word | 8: index of the frame | 8: frames of the word | steady tone … |
 *
 * A sign changes no sample's magnitude, so that levels, and every decision made on them, are the same for all words.
 */
export const FRAME_BYTES = 160;
/** Of every word; the last of them is silence: a sound that never changes is taken for the line's noise. */
export const WORD_FRAMES = 12;
export const WORD_MS = WORD_FRAMES * 20;

const HEADER_BITS = 48;
const PLUS = 0x9f;
const MINUS = 0x1f;
export const SILENT_FRAME = new Uint8Array(FRAME_BYTES).fill(0xff);
/** Sound that is no word: a cough, a lorry. */
export const NOISE_FRAME = Uint8Array.from({ length: FRAME_BYTES }, (_, index) =>
  index % 16 < 8 ? PLUS : MINUS,
);

/** What one frame is. */
export interface HeardFrame {
  readonly word: string;
  readonly index: number;
}

/** By hash; words come from one process's scripts and replies, so that the table is bounded by what it simulates. */
const words = new Map<number, string>();

function hashOf(word: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** Writes a word's audio at `offset`: WORD_FRAMES frames. */
export function writeWord(word: string, into: Uint8Array, offset: number): void {
  const hash = hashOf(word);
  words.set(hash, word);
  for (let index = 0; index < WORD_FRAMES - 1; index++) {
    const start = offset + index * FRAME_BYTES;
    into.set(NOISE_FRAME, start);
    for (let bit = 0; bit < 32; bit++) into[start + bit] = (hash >>> bit) & 1 ? PLUS : MINUS;
    for (let bit = 0; bit < 8; bit++) {
      into[start + 32 + bit] = (index >>> bit) & 1 ? PLUS : MINUS;
      // Tells a word from noise: its complement.
      into[start + 40 + bit] = (index >>> bit) & 1 ? MINUS : PLUS;
    }
  }
  into.set(SILENT_FRAME, offset + (WORD_FRAMES - 1) * FRAME_BYTES);
}

export function wordsAudio(list: readonly string[]): Uint8Array {
  const audio = new Uint8Array(list.length * WORD_FRAMES * FRAME_BYTES);
  for (const [index, word] of list.entries()) writeWord(word, audio, index * WORD_FRAMES * FRAME_BYTES);
  return audio;
}

export function isSilent(audio: Uint8Array, offset: number): boolean {
  return audio[offset] === 0xff && audio[offset + HEADER_BITS] === 0xff;
}

/** Null for silence, and for sound that is no word. */
function readFrame(audio: Uint8Array, offset: number): HeardFrame | null {
  if (isSilent(audio, offset)) return null;
  let index = 0;
  for (let bit = 0; bit < 8; bit++) {
    const isSet = audio[offset + 32 + bit] === PLUS;
    if (isSet === (audio[offset + 40 + bit] === PLUS)) return null;
    if (isSet) index |= 1 << bit;
  }
  let hash = 0;
  for (let bit = 0; bit < 32; bit++) if (audio[offset + bit] === PLUS) hash |= 1 << bit;
  const word = words.get(hash >>> 0);
  return word === undefined ? null : { word, index };
}

/**
 * Puts frames together: a word counts when its last loud frame came after all those before it. Frames need not begin where
 * pieces of audio do: a reply that another owner goes on with may have ended anywhere in one.
 */
export class WordEar {
  #word = "";
  #next = -1;
  /** The piece before, and this one. */
  readonly #window = new Uint8Array(2 * FRAME_BYTES).fill(0xff);
  /** So many bytes before a piece begins the frame that ends in it. */
  #shift = 0;

  /** A piece as long as a frame. The word that is whole with it; null otherwise. */
  hear(audio: Uint8Array, offset: number): string | null {
    const window = this.#window;
    window.copyWithin(0, FRAME_BYTES);
    for (let at = 0; at < FRAME_BYTES; at++) window[FRAME_BYTES + at] = audio[offset + at]!;
    const frame = this.#read(window);
    if (frame === null) return null;
    const goesOn = frame.index === this.#next && frame.word === this.#word;
    this.#word = frame.word;
    this.#next = frame.index === 0 || goesOn ? frame.index + 1 : -1;
    return this.#next === WORD_FRAMES - 1 ? frame.word : null;
  }

  reset(): void {
    this.#next = -1;
    this.#shift = 0;
    this.#window.fill(0xff);
  }

  #read(window: Uint8Array): HeardFrame | null {
    const frame = readFrame(window, FRAME_BYTES - this.#shift);
    if (frame !== null || isSilent(window, FRAME_BYTES)) return frame;
    for (let shift = 0; shift < FRAME_BYTES; shift++) {
      const found = readFrame(window, FRAME_BYTES - shift);
      if (found?.index !== 0) continue;
      this.#shift = shift;
      return found;
    }
    return null;
  }
}

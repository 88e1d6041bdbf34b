/**
 * What a mark's number says: which turn's reply it stands in, and how many of its words have been heard when it comes
 * back. So that whoever goes on with a call knows it from the leg alone, when the actor that set it is gone.
 *
 * ```
 * bits   31 … 20   19 … 12   11 … 0
 *        serial    turn      words      the serial keeps marks of one epoch apart
 * ```
 */
const WORDS_BITS = 12;
const TURN_BITS = 8;
const WORDS_MAX = (1 << WORDS_BITS) - 1;
const TURN_MASK = (1 << TURN_BITS) - 1;
const SERIAL_MASK = (1 << (32 - WORDS_BITS - TURN_BITS)) - 1;

export interface ReplyMark {
  /** Modulo 256. */
  readonly turn: number;
  readonly wordCount: number;
}

export function markNumber(serial: number, turn: number, wordCount: number): number {
  const words = Math.min(wordCount, WORDS_MAX);
  const high = ((serial & SERIAL_MASK) << TURN_BITS) | (turn & TURN_MASK);
  return ((high << WORDS_BITS) | words) >>> 0;
}

export function readMark(mark: number): ReplyMark {
  return { turn: (mark >>> WORDS_BITS) & TURN_MASK, wordCount: mark & WORDS_MAX };
}

/**
 * Of the reply that this cue begins, or of a later one: cues and marks of an actor take their serials from one count. Two
 * replies may belong to one turn: the greeting, or an answer, and the question whether anybody is there.
 */
export function isSinceCue(mark: number, cue: number): boolean {
  const after = ((mark >>> (WORDS_BITS + TURN_BITS)) - cue) & SERIAL_MASK;
  return after > 0 && after <= SERIAL_MASK / 2;
}

export function isOfTurn(mark: number, turn: number): boolean {
  return readMark(mark).turn === (turn & TURN_MASK);
}

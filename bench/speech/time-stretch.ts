/**
 * A word made longer or shorter without changing its pitch (WSOLA): pieces of 30 ms are taken from about
 * where they should come from, each moved by a few milliseconds to where it continues the one before, and
 * cross-faded.
 */
import { SAMPLES_PER_MS } from "./signal.js";

const PIECE = 30 * SAMPLES_PER_MS;
const HOP = PIECE / 2;
/** At least a pitch period of a low voice (80 Hz) in all. */
const REACH = 7 * SAMPLES_PER_MS;

const fade = Float64Array.from(
  { length: PIECE },
  (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / PIECE),
);

export function stretch(input: Float64Array, outputLength: number): Float64Array {
  const output = new Float64Array(outputLength);
  if (input.length < PIECE + 2 * REACH || outputLength < PIECE) {
    // Too short to cut up: as it is, cut or filled with silence.
    output.set(input.subarray(0, outputLength));
    return output;
  }
  const lastFrom = input.length - PIECE;
  // The first piece begins half a piece early, so that every sample is in two.
  const pieceCount = Math.ceil(outputLength / HOP) + 1;
  let previous = 0;
  for (let piece = 0; piece < pieceCount; piece++) {
    const wanted = Math.round((lastFrom * piece) / (pieceCount - 1));
    const from = piece === 0 ? 0 : bestContinuation(input, wanted, previous + HOP, lastFrom);
    previous = from;
    overlapAdd(output, (piece - 1) * HOP, input, from);
  }
  return output;
}

/** The position near `wanted` whose audio is most like the one at `continuation`. */
function bestContinuation(
  input: Float64Array,
  wanted: number,
  continuation: number,
  lastFrom: number,
): number {
  const reference = Math.min(continuation, lastFrom);
  let best = wanted;
  let bestLikeness = Number.NEGATIVE_INFINITY;
  const last = Math.min(lastFrom, wanted + REACH);
  for (let from = Math.max(0, wanted - REACH); from <= last; from++) {
    let likeness = 0;
    for (let i = 0; i < PIECE; i += 2) likeness += input[from + i]! * input[reference + i]!;
    if (likeness > bestLikeness) {
      best = from;
      bestLikeness = likeness;
    }
  }
  return best;
}

function overlapAdd(output: Float64Array, at: number, input: Float64Array, from: number): void {
  const first = Math.max(0, -at);
  const end = Math.min(PIECE, output.length - at);
  for (let i = first; i < end; i++) output[at + i]! += input[from + i]! * fade[i]!;
}

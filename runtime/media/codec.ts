/**
 * Between the bytes on a line and 16-bit samples, for every encoding we carry. The loops are module
 * functions over typed arrays; ranges are checked once, before the loop.
 */
import assert from "node:assert/strict";
import { type AudioEncoding, bytesPerSample } from "./format.js";
import { alawSamples, encodeAlaw, encodeMulaw, mulawSamples } from "./g711.js";

/**
 * Decodes `byteLength` bytes of `source` into `target` and returns the number of samples. Of 16-bit audio an
 * odd last byte is left out: whoever cuts a stream into pieces keeps it for the next.
 */
export function decodeInto(
  encoding: AudioEncoding,
  source: Uint8Array,
  sourceOffset: number,
  byteLength: number,
  target: Int16Array,
  targetOffset: number,
): number {
  const sampleCount = bytesPerSample(encoding) === 1 ? byteLength : byteLength >>> 1;
  assertRange(source.length, sourceOffset, byteLength);
  assertRange(target.length, targetOffset, sampleCount);
  switch (encoding) {
    case "mulaw":
      decodeByTable(mulawSamples, source, sourceOffset, sampleCount, target, targetOffset);
      break;
    case "alaw":
      decodeByTable(alawSamples, source, sourceOffset, sampleCount, target, targetOffset);
      break;
    case "l16le":
      decodeLinear(source, sourceOffset, sourceOffset + 1, sampleCount, target, targetOffset);
      break;
    case "l16be":
      decodeLinear(source, sourceOffset + 1, sourceOffset, sampleCount, target, targetOffset);
      break;
  }
  return sampleCount;
}

/** Encodes `sampleCount` samples of `source` into `target` and returns the number of bytes. */
export function encodeInto(
  encoding: AudioEncoding,
  source: Int16Array,
  sourceOffset: number,
  sampleCount: number,
  target: Uint8Array,
  targetOffset: number,
): number {
  const byteLength = sampleCount * bytesPerSample(encoding);
  assertRange(source.length, sourceOffset, sampleCount);
  assertRange(target.length, targetOffset, byteLength);
  switch (encoding) {
    case "mulaw":
      for (let n = 0; n < sampleCount; n++) target[targetOffset + n] = encodeMulaw(source[sourceOffset + n]!);
      break;
    case "alaw":
      for (let n = 0; n < sampleCount; n++) target[targetOffset + n] = encodeAlaw(source[sourceOffset + n]!);
      break;
    case "l16le":
      encodeLinear(source, sourceOffset, sampleCount, target, targetOffset, targetOffset + 1);
      break;
    case "l16be":
      encodeLinear(source, sourceOffset, sampleCount, target, targetOffset + 1, targetOffset);
      break;
  }
  return byteLength;
}

/** Silence is not zero in every encoding: 0x00 in µ-law is the loudest there is. */
const silenceBytes: Readonly<Record<AudioEncoding, number>> = { mulaw: 0xff, alaw: 0xd5, l16le: 0, l16be: 0 };

/** The byte that silence is made of, in both bytes of a 16-bit sample. */
export function silenceByte(encoding: AudioEncoding): number {
  return silenceBytes[encoding];
}

function assertRange(length: number, offset: number, count: number): void {
  assert(offset >= 0 && count >= 0 && offset + count <= length, "the range is outside the array");
}

function decodeByTable(
  table: Readonly<Int16Array>,
  source: Uint8Array,
  sourceOffset: number,
  sampleCount: number,
  target: Int16Array,
  targetOffset: number,
): void {
  for (let n = 0; n < sampleCount; n++) target[targetOffset + n] = table[source[sourceOffset + n]!]!;
}

/** `lowOffset` and `highOffset` say where the first sample's low and high bytes lie. */
function decodeLinear(
  source: Uint8Array,
  lowOffset: number,
  highOffset: number,
  sampleCount: number,
  target: Int16Array,
  targetOffset: number,
): void {
  for (let n = 0; n < sampleCount; n++) {
    target[targetOffset + n] = source[lowOffset + 2 * n]! | (source[highOffset + 2 * n]! << 8);
  }
}

function encodeLinear(
  source: Int16Array,
  sourceOffset: number,
  sampleCount: number,
  target: Uint8Array,
  lowOffset: number,
  highOffset: number,
): void {
  for (let n = 0; n < sampleCount; n++) {
    const sample = source[sourceOffset + n]!;
    target[lowOffset + 2 * n] = sample;
    target[highOffset + 2 * n] = sample >> 8;
  }
}

/**
 * Strict base64 decoding from bytes into bytes, for the payload of a media message.
 *
 * Measured on Node 20 for 216 characters: this table 95–140 ns, latin1Slice and Buffer.write 100–105 ns.
 * Node's own would do for speed, but it skips characters that are not base64, so that broken input
 * would pass as audio, and it makes a string per frame. Encoding is Node's: 120 ns for 100 ms of audio,
 * where a table took 500.
 */

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PADDING = 0x3d;
/** -1 for what is not in the alphabet: its sign survives the shifts and ors below. */
const VALUES = new Int8Array(256).fill(-1);
for (let value = 0; value < 64; value++) VALUES[ALPHABET.charCodeAt(value)] = value;

/** Bytes needed at most for so many characters. */
export function base64DecodedMaxBytes(charCount: number): number {
  return Math.ceil(charCount / 4) * 3;
}

/**
 * Decodes `length` characters and returns the number of bytes written to `target` from 0, or -1 when
 * the text is not base64. Padding may be left out. `target` must hold base64DecodedMaxBytes(length).
 */
export function decodeBase64(source: Uint8Array, offset: number, length: number, target: Uint8Array): number {
  let end = offset + length;
  if ((length & 3) === 0 && length > 0) {
    if (source[end - 1] === PADDING) end--;
    if (source[end - 1] === PADDING) end--;
  }
  const remainder = (end - offset) & 3;
  const wholeEnd = end - remainder;
  let written = 0;
  let seen = 0;
  for (let index = offset; index < wholeEnd; index += 4) {
    const bits =
      (VALUES[source[index]!]! << 18) |
      (VALUES[source[index + 1]!]! << 12) |
      (VALUES[source[index + 2]!]! << 6) |
      VALUES[source[index + 3]!]!;
    seen |= bits;
    target[written] = bits >> 16;
    target[written + 1] = bits >> 8;
    target[written + 2] = bits;
    written += 3;
  }
  if (remainder === 1) return -1;
  if (remainder >= 2) {
    const third = remainder === 3 ? VALUES[source[wholeEnd + 2]!]! : 0;
    const bits = (VALUES[source[wholeEnd]!]! << 18) | (VALUES[source[wholeEnd + 1]!]! << 12) | (third << 6);
    seen |= bits;
    target[written++] = bits >> 16;
    if (remainder === 3) target[written++] = bits >> 8;
  }
  return seen < 0 ? -1 : written;
}

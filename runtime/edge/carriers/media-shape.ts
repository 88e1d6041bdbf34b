/**
 * The shape of one leg's media messages. From one to the next nothing changes but the counters and the audio, so
 * once a message was read key by key, those after it are compared with it, four bytes at a time, and read where the
 * counters and the audio stand:
 *
 * ```
 *   {"event":"media","sequenceNumber":"41","media":{… "timestamp":"820","payload":"f39/…"},"streamSid":"MZ…"}
 *   =================================== ..  ================      ...  ===========       ====================
 * ```
 *
 * S1  What is `=` above must be the same, byte for byte.
 * S2  A string of digits alone, `.` above, may change to other characters of 0x30 to 0x3f, none of which ends or escapes
 *     a string, and makes no word out of it that means anything here. A counter that counts is read as digits besides.
 * S3  Audio is whatever decodes. So what has the shape is read as the careful reader would; the tests hold it to that.
 *
 * Measured on Node 20 for the Twilio frames of 300 legs in turn, decoding included: 430 ns against 1,240.
 */
import { decodeBase64 } from "./base64.js";
import type { InboundMessage } from "./inbound-message.js";

/** Where in a media message something stands; -1 when it is not there. */
export class MediaFields {
  payloadStart = -1;
  payloadEnd = -1;
  chunkStart = -1;
  chunkEnd = -1;
  timestampStart = -1;
  timestampEnd = -1;
}

/**
 * Counters that grow by a digit change the shape, twenty times in an hour's call. A carrier whose messages never look
 * alike is not learned from any more.
 */
export const SHAPES_MAX = 100;
/** Above this a decimal may not be exact as a number, and no counter of a phone call comes near. */
export const COUNTER_DIGITS_MAX = 15;

const QUOTE = 0x22;
const ZERO = 0x30;
/** The bits in which the characters of S2 agree. */
const DIGIT_MASK = 0xf0;

export class MediaShape {
  #learnedCount = 0;
  /** Of the message it was learned from; -1 before that. */
  #byteLength = -1;
  #words = new Int32Array(0);
  /** Which bits of each word must be the same. */
  #mask = new Int32Array(0);
  /** The bytes after the last whole word. */
  #rest = new Uint8Array(0);
  #fields = new MediaFields();

  /** False when the message, whose bytes `bytes` are, has another shape or is no sound media message. */
  read(frame: ArrayBuffer, bytes: Uint8Array, into: InboundMessage): boolean {
    if (bytes.length !== this.#byteLength) return false;
    const { payloadStart, payloadEnd, chunkStart, chunkEnd, timestampStart, timestampEnd } = this.#fields;
    const words = this.#words;
    const mask = this.#mask;
    const actual = new Int32Array(frame, 0, words.length);
    let differing = 0;
    const headEnd = (payloadStart + 3) >>> 2;
    for (let index = 0; index < headEnd; index++) {
      differing |= (actual[index]! ^ words[index]!) & mask[index]!;
    }
    for (let index = payloadEnd >>> 2; index < words.length; index++) {
      differing |= (actual[index]! ^ words[index]!) & mask[index]!;
    }
    const rest = this.#rest;
    for (let index = 0; index < rest.length; index++) {
      differing |= bytes[words.length * 4 + index]! ^ rest[index]!;
    }
    if (differing !== 0) return false;

    const chunk = chunkStart < 0 ? -1 : readCounter(bytes, chunkStart, chunkEnd);
    const timestampMs = timestampStart < 0 ? -1 : readCounter(bytes, timestampStart, timestampEnd);
    if ((chunk < 0 && chunkStart >= 0) || (timestampMs < 0 && timestampStart >= 0)) return false;
    const audioLength = decodeBase64(bytes, payloadStart, payloadEnd - payloadStart, into.audio);
    if (audioLength <= 0) return false;
    into.setMedia(audioLength, chunk, timestampMs);
    return true;
  }

  /** Of a message that was read key by key; `fields` is where. Allocates, and is bounded by SHAPES_MAX. */
  learn(bytes: Uint8Array, fields: Readonly<MediaFields>): void {
    if (this.#learnedCount >= SHAPES_MAX) return;
    this.#learnedCount++;
    const wordsBytes = bytes.length & ~3;
    const copy = new Uint8Array(bytes);
    const mask = maskOf(bytes, fields);
    this.#byteLength = bytes.length;
    this.#words = new Int32Array(copy.buffer, 0, wordsBytes >>> 2);
    this.#mask = new Int32Array(mask.buffer, 0, wordsBytes >>> 2);
    this.#rest = copy.subarray(wordsBytes);
    Object.assign(this.#fields, fields);
  }
}

/** The number that these digits are, or -1. */
export function readCounter(bytes: Uint8Array, start: number, end: number): number {
  if (end === start || end - start > COUNTER_DIGITS_MAX) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

function maskOf(
  bytes: Uint8Array,
  { payloadStart, payloadEnd }: Readonly<MediaFields>,
): Uint8Array<ArrayBuffer> {
  const mask = new Uint8Array(bytes.length).fill(0xff);
  // No string has a quote in it, so between two of them stands a string, or what separates two.
  for (let start = bytes.indexOf(QUOTE); start >= 0; ) {
    const end = bytes.indexOf(QUOTE, start + 1);
    if (end < 0) break;
    if (isDigits(bytes, start + 1, end)) mask.fill(DIGIT_MASK, start + 1, end);
    start = end;
  }
  return mask.fill(0, payloadStart, payloadEnd);
}

function isDigits(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (bytes[at]! < ZERO || bytes[at]! > ZERO + 9) return false;
  }
  return true;
}

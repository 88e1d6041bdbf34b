/**
 * Test kit: what record number n of a seeded run holds. Writer and verifier compute it each by itself, on
 * either side of a thread boundary, so that no byte has to be remembered. Not exported from the folder.
 */
import { RECORD_PAYLOAD_BYTES } from "./layout.js";

/** xorshift32: never 0 from a seed that is not 0. */
function nextState(state: number): number {
  let next = state;
  next ^= next << 13;
  next ^= next >>> 17;
  next ^= next << 5;
  return next | 0;
}

/** A generator for a test's own choices: `below(n)` is 0 to n - 1. */
export function seededBelow(seed: number): (bound: number) => number {
  let state = stateOf(seed, 0);
  return (bound) => {
    state = nextState(state);
    return (state >>> 0) % bound;
  };
}

/** A well-mixed start for record n (the finaliser of murmur3), never 0. */
function stateOf(seed: number, n: number): number {
  let mixed = (seed ^ Math.imul(n + 1, 0x9e3779b1)) | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  mixed ^= mixed >>> 16;
  return mixed === 0 ? 1 : mixed;
}

/** Most records are short, so that ten million take seconds; one in eight has any length there is. */
const SHORT_BYTES = 32;

/** 1 to RECORD_PAYLOAD_BYTES. */
export function patternLength(seed: number, n: number): number {
  const mixed = stateOf(seed, n) >>> 0;
  return 1 + ((mixed >>> 3) % ((mixed & 7) === 0 ? RECORD_PAYLOAD_BYTES : SHORT_BYTES));
}

export function patternTimestampMs(n: number): number {
  return n * 20 + 0.125;
}

/** Fills `target` from `offset` with record n and returns its length. */
export function fillPattern(seed: number, n: number, target: Uint8Array, offset: number): number {
  const length = patternLength(seed, n);
  let state = stateOf(seed, n);
  for (let at = 0; at < length; at++) {
    if ((at & 3) === 0) state = nextState(state);
    target[offset + at] = state >>> ((at & 3) << 3);
  }
  return length;
}

/** Whether `length` bytes of `source` are exactly record n. */
export function isPattern(seed: number, n: number, source: Uint8Array, length: number): boolean {
  if (length !== patternLength(seed, n)) return false;
  let state = stateOf(seed, n);
  for (let at = 0; at < length; at++) {
    if ((at & 3) === 0) state = nextState(state);
    if (source[at] !== ((state >>> ((at & 3) << 3)) & 0xff)) return false;
  }
  return true;
}

/** LUMENTRA_TEST_SEED replays a failure; else every run has a new one. */
export function testSeed(): number {
  const given = process.env["LUMENTRA_TEST_SEED"];
  return given ? Number(given) | 0 : (Date.now() ^ Math.imul(process.pid, 0x9e3779b1)) | 0;
}

/**
 * Test kit: one end of a ring or bell in a real thread. Each role writes or verifies its share of a seeded
 * run and posts a ThreadReport; it never prints. `threads.test.ts` starts them in pairs.
 */
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { Arena } from "./arena.js";
import { LegEnd, RecordKind } from "./records.js";
import { fillPattern, isPattern, patternTimestampMs, seededBelow } from "./ring-pattern.js";

export type ThreadRole =
  | "writeOut"
  | "readOut"
  | "writeOutWithBumps"
  | "readOutWithBumps"
  | "writeIn"
  | "readIn"
  | "ringBell"
  | "drainBell";

export interface ThreadTask {
  readonly role: ThreadRole;
  readonly buffer: SharedArrayBuffer;
  /** Shared by the pair; words below. */
  readonly control: SharedArrayBuffer;
  readonly seed: number;
  /** Records to write, or rings. */
  readonly count: number;
  readonly firstSequence: number;
}

export interface ThreadReport {
  /** What went wrong first, or null. */
  readonly fault: string | null;
  /** Records or rings that went through this thread. */
  readonly count: number;
  /** Over all bytes that did. */
  readonly checksum: number;
  /** Dropped or skipped, for readers. */
  readonly lostCount: number;
}

/** Control words: a wake-up counter, the writer's end, then per slot how often it was rung and seen to be. */
const WAKE_COUNT = 0;
const DONE = 1;
const RUNG = 16;
const SEEN = RUNG + 64;
export const CONTROL_WORDS = SEEN + 64;
export const BELL_SLOT_COUNT = 64;

/** Turns before a thread that cannot go on sleeps: a full ring is read in a few microseconds. */
const SPIN_COUNT = 2_000;
/** Nothing in these tests takes as long; who waits longer has lost a wake-up. */
const LOST_AFTER_MS = 10_000;

/** Lets the other thread run, without asking it for anything: bounded, so nothing here can hang on a wake-up. */
function rest(control: Int32Array): void {
  Atomics.wait(control, DONE, 0, 0.05);
}

function foldBytes(checksum: number, bytes: Uint8Array, offset: number, length: number): number {
  let folded = checksum;
  for (let at = offset; at < offset + length; at++) folded = (Math.imul(folded, 31) + bytes[at]!) | 0;
  return folded;
}

function writeOut({ buffer, seed, count }: ThreadTask, control: Int32Array): ThreadReport {
  const { out } = Arena.attach(buffer).shardSide(0);
  const source = new Uint8Array(160);
  let checksum = 0;
  for (let n = 0; n < count; n++) {
    const length = fillPattern(seed, n, source, 0);
    checksum = foldBytes(checksum, source, 0, length);
    for (let turn = 0; out.tryWriteAudio(source, 0, length, patternTimestampMs(n)) === 0; turn++) {
      if (turn > SPIN_COUNT) rest(control);
    }
  }
  Atomics.store(control, DONE, 1);
  return { fault: null, count, checksum, lostCount: 0 };
}

function readOut({ buffer, seed, count, firstSequence }: ThreadTask, control: Int32Array): ThreadReport {
  const { out } = Arena.attach(buffer).edgeSide(0);
  let checksum = 0;
  let fault: string | null = null;
  let n = 0;
  for (let turn = 0; n < count && fault === null; turn++) {
    if (!out.read()) {
      if (turn > SPIN_COUNT) rest(control);
      continue;
    }
    turn = 0;
    if (out.sequence !== (firstSequence + n) >>> 0) fault = `sequence ${out.sequence} is not number ${n}`;
    else if (!isPattern(seed, n, out.payload, out.length)) fault = `record ${n} is not what was written`;
    else if (out.timestampMs !== patternTimestampMs(n)) fault = `timestamp of record ${n}`;
    checksum = foldBytes(checksum, out.payload, 0, out.length);
    n++;
  }
  if (fault === null && out.read()) fault = "a record more than was written";
  return { fault, count: n, checksum, lostCount: out.skippedCount };
}

/** Cuts at random, as barge-ins do; what is written after the last cut must all arrive. */
function writeOutWithBumps({ buffer, seed, count }: ThreadTask, control: Int32Array): ThreadReport {
  const { out } = Arena.attach(buffer).shardSide(0);
  const below = seededBelow(seed);
  const source = new Uint8Array(160);
  for (let n = 0; n < count; n++) {
    if (below(50) === 0) out.bumpEpoch();
    const length = fillPattern(seed, n, source, 0);
    for (let turn = 0; out.tryWriteAudio(source, 0, length, out.epoch) === 0; turn++) {
      if (turn > SPIN_COUNT) rest(control);
    }
  }
  Atomics.store(control, DONE, 1);
  return { fault: null, count, checksum: 0, lostCount: 0 };
}

function readOutWithBumps(
  { buffer, seed, count, firstSequence }: ThreadTask,
  control: Int32Array,
): ThreadReport {
  const { out } = Arena.attach(buffer).edgeSide(0);
  let fault: string | null = null;
  let readCount = 0;
  let after = -1;
  for (let turn = 0; fault === null; turn++) {
    // Loaded before read(): once it is set, an empty ring stays empty.
    const done = Atomics.load(control, DONE) === 1;
    const epochBefore = out.epoch;
    if (!out.read()) {
      if (done) break;
      if (turn > SPIN_COUNT) rest(control);
      continue;
    }
    turn = 0;
    const n = (out.sequence - firstSequence) >>> 0;
    if (n <= after || n >= count) fault = `record ${n} after ${after}`;
    else if (out.recordEpoch < epochBefore)
      fault = `record ${n} of epoch ${out.recordEpoch}, not ${epochBefore}`;
    else if (out.timestampMs !== out.recordEpoch) fault = `record ${n} took another's epoch`;
    else if (!isPattern(seed, n, out.payload, out.length)) fault = `record ${n} is not what was written`;
    after = n;
    readCount++;
  }
  if (fault === null && after !== count - 1)
    fault = `the last record is ${after}, the last epoch is not whole`;
  return { fault, count: readCount, checksum: 0, lostCount: out.skippedCount };
}

/** As fast as it can, resting at random: the ring runs over again and again, and empties too. */
function writeIn({ buffer, seed, count }: ThreadTask, control: Int32Array): ThreadReport {
  const { in: audioIn } = Arena.attach(buffer).edgeSide(0);
  const below = seededBelow(seed);
  const source = new Uint8Array(160);
  for (let n = 0; n < count; n++) {
    const length = fillPattern(seed, n, source, 0);
    audioIn.writeAudio(source, 0, length, patternTimestampMs(n));
    if (below(2_000) === 0) rest(control);
  }
  audioIn.writeByteEvent(RecordKind.legEnded, 0, LegEnd.stopped);
  Atomics.store(control, DONE, 1);
  return { fault: null, count: count + 1, checksum: 0, lostCount: 0 };
}

function readIn({ buffer, seed, count, firstSequence }: ThreadTask, control: Int32Array): ThreadReport {
  const { in: audioIn } = Arena.attach(buffer).shardSide(0);
  const below = seededBelow(~seed);
  let fault: string | null = null;
  let readCount = 0;
  let lostByGaps = 0;
  let expected = 0;
  let ended = false;
  for (let turn = 0; fault === null && !ended; turn++) {
    const done = Atomics.load(control, DONE) === 1;
    if (!audioIn.read()) {
      if (done && audioIn.fill === 0) fault = "the last record never came";
      if (turn > SPIN_COUNT) rest(control);
      continue;
    }
    turn = 0;
    const n = (audioIn.sequence - firstSequence) >>> 0;
    lostByGaps += n - expected;
    if (n < expected || n > count) fault = `record ${n}, expected ${expected} or later`;
    else if (n === count) ended = audioIn.kind === RecordKind.legEnded;
    else if (!isPattern(seed, n, audioIn.payload, audioIn.length)) fault = `record ${n} was half seen`;
    else if (audioIn.timestampMs !== patternTimestampMs(n)) fault = `timestamp of record ${n}`;
    if (audioIn.droppedCount !== lostByGaps)
      fault ??= `${audioIn.droppedCount} counted, ${lostByGaps} missing`;
    expected = n + 1;
    readCount++;
    // A reader that never stalls might keep up.
    if (below(2_000) === 0) rest(control);
  }
  return { fault, count: readCount, checksum: 0, lostCount: lostByGaps };
}

/** Rings at random and, every few rings, waits until all of them were seen: a lost one stops it there. */
function ringBell({ buffer, seed, count }: ThreadTask, control: Int32Array): ThreadReport {
  const { inBell } = Arena.attach(buffer);
  const below = seededBelow(seed);
  let fault: string | null = null;
  let wakeCount = 0;
  for (let n = 0; n < count && fault === null; n++) {
    const slot = below(BELL_SLOT_COUNT);
    Atomics.add(control, RUNG + slot, 1);
    if (inBell.ring(slot)) {
      wakeCount++;
      Atomics.add(control, WAKE_COUNT, 1);
      Atomics.notify(control, WAKE_COUNT);
    }
    if (below(4) === 0) fault = awaitSeen(control, slot);
  }
  Atomics.store(control, DONE, 1);
  Atomics.add(control, WAKE_COUNT, 1);
  Atomics.notify(control, WAKE_COUNT);
  return { fault, count: wakeCount, checksum: 0, lostCount: 0 };
}

function awaitSeen(control: Int32Array, slot: number): string | null {
  const rung = Atomics.load(control, RUNG + slot);
  for (let turn = 0; Atomics.load(control, SEEN + slot) !== rung; turn++) {
    if (turn < SPIN_COUNT) continue;
    const seen = Atomics.load(control, SEEN + slot);
    if (seen !== rung && Atomics.wait(control, SEEN + slot, seen, LOST_AFTER_MS) === "timed-out") {
      return `ring ${rung} of slot ${slot} was lost`;
    }
  }
  return null;
}

/** Drains when it was woken and never otherwise. */
function drainBell({ buffer }: ThreadTask, control: Int32Array): ThreadReport {
  const { inBell } = Arena.attach(buffer);
  let visitCount = 0;
  const visit = (slot: number): void => {
    visitCount++;
    Atomics.store(control, SEEN + slot, Atomics.load(control, RUNG + slot));
    Atomics.notify(control, SEEN + slot);
  };
  let woken = 0;
  while (Atomics.load(control, DONE) === 0) {
    Atomics.wait(control, WAKE_COUNT, woken, LOST_AFTER_MS);
    woken = Atomics.load(control, WAKE_COUNT);
    inBell.drain(visit);
  }
  return { fault: null, count: visitCount, checksum: 0, lostCount: 0 };
}

const roles: Readonly<Record<ThreadRole, (task: ThreadTask, control: Int32Array) => ThreadReport>> = {
  writeOut,
  readOut,
  writeOutWithBumps,
  readOutWithBumps,
  writeIn,
  readIn,
  ringBell,
  drainBell,
};

if (!isMainThread) {
  const task = workerData as ThreadTask;
  parentPort?.postMessage(roles[task.role](task, new Int32Array(task.control)));
}

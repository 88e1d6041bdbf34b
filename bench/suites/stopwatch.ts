/**
 * Nanoseconds per operation, of operations far shorter than a look at the clock: batches of a size that
 * takes a fraction of a millisecond, timed one by one. The median batch is the result, because on a shared
 * machine the mean measures the neighbours; the quickest tells how quiet it was.
 */

/** Does the operation `count` times and returns something that depends on each, so that none is left out. */
export type Batch = (count: number) => number;

export interface BatchTiming {
  readonly medianNs: number;
  readonly bestNs: number;
  /** All batches' results folded together: the work stays real. */
  readonly digest: number;
}

/** A batch of 0.2 ms: a thousand clock readings long, and short enough to fit between two interruptions. */
const BATCH_MS = 0.2;
/** Of the time given, this share goes into compiling and finding the batch size. */
const WARM_UP_SHARE = 0.3;
/** Bounds memory for very long runs: half an hour of batches. */
const MAX_BATCHES = 10_000_000;

export function timeBatches(seconds: number, batch: Batch): BatchTiming {
  let digest = 0;
  let count = 1;
  const startedAt = performance.now();
  const warmUntil = startedAt + seconds * 1_000 * WARM_UP_SHARE;
  const endAt = startedAt + seconds * 1_000;
  for (let now = startedAt; now < warmUntil; ) {
    digest = (digest + batch(count)) | 0;
    const after = performance.now();
    if (after - now < BATCH_MS) count = Math.ceil(count * 1.5);
    now = after;
  }
  const batchesNs: number[] = [];
  do {
    const before = performance.now();
    digest = (digest + batch(count)) | 0;
    batchesNs.push(((performance.now() - before) * 1e6) / count);
  } while (performance.now() < endAt && batchesNs.length < MAX_BATCHES);
  batchesNs.sort((a, b) => a - b);
  return { medianNs: quantile(batchesNs, 0.5), bestNs: batchesNs[0]!, digest };
}

/** Of values already sorted; the value that `share` of them do not exceed. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)] ?? Number.NaN;
}

/** For tables: three figures are as many as such a measurement has. */
export function threeFigures(value: number): number {
  return Number(value.toPrecision(3));
}

/** The part of each thread's heap where objects begin. It imports nothing, so that it can be said before all else. */
import { setFlagsFromString } from "node:v8";

/**
 * It stays as large as it is instead of doubling, up to 32 MiB of which every page is touched and holds garbage: for 200
 * calls the edge's thread took 70 KiB a call less, for a twentieth more of its CPU (docs/BENCHMARKS.md). The main thread's cannot be
 * bounded by what is asked for a worker, nor by any setting of V8 but this once it runs. V8 goes back to doubling
 * whenever a thread's heap is made, so it is said again as soon as one is; and a program has grown it to its most by
 * the time its modules are loaded, so it is said before they are.
 */
export function keepYoungHeapsSmall(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
  // What a heap begins with, MiB, of those made from here on: at 1 a shard's is collected twice as often.
  setFlagsFromString("--min-semi-space-size=2");
}

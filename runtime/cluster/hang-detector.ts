/**
 * Tells a shard that hangs from one that is busy, from one that gets no processor, and from a process that was
 * stopped as a whole.
 *
 * A busy shard still gets on between two callbacks: it beats, or turns to another call. So what counts is how long
 * it has not, *while we were looking*, and what it did in that time:
 *
 * ```
 *   the main thread looked late     it was held up, and the shard perhaps too: of the gap two looks count
 *   it waited for a processor       starved: of that time only what it ran counts
 *   it ran, and got nowhere         a loop: hung after spinningAfterMs, of which it ran spinningCpuMs
 *   it did not run at all           blocked (a slow disk, a debugger): hung after hungAfterMs
 * ```
 *
 * Running and getting nowhere can be innocent too: a major collection of some hundred megabytes, one huge message.
 * These take less than spinningCpuMs on any heap that a shard should have, and a false alarm costs its callers a
 * resume; what must not happen is one after the other under load. So a shard is taken for spinning by this evidence
 * only once in a while (ShardHost), and by hungAfterMs after that.
 */
import type { ThreadCpu } from "./thread-cpu.js";

export interface HangDetectorOptions {
  /** How often `look` is called. */
  readonly lookEveryMs: number;
  readonly hungAfterMs: number;
  /** Silence after which a shard that runs is taken for hung. */
  readonly spinningAfterMs: number;
  /** What it must have run in that silence. */
  readonly spinningCpuMs: number;
}

export class HangDetector {
  readonly #options: HangDetectorOptions;
  #lastProgress: number;
  #lookedAtMs: number;
  #silentMs = 0;
  /** When the silence was first noticed, and at the last look. */
  #cpuAtFirst: ThreadCpu | null = null;
  #cpuAtLook: ThreadCpu | null = null;

  constructor(options: HangDetectorOptions, progress: number, nowMs: number) {
    this.#options = options;
    this.#lastProgress = progress;
    this.#lookedAtMs = nowMs;
  }

  /**
   * True once the shard hangs. `cpu` is asked only of one that is silent; `mayRun`: there is a reason for it to run
   * long, so that running is no evidence.
   */
  look(progress: number, nowMs: number, cpu: () => ThreadCpu | null, mayRun = false): boolean {
    const { lookEveryMs, hungAfterMs, spinningAfterMs, spinningCpuMs } = this.#options;
    const sinceLookMs = nowMs - this.#lookedAtMs;
    this.#lookedAtMs = nowMs;
    if (progress !== this.#lastProgress) {
      this.#lastProgress = progress;
      this.#silentMs = 0;
      this.#cpuAtFirst = null;
      this.#cpuAtLook = null;
      return false;
    }
    const present = cpu();
    const before = this.#cpuAtLook;
    const lookedMs = Math.min(sinceLookMs, 2 * lookEveryMs);
    const isKnown = present !== null && before !== null && present.isRunnable;
    this.#silentMs += isKnown ? Math.min(lookedMs, present.ranMs - before.ranMs) : lookedMs;
    this.#cpuAtFirst ??= present;
    this.#cpuAtLook = present;
    if (this.#silentMs >= hungAfterMs) return true;
    if (mayRun || present === null || this.#cpuAtFirst === null) return false;
    return this.#silentMs >= spinningAfterMs && present.ranMs - this.#cpuAtFirst.ranMs >= spinningCpuMs;
  }

  get silentMs(): number {
    return this.#silentMs;
  }
}

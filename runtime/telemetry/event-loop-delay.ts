/**
 * How late this thread's event loop runs, since the last reading. Each thread watches its own.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";

/** How often the delay is sampled: the shortest stretch that is sure to be seen, a frame. At 10 ms it took 0.4 % of a core per thread. */
const RESOLUTION_MS = 20;

/** Milliseconds beyond the sampling interval; a thread with nothing to do reads close to 0. */
export interface EventLoopDelayMs {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

export class EventLoopDelayMonitor {
  readonly #histogram: IntervalHistogram;

  constructor() {
    this.#histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.#histogram.enable();
  }

  /** The figures since the last call of this, which starts the next stretch. */
  take(): EventLoopDelayMs {
    const histogram = this.#histogram;
    const empty = histogram.count === 0;
    const delay = (nanoseconds: number) => (empty ? 0 : Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS));
    const taken = {
      p50: delay(histogram.percentile(50)),
      p95: delay(histogram.percentile(95)),
      p99: delay(histogram.percentile(99)),
      max: delay(histogram.max),
    };
    histogram.reset();
    return taken;
  }

  close(): void {
    this.#histogram.disable();
  }
}

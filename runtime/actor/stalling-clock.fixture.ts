/** Virtual time that jumps, as for a process that stood still: timers that were due meanwhile run once it goes on. */
import { VirtualClock } from "./virtual-clock.js";

export class StallingClock extends VirtualClock {
  #stalledMs = 0;

  override nowMs(): number {
    return super.nowMs() + this.#stalledMs;
  }

  /** Nothing runs for `ms`; then what is due within `catchUpMs` does, with the time as it is by then. */
  stall(ms: number, catchUpMs: number): void {
    this.#stalledMs += ms;
    this.advance(catchUpMs);
  }
}

/**
 * One process's share of a load: its lines, and once a window a report of what they saw. Reports are emptied as they
 * are sent, so a load may last for days.
 *
 * G1 what is not yet reported is bounded: beyond it, turns and calls are counted as failures of the generator.
 */
import { LineTicker, phoneClock } from "#bench/caller";
import { Line } from "./callers.js";
import { Distribution } from "./distribution.js";
import type { CallRecord, GeneratorPlan, GeneratorReport, TurnRecord } from "./records.js";

/** Failures told in words per report; all are counted. */
const FAILURES_TOLD_MAX = 20;
/** Of a window: far more than a core can drive. */
const RECORDS_MAX = 50_000;

export class Generator {
  readonly #plan: GeneratorPlan;
  readonly #send: (report: GeneratorReport) => void;
  readonly #lines: readonly Line[];
  readonly #late = new Distribution("generator's ticks late, ms");
  readonly #dialLate = new Distribution("dialled late, ms");
  #up = 0;
  #busy = 0;
  #busyMost = 0;
  #turns: TurnRecord[] = [];
  #calls: CallRecord[] = [];
  #failures: string[] = [];
  #failureCount = 0;

  constructor(plan: GeneratorPlan, send: (report: GeneratorReport) => void) {
    this.#plan = plan;
    this.#send = send;
    this.#lines = plan.lines.map(
      (line) =>
        new Line(line, plan, {
          onUp: () => void (this.#up += 1),
          onDown: () => void (this.#up -= 1),
          onDialLate: (lateMs) => this.#dialLate.record(lateMs),
          onBusy: (change) => {
            this.#busy += change;
            this.#busyMost = Math.max(this.#busyMost, this.#busy);
          },
          onTurn: (turn) => this.#keep(this.#turns, turn),
          onCall: (call) => this.#keep(this.#calls, call),
          onFailure: (what) => this.#fail(what),
        }),
    );
  }

  /** Resolves when every line is over; the last report has been sent by then. */
  async run(): Promise<void> {
    const ticker = LineTicker.of(phoneClock());
    ticker.onTickLate = (lateMs) => this.#late.record(lateMs);
    // Whatever the answer is: a process that has never sent a request takes a tenth of a second for its first.
    await fetch(this.#plan.nodeUrl).catch(() => null);
    const timer = setInterval(() => this.#report(), this.#plan.windowMs);
    try {
      await Promise.all(this.#lines.map((line) => line.run()));
    } finally {
      clearInterval(timer);
      ticker.onTickLate = null;
      this.#report();
    }
  }

  #keep<Entry>(kept: Entry[], entry: Entry): void {
    if (kept.length < RECORDS_MAX)
      kept.push(entry); // G1
    else this.#fail("the generator saw more in a window than it keeps");
  }

  #fail(what: string): void {
    this.#failureCount += 1;
    if (this.#failures.length < FAILURES_TOLD_MAX) this.#failures.push(what);
  }

  #report(): void {
    this.#send({
      kind: "report",
      up: this.#up,
      busyMost: this.#busyMost,
      turns: this.#turns,
      calls: this.#calls,
      failures: this.#failures,
      failureCount: this.#failureCount,
      late: this.#late.encode(),
      dialLate: this.#dialLate.encode(),
    });
    this.#turns = [];
    this.#calls = [];
    this.#failures = [];
    this.#failureCount = 0;
    this.#busyMost = this.#busy;
    this.#late.reset();
    this.#dialLate.reset();
  }
}

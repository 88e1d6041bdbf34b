/**
 * A node's backpressure: measures each second, climbs the ladder, and says what is not done at its rung.
 *
 *   rung 1   the shards see it in shared memory and begin no reply before its turn is confirmed
 *   rung 2   `mayCallOut()` is false
 *   rung 3   `mayTakeCalls()` is false: the webhook's node places elsewhere, or the tenant's overflow it is
 *   rung 4   nothing more here than at 3; placement, which sees the rungs of all, finds no candidate left
 *
 * Live calls lose nothing at any rung but the head start of speculation.
 */
import type { Clock, TimerHandle } from "#runtime/actor";
import type { Logger, Metrics } from "#runtime/telemetry";
import type { PressureSource } from "./inputs.js";
import {
  Ladder,
  PRESSURE_INPUTS,
  type PressureInputs,
  type PressureThresholds,
  type Rung,
} from "./ladder.js";

/** Long enough for a p99 to mean something at ten pieces of audio a second and call. */
export const SAMPLE_INTERVAL_MS = 1_000;

export interface PressureDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly source: PressureSource;
  readonly thresholds: PressureThresholds;
  /** The rung in force, at each change: for the shards. */
  readonly onRung: (rung: Rung) => void;
}

export interface PressureReport {
  readonly rung: Rung;
  readonly inputs: PressureInputs;
}

const OUTBOUND_RUNG = 2;
const INBOUND_RUNG = 3;

export class Pressure {
  readonly #deps: PressureDeps;
  readonly #ladder: Ladder;
  #inputs: PressureInputs = { pacingLagMs: 0, eventLoopDelayMs: 0, slotUsage: 0, providerUsage: 0 };
  #timer: TimerHandle | null = null;

  constructor(deps: PressureDeps) {
    this.#deps = deps;
    this.#ladder = new Ladder(deps.thresholds);
    deps.metrics.onCollect(() => this.#collect());
  }

  /** Begins to measure; what was before, the node's start, does not count. */
  start(): void {
    this.#deps.source.read();
    this.#schedule();
  }

  /** As of the last sample; for reports to the control plane and for readiness. */
  current(): PressureReport {
    return { rung: this.#ladder.rung, inputs: this.#inputs };
  }

  /** Whether a new outbound call may be begun; a refusal is counted. */
  mayCallOut(): boolean {
    if (this.#ladder.rung < OUTBOUND_RUNG) return true;
    this.#deps.metrics.outboundRefusals.inc();
    return false;
  }

  /** Whether a new inbound call may be taken here; admission counts what it refuses for it. */
  mayTakeCalls(): boolean {
    return this.#ladder.rung < INBOUND_RUNG;
  }

  /** Idempotent. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#deps.source.close();
  }

  #schedule(): void {
    this.#timer = this.#deps.clock.setTimer(SAMPLE_INTERVAL_MS, () => {
      this.#schedule();
      this.#sample();
    });
  }

  #sample(): void {
    const { clock, log, metrics, source, onRung } = this.#deps;
    const before = this.#ladder.rung;
    this.#inputs = source.read();
    const rung = this.#ladder.sample(this.#inputs, clock.nowMs());
    if (rung === before) return;
    metrics.pressureTransitions.inc({ direction: rung > before ? "up" : "down" });
    const fields = { from: before, to: rung, ...this.#inputs };
    if (rung > before) log.warn(fields, "pressure rises");
    else log.info(fields, "pressure falls");
    onRung(rung);
  }

  #collect(): void {
    const { metrics } = this.#deps;
    metrics.pressureRung.set(this.#ladder.rung);
    for (const input of PRESSURE_INPUTS) metrics.pressureInputs.set({ input }, this.#inputs[input]);
  }
}

/** The ladder at work, on virtual time: what is refused at which rung, and what the metrics say. */
import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { createMetrics, silentLogger } from "#runtime/telemetry";
import type { PressureSource } from "./inputs.js";
import type { PressureInputs } from "./ladder.js";
import { Pressure, SAMPLE_INTERVAL_MS } from "./pressure.js";

const OFF = Number.POSITIVE_INFINITY;
const CALM: PressureInputs = { pacingLagMs: 0, eventLoopDelayMs: 0, slotUsage: 0, providerUsage: 0 };

function world(t: { teardown(after: () => void): void }) {
  const clock = new VirtualClock();
  const metrics = createMetrics({ thread: "main" });
  const rungs: number[] = [];
  const state = { inputs: CALM, closed: false };
  const source: PressureSource = { read: () => state.inputs, close: () => void (state.closed = true) };
  const thresholds = {
    pacingLagMs: [20, 50, 100, 200],
    eventLoopDelayMs: [50, 100, 200, 350],
    slotUsage: [OFF, 0.99, OFF, OFF],
    providerUsage: [0.75, 0.85, 0.95, OFF],
  } as const;
  const pressure = new Pressure({
    clock,
    log: silentLogger,
    metrics,
    source,
    thresholds,
    onRung: (rung) => rungs.push(rung),
  });
  t.teardown(() => {
    pressure.close();
    metrics.close();
  });
  const run = (seconds: number, change: Partial<PressureInputs> = {}): void => {
    state.inputs = { ...CALM, ...change };
    clock.advance(seconds * SAMPLE_INTERVAL_MS);
  };
  const page = async (): Promise<string> => {
    await metrics.snapshot();
    return metrics.registry.metrics();
  };
  return { pressure, rungs, run, page, state };
}

void t.test("each rung refuses what is its own and what is below", async (t) => {
  const { pressure, rungs, run } = world(t);
  pressure.start();
  const may = () => [pressure.mayCallOut(), pressure.mayTakeCalls()];
  run(2);
  t.strictSame(may(), [true, true]);
  for (const [lagMs, expected] of [
    [20, [true, true]],
    [50, [false, true]],
    [100, [false, false]],
    [200, [false, false]],
  ] as const) {
    run(2, { pacingLagMs: lagMs });
    t.strictSame(may(), expected, `${lagMs} ms`);
  }
  t.strictSame(rungs, [1, 2, 3, 4], "the shards are told of each, once");
  run(41);
  t.strictSame(rungs, [1, 2, 3, 4, 3, 2, 1, 0]);
  t.strictSame(may(), [true, true]);
});

void t.test("what was measured and refused is on the metrics page and in the report", async (t) => {
  const { pressure, run, page } = world(t);
  pressure.start();
  run(2, { eventLoopDelayMs: 120, slotUsage: 0.5, providerUsage: 0.25, pacingLagMs: 3 });
  t.equal(pressure.mayCallOut(), false);
  t.strictSame(pressure.current(), {
    rung: 2,
    inputs: { eventLoopDelayMs: 120, slotUsage: 0.5, providerUsage: 0.25, pacingLagMs: 3 },
  });
  const text = await page();
  t.match(text, /^lumentra_pressure_rung 2$/m);
  t.match(text, /^lumentra_pressure_input\{input="eventLoopDelayMs"\} 120$/m);
  t.match(text, /^lumentra_pressure_input\{input="slotUsage"\} 0.5$/m);
  t.match(text, /^lumentra_pressure_transitions_total\{direction="up"\} 1$/m);
  t.match(text, /^lumentra_outbound_refusals_total 1$/m);
  run(21);
  t.match(await page(), /^lumentra_pressure_transitions_total\{direction="down"\} 2$/m);
});

void t.test("closed, it measures no more", async (t) => {
  const { pressure, rungs, run, state } = world(t);
  pressure.start();
  run(1, { pacingLagMs: 500 });
  pressure.close();
  pressure.close();
  run(5, { pacingLagMs: 500 });
  t.strictSame(rungs, []);
  t.equal(state.closed, true);
});

/**
 * The ladder's thresholds as settings: four per input, for rungs 1 to 4, ascending; `off` where an input
 * never reaches a rung.
 */
import { z } from "zod";
import { meta } from "#runtime/settings";
import type { PressureThresholds, RungThresholds } from "./ladder.js";

const OFF = "off";
const RUNGS = 4;
const NEVER = Number.POSITIVE_INFINITY;

const thresholds = (most: number) =>
  z.string().transform((text, context): RungThresholds => {
    const values = parseThresholds(text, most);
    if (values !== null) return values;
    const message = `must be four numbers from 0 to ${most}, ascending, comma separated; ${OFF} for a rung that is never reached`;
    context.issues.push({ code: "custom", input: text, message });
    return z.NEVER;
  });

export const pressureSettings = {
  LUMENTRA_PRESSURE_PACING_LAG_MS: meta(
    // The budget is 5 ms. Carriers hold 300 to 400 ms of our audio: at 200 a caller is about to hear a gap.
    thresholds(10_000).default([20, 50, 100, 200]),
    {
      help: "Lateness of audio to carriers, p99 of a second in ms, that reaches rungs 1 to 4 of backpressure: no speculation, no outbound calls, no inbound calls here, none. `off` for never.",
      shownDefault: "`20,50,100,200`",
    },
  ),
  LUMENTRA_PRESSURE_EVENT_LOOP_DELAY_MS: meta(
    // A thread stalled for longer than carriers hold audio is heard; a collection of 50 ms now and then is not. A reply that
    // is not prepared comes 120 to 150 ms later: below that a strain costs callers less than its remedy, as measured in
    // docs/BENCHMARKS.md.
    thresholds(10_000).default([120, 150, 200, 350]),
    {
      help: "Event-loop delay of the worst thread, p95 of a second in ms, that reaches them.",
      shownDefault: "`120,150,200,350`",
    },
  ),
  LUMENTRA_PRESSURE_SLOT_USAGE: meta(
    // A node is not under strain because its slots are taken, and a call must not be slower on a full one: admission
    // refuses when there is none left. Who makes outbound calls may want to keep some for callers.
    thresholds(1).default([NEVER, NEVER, NEVER, NEVER]),
    {
      help: "Share of slots taken, 0 to 1, that reaches them: `off,0.95,off,off` keeps the last ones for callers. A full node refuses at any rung.",
      shownDefault: "`off`",
    },
  ),
  LUMENTRA_PRESSURE_PROVIDER_USAGE: meta(
    // Speculation takes about a third of all requests: stopped early, it leaves room for confirmed turns.
    thresholds(1).default([0.75, 0.85, 0.95, NEVER]),
    {
      help: "Share of the tightest provider budget in use, in the worst shard, 0 to 1, that reaches them.",
      shownDefault: "`0.75,0.85,0.95,off`",
    },
  ),
} as const;

export interface PressureSettings {
  readonly LUMENTRA_PRESSURE_PACING_LAG_MS: RungThresholds;
  readonly LUMENTRA_PRESSURE_EVENT_LOOP_DELAY_MS: RungThresholds;
  readonly LUMENTRA_PRESSURE_SLOT_USAGE: RungThresholds;
  readonly LUMENTRA_PRESSURE_PROVIDER_USAGE: RungThresholds;
}

export function pressureThresholds(settings: PressureSettings): PressureThresholds {
  return {
    pacingLagMs: settings.LUMENTRA_PRESSURE_PACING_LAG_MS,
    eventLoopDelayMs: settings.LUMENTRA_PRESSURE_EVENT_LOOP_DELAY_MS,
    slotUsage: settings.LUMENTRA_PRESSURE_SLOT_USAGE,
    providerUsage: settings.LUMENTRA_PRESSURE_PROVIDER_USAGE,
  };
}

/** `off` may stand anywhere; what is left ascends. Null: not thresholds. */
function parseThresholds(text: string, most: number): RungThresholds | null {
  const parts = text.split(",").map((part) => part.trim());
  const values = (parts.length === 1 && parts[0] === OFF ? Array<string>(RUNGS).fill(OFF) : parts).map(
    (part) => (part === OFF ? NEVER : /^\d+(\.\d+)?$/.test(part) ? Number(part) : Number.NaN),
  );
  const [one, two, three, four] = values;
  const reached = values.filter((value) => value !== NEVER);
  const ascends = reached.every((value, index) => value <= most && value >= (reached[index - 1] ?? 0));
  if (!ascends || values.length !== RUNGS) return null;
  return [one!, two!, three!, four!];
}

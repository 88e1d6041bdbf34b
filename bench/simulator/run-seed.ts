/** One seed: its world, what is wrong with it, and a digest by which two runs are known to be the same. */
import { createHash } from "node:crypto";
import { type Violation, excusesOf, violationsOf } from "./invariants.js";
import type { Script } from "./script.js";
import type { Seams } from "./seams.js";
import { type WorldRecord, runWorld } from "./world.js";

/** Plain data: it crosses threads. */
export interface SeedResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly digest: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
}

export async function runScript(script: Script, seams: Seams = {}): Promise<SeedResult> {
  let world: WorldRecord;
  try {
    world = await runWorld(script, seams);
  } catch (error) {
    // Thrown where no thread of the world caught it: the simulator's own fault, or a promise nobody looks after.
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const violation = { invariant: "every call ends with an outcome", what } as const;
    return { seed: script.seed, violations: [violation], digest: "", counts: {}, faults: {} };
  }
  return {
    seed: script.seed,
    violations: violationsOf(world),
    digest: digestOf(world),
    counts: { ...countsOf(world), ...excusesOf(world) },
    faults: Object.fromEntries(world.faultCounts),
  };
}

/** Every event of every journal with its instant, and every word each caller heard with its own. */
function digestOf({ lines, plane, virtualMs }: WorldRecord): string {
  const hash = createHash("sha256");
  for (const { end, endedAtMs, callId, caller } of lines) {
    const events = callId === null ? [] : (plane.rows.get(callId)?.events ?? []);
    hash.update(`${end} ${endedAtMs} ${JSON.stringify(events)}`);
    for (const { word, atMs } of caller.heard) hash.update(`${word} ${atMs}`);
  }
  return hash.update(String(virtualMs)).digest("hex").slice(0, 16);
}

function countsOf({ lines, plane, witness, virtualMs }: WorldRecord): Record<string, number> {
  const events = [...plane.rows.values()].flatMap((row) => row.events);
  const count = (kind: string): number => events.filter((event) => event.kind === kind).length;
  const counts: Record<string, number> = {
    calls: lines.length,
    refused: lines.filter(({ end }) => end === "refused").length,
    callerTurns: count("callerTurn"),
    agentTurns: count("agentTurn"),
    bargeIns: count("bargeIn"),
    toolCalls: count("toolCalled"),
    resumes: count("callResumed"),
    events: events.length,
    fencedEvents: plane.counts.refusedEvents,
    replaysCompared: witness.comparedCount,
    virtualSeconds: Math.round(virtualMs / 1_000),
  };
  for (const event of events)
    if (event.kind === "callEnded")
      counts[`ended: ${event.outcome.kind}`] = (counts[`ended: ${event.outcome.kind}`] ?? 0) + 1;
  return counts;
}

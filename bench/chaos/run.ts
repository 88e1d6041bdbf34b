/**
 * Runs one scenario: opens its stage, lets the callers talk while the faults strike, reads what there is to read, and
 * only then says what held and how fast it was.
 */
import type { JournalEvent } from "#actors/journal";
import { Distribution } from "#bench/load";
import type { NodeProcess } from "#bench/processes";
import { type DelaysMs, type Evidence, failuresOf, resumesOf } from "./checks.js";
import { type StruckFault, idleFaults, unseenJumps, isFromTheStart, strike } from "./faults.js";
import { Lab } from "./lab.js";
import type { Scenario } from "./scenario-schema.js";
import { storiesOf } from "./story.js";
import { Workload } from "./workload.js";

const REFUSALS = /^lumentra_admission_refusals_total\{reason="(\w+)"/;

export interface ChaosResult {
  readonly name: string;
  readonly title: string;
  readonly hears: string;
  readonly calls: number;
  readonly sentences: number;
  readonly faults: number;
  readonly resumed: number;
  readonly delayMs: DelaysMs;
  readonly durationMs: number;
  /** What did not hold, in words. */
  readonly failures: readonly string[];
  /** When something did not hold: what happened to the callers it names, and what each node and control plane warned of last. */
  readonly logs: readonly string[];
}

/** @throws Error when the stage cannot be set up, or a fault of the start cannot be brought about. */
export async function runScenario(scenario: Scenario): Promise<ChaosResult> {
  const startedAtMs = performance.now();
  const lab = await Lab.open(scenario.stage);
  try {
    return await runOn(lab, scenario, startedAtMs);
  } finally {
    await lab.close();
  }
}

async function runOn(lab: Lab, scenario: Scenario, startedAtMs: number): Promise<ChaosResult> {
  const { faults, checks } = scenario;
  const struck: StruckFault[] = [];
  const isToCome = async (): Promise<boolean> =>
    struck.length < faults.length || (await idleFaults(lab)).length > 0;
  const workload = new Workload(scenario.workload, isToCome);
  const ended = new AbortController();
  const before = await samplesOf(lab.nodes[0]!.process);
  const fromTheStart = faults.filter(isFromTheStart);
  await strike(fromTheStart, lab, workload, struck, ended.signal);
  const striking = strike(
    faults.filter((fault) => !isFromTheStart(fault)),
    lab,
    workload,
    struck,
    ended.signal,
  ).then(
    () => null,
    (error: unknown) => `a fault could not be brought about: ${String(error)}`,
  );
  await workload.run(lab.webhookUrl);
  ended.abort();
  const notStruck = await striking;
  const failures: string[] = notStruck === null ? [] : [notStruck];
  if (notStruck === null && struck.length < faults.length) {
    failures.push("the calls were over before every fault had struck");
  }
  failures.push(...(await idleFaults(lab)));
  const evidence = await gather(lab, workload, before);
  failures.push(...unseenJumps(struck, evidence.journals));
  failures.push(...failuresOf(checks, evidence));
  return {
    name: scenario.name,
    title: scenario.title,
    hears: scenario.hears,
    calls: workload.callers.length,
    sentences: workload.turnsDone,
    faults: struck.length,
    resumed: resumesOf(evidence.journals),
    delayMs: evidence.delayMs,
    durationMs: performance.now() - startedAtMs,
    failures,
    logs:
      failures.length > 0
        ? [...storiesOf(failures, workload.callers, evidence.journals, struck), ...lab.logs()]
        : [],
  };
}

async function gather(lab: Lab, workload: Workload, before: ReadonlyMap<string, number>): Promise<Evidence> {
  const journals = new Map<number, readonly JournalEvent[]>();
  const streams = new Map<number, number>();
  for (const { index, call, result } of workload.callers) {
    journals.set(index, await lab.journal(call.callSid));
    streams.set(index, (await result).stats.streamCount);
  }
  const [after, ...others] = await Promise.all(lab.nodes.map(({ process }) => samplesOf(process)));
  const metrics = new Map([...after!].map(([sample, value]) => [sample, value - (before.get(sample) ?? 0)]));
  const leftovers = await lab.leftovers(workload.callers.length);
  const refusals = refusalsOf([after!, ...others]);
  return { workload, journals, streams, metrics, delayMs: delaysOf(workload), refusals, leftovers };
}

function delaysOf({ callers }: Workload): DelaysMs {
  const delays = new Distribution("delay");
  for (const { turns } of callers) {
    for (const { delayMs } of turns) if (delayMs !== null) delays.record(delayMs);
  }
  const { p50, p95, max } = delays.row(0) as Record<string, number | string | undefined>;
  return { p50: numberOr(p50), p95: numberOr(p95), max: numberOr(max) };
}

function refusalsOf(nodes: readonly ReadonlyMap<string, number>[]): ReadonlyMap<string, number> {
  const refusals = new Map<string, number>();
  for (const [sample, count] of nodes.flatMap((samples) => [...samples])) {
    const reason = REFUSALS.exec(sample)?.[1];
    if (reason !== undefined) refusals.set(reason, (refusals.get(reason) ?? 0) + count);
  }
  return refusals;
}

/** Each line of a node's /metrics by its name and labels; none when it is gone. */
async function samplesOf(node: NodeProcess): Promise<ReadonlyMap<string, number>> {
  if (!node.running) return new Map();
  const text = await (await fetch(`${node.adminUrl}/metrics`)).text();
  const samples = text.split("\n").flatMap((line): [string, number][] => {
    const at = line.lastIndexOf(" ");
    return line.startsWith("#") || at < 0 ? [] : [[line.slice(0, at), Number(line.slice(at + 1))]];
  });
  return new Map(samples);
}

function numberOr(value: number | string | undefined): number | null {
  return typeof value === "number" ? value : null;
}

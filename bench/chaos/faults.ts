/** Brings a scenario's faults about, each at its instant of the workload. */
import { setTimeout as sleep } from "node:timers/promises";
import type { JournalEvent } from "#actors/journal";
import type { ArmCommand, InjectCommand } from "#bench/emulators";
import { SystemClock } from "#runtime/actor";
import type { Lab } from "./lab.js";
import type { Fault } from "./scenario-schema.js";
import type { Caller, Workload } from "./workload.js";

/** Between looks at how far the workload is. */
const LOOK_EVERY_MS = 20;
/** A workload that never gets as far as a fault's instant is one whose calls failed before; the checks say so. */
const INSTANT_TIMEOUT_MS = 120_000;
/** For emulators: any number of times. */
const ALWAYS = 1_000_000;
/** Between two readings of two clocks, and what a machine's own corrects meanwhile. */
const CLOCK_SLACK_MS = 1_000;
const clock = new SystemClock();

export interface StruckFault {
  readonly fault: Fault;
  /** Clock.nowMs(), as phones and journals have it. */
  readonly atMs: number;
}

/** Resolves when all have struck, in order of their instants. @throws what could not be brought about. */
export async function strike(
  faults: readonly Fault[],
  lab: Lab,
  workload: Workload,
  struck: StruckFault[],
  ended: AbortSignal,
): Promise<void> {
  await Promise.all(
    faults.map(async (fault) => {
      if (fault.after > 0 || fault.afterMs > 0) await instantOf(fault, workload, ended);
      if (ended.aborted) return;
      await bringAbout(fault, lab, workload.callers);
      struck.push({ fault, atMs: clock.nowMs() });
    }),
  );
}

/** A scenario whose faults befell nobody held for want of one: in words, which. */
export async function idleFaults({ emulators: { remote } }: Lab): Promise<readonly string[]> {
  const idle = (await remote.faults()).filter(({ befallen }) => befallen === 0);
  return idle.map(({ target, kind }) => `the fault ${kind} of ${target} befell nobody`);
}

/** A wall clock whose jump no journal shows did not jump: in words, which. */
export function unseenJumps(
  struck: readonly StruckFault[],
  journals: ReadonlyMap<number, readonly JournalEvent[]>,
): readonly string[] {
  const offsets = [...journals.values()].flat().map(({ atMs, atUnixMs }) => atUnixMs - atMs);
  const trueMs = clock.unixMs() - clock.nowMs();
  return struck.flatMap(({ fault }) =>
    fault.what !== "clock" || offsets.some((offset) => Math.abs(offset - trueMs - fault.ms) < CLOCK_SLACK_MS)
      ? []
      : [`the clock of node ${fault.node} jumped by ${fault.ms} ms, and no event was written under it`],
  );
}

/** Faults without an instant strike before the first call. */
export function isFromTheStart({ after, afterMs }: Fault): boolean {
  return after === 0 && afterMs === 0;
}

async function instantOf(fault: Fault, workload: Workload, ended: AbortSignal): Promise<void> {
  const untilMs = performance.now() + INSTANT_TIMEOUT_MS;
  while (!ended.aborted && performance.now() < untilMs) {
    if (workload.allGreeted && workload.turnsDone >= fault.after * workload.turnsInAll) break;
    await sleep(LOOK_EVERY_MS);
  }
  await sleep(fault.afterMs, undefined, { signal: ended }).catch(() => {});
}

async function bringAbout(fault: Fault, lab: Lab, callers: readonly Caller[]): Promise<void> {
  const { remote } = lab.emulators;
  switch (fault.what) {
    case "provider": {
      const count = fault.count === "always" ? ALWAYS : fault.count;
      return remote.arm({ target: fault.target, fault: fault.fault, count } as unknown as ArmCommand);
    }
    case "providerLive": {
      const count = await remote.inject({
        target: fault.target,
        fault: fault.fault,
      } as unknown as InjectCommand);
      if (count === 0) throw new Error(`nothing was open at ${fault.target} that could break`);
      return;
    }
    case "providersHeal":
      return remote.disarmAll();
    case "latency":
      return remote.setLatency(fault.ms);
    case "limits":
      return remote.setLimits(fault.limits);
    case "network":
      return trouble(fault, lab);
    case "line": {
      const count = Math.ceil(fault.share * callers.length);
      for (const { call } of callers.slice(0, count)) {
        if (call.outcome !== null) continue;
        if (fault.does === "stall") call.stallLine(fault.ms!);
        else call.cutMedia();
      }
      return;
    }
    case "shard":
      return lab.nodes[fault.node]!.levers.killShard(fault.shard, fault.does);
    case "actors":
      return lab.nodes[fault.node]!.levers.crashActors(0, fault.count);
    case "process":
      return endProcess(fault, lab);
    case "disk":
      return fault.does === "fill" ? lab.fillDisk(fault.node) : lab.freeDisk(fault.node);
    case "clock":
      return lab.nodes[fault.node]!.levers.jumpClock(fault.ms);
  }
}

function trouble(fault: Fault & { what: "network" }, lab: Lab): void {
  const tap = lab.taps.get(fault.to)!;
  if (fault.does === "delay") tap.delay(fault.ms!);
  else tap[fault.does]();
}

/** Which of them can be ended how is looked at where a scenario is read. */
async function endProcess({ which, index }: Fault & { what: "process" }, lab: Lab): Promise<void> {
  const { cluster } = lab;
  if (which === "node") return lab.nodes[index]!.process.kill();
  if (which === "busiestNode") return (await lab.busiestNode()).kill();
  if (cluster === null) throw new Error(`a stage of one node has no ${which}: stage.kind must be "cluster"`);
  switch (which) {
    case "controlPlane":
      return cluster.controlPlanes[index]!.kill();
    case "controlPlanes":
      lab.storeIsGone = true;
      await Promise.all(cluster.controlPlanes.map((one) => one.kill()));
      return;
    case "postgres":
      return cluster.postgres.restart();
    case "redis":
      return cluster.redis.restart({ keepData: false });
  }
}

/**
 * The comparison's runs, in turns: each agent is started afresh, loaded, and loaded once more while one further call
 * blocks its thread; then the next. The emulators are the same process throughout.
 *
 *   round:   plain: calm, blocked    node, 1 shard: calm, blocked    node, 2 shards: blocked
 *
 * What the blocking caller hears is in no figure: the load's callers are the others.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type PhoneCall, placeCall } from "#bench/caller";
import { describeOutcome } from "#bench/report";
import {
  type CallMix,
  type LoadResult,
  type LoadWindow,
  type NodeSettings,
  type Subject,
  BENCH_NUMBER,
  runLoad,
  scrapeMetrics,
} from "#bench/load";
import { type EmulatorProcess, startEmulatorProcess } from "#bench/processes";
import { BLOCKING_CALLER } from "./blocking.js";
import { AGENTS, type AgentName, startAgent } from "./subjects.js";

export interface SideBySideOptions {
  readonly mix: CallMix;
  readonly mixName: string;
  readonly calls: number;
  readonly seconds: number;
  /** How often each has its turn. */
  readonly rounds: number;
  /** @default 1 */
  readonly processes?: number;
  /** As a load's, of each that was just started. */
  readonly warmUpCalls?: number;
  /** As well, seconds: compilers are through after some 40. */
  readonly settle?: number;
  /** Of the nodes, on top of ours. */
  readonly settings?: NodeSettings;
  /** Which to set side by side. @default all */
  readonly agents?: readonly AgentName[];
  onRun?(agent: AgentName, blocked: boolean, round: number): void;
  onWindow?(window: LoadWindow): void;
}

export interface SideBySideRun {
  readonly agent: AgentName;
  /** One more call blocked its thread now and then. */
  readonly blocked: boolean;
  readonly round: number;
  readonly result: LoadResult;
  /** Shards that were taken for hung and replaced. */
  readonly shardsReplaced: number;
  /** The longest that a request to the agent's port waited while a call blocked; null when none did. */
  readonly heldMs: number | null;
  /** How the blocking call ended, when it did not end with us. */
  readonly blockerEnded: string | null;
}

export interface SideBySide {
  readonly calls: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly mix: string;
  readonly runs: readonly SideBySideRun[];
}

/** A third of a block: one of them falls into it. */
const KNOCK_EVERY_MS = 100;
/** Calls a second while a load is built up. */
const ARRIVALS_PER_SECOND = 50;
/** Before it is measured what a block does: its first ones are no surprise then. The caller says nothing, and an agent does not hear silence out for ever. */
const BLOCK_LEAD_S = 3;

export async function runSideBySide(options: SideBySideOptions): Promise<SideBySide> {
  const { calls, seconds, rounds, mixName, agents = AGENTS } = options;
  const runs: SideBySideRun[] = [];
  const emulators = await startEmulatorProcess();
  try {
    for (let round = 1; round <= rounds; round += 1) {
      for (const agent of agents) runs.push(...(await turnOf(agent, round, emulators, options)));
    }
  } finally {
    await emulators.stop();
  }
  return { calls, seconds, rounds, mix: mixName, runs };
}

async function turnOf(
  agent: AgentName,
  round: number,
  emulators: EmulatorProcess,
  options: SideBySideOptions,
): Promise<SideBySideRun[]> {
  const subject = await startAgent(agent, options.calls, emulators, options.settings);
  try {
    const runs: SideBySideRun[] = [];
    // A second shard is there for what a block does to the others; calm, one is enough for these calls.
    for (const blocked of agent === "node-2" ? [true] : [false, true]) {
      options.onRun?.(agent, blocked, round);
      runs.push({ agent, blocked, round, ...(await load(subject, blocked, runs.length === 0, options)) });
    }
    return runs;
  } finally {
    await subject.stop();
  }
}

async function load(
  subject: Subject,
  blocked: boolean,
  isCold: boolean,
  options: SideBySideOptions,
): Promise<Pick<SideBySideRun, "result" | "shardsReplaced" | "heldMs" | "blockerEnded">> {
  const { mix, mixName, calls, seconds, processes = 1, warmUpCalls, settle: settleS } = options;
  const replacedBefore = await shardsReplaced(subject);
  const rampS = Math.max(0.2, calls / ARRIVALS_PER_SECOND);
  const settle = isCold && settleS !== undefined ? { settleS } : {};
  const blockFromS = rampS + (settle.settleS ?? 0) - BLOCK_LEAD_S;
  const blocking: { call: Promise<PhoneCall | null> | null } = { call: null };
  const knocking = blocked ? knock(subject.target.url) : null;
  const result = await runLoad({
    subject,
    mix,
    mixName,
    calls,
    rampS,
    seconds,
    processes,
    ...settle,
    ...(!isCold ? { warmUpCalls: 0 } : warmUpCalls !== undefined && { warmUpCalls }),
    onWindow: (window) => {
      // Once the others are up: a node that is blocked takes no new calls.
      const isTime = window.phase === "steady" || (window.up >= calls && window.atS >= blockFromS);
      if (blocked && isTime) blocking.call ??= block(subject);
      options.onWindow?.(window);
    },
  });
  return {
    result,
    heldMs: knocking === null ? null : await knocking.longestMs(),
    blockerEnded: blocking.call === null ? null : await endOf(await blocking.call),
    shardsReplaced: (await shardsReplaced(subject)) - replacedBefore,
  };
}

/** Asks the agent's port for nothing, over and over: whoever answers does so on the thread that has the sockets. */
function knock(url: string): { longestMs(): Promise<number> } {
  const over = new AbortController();
  let longestMs = 0;
  const knocking = (async () => {
    while (!over.signal.aborted) {
      const sinceMs = performance.now();
      await fetch(url).then(
        (answer) => answer.arrayBuffer(),
        () => null,
      );
      longestMs = Math.max(longestMs, performance.now() - sinceMs);
      await sleep(KNOCK_EVERY_MS);
    }
  })();
  return {
    longestMs: async () => {
      over.abort();
      await knocking;
      return longestMs;
    },
  };
}

/** Null when nobody answered. */
function block(subject: Subject): Promise<PhoneCall | null> {
  const address = { nodeUrl: subject.target.url, to: BENCH_NUMBER, from: BLOCKING_CALLER };
  return placeCall(address).catch(() => null);
}

async function endOf(call: PhoneCall | null): Promise<string | null> {
  if (call === null) return "it was not answered";
  const { outcome } = call;
  call.hangUp();
  await call.ended;
  return outcome === null ? null : describeOutcome(outcome);
}

async function shardsReplaced({ target }: Subject): Promise<number> {
  if (target.adminUrl === undefined) return 0;
  return (await scrapeMetrics(target.adminUrl)).total("lumentra_shard_restarts_total");
}

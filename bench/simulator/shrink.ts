/**
 * Makes a failing script as small as it can: leaves out faults, calls and what callers do, one by one, for as long as the
 * same invariant still fails. What is left is what the failure needs.
 */
import type { Script } from "./script.js";

/** Runs at most so often: a script of ten calls has some sixty parts. */
const TRIES_MAX = 300;

export interface Shrunk {
  readonly script: Script;
  readonly tries: number;
}

/** `fails` says whether a script still shows the failure. */
export async function shrink(script: Script, fails: (script: Script) => Promise<boolean>): Promise<Shrunk> {
  let best = script;
  let tries = 0;
  for (let hasShrunk = true; hasShrunk && tries < TRIES_MAX; ) {
    hasShrunk = false;
    for (const smaller of smallerOf(best)) {
      if (tries++ >= TRIES_MAX) break;
      if (!(await fails(smaller))) continue;
      best = smaller;
      hasShrunk = true;
      break;
    }
  }
  return { script: best, tries };
}

/** Each leaves one part out, the largest parts first. Calls keep their place: faults name them by it. */
function* smallerOf(script: Script): Generator<Script, void> {
  const { calls, vendors, faults, moments } = script;
  for (const [index, call] of calls.entries()) {
    if (call.steps.length === 0 && call.carrier.length === 0 && call.atMs >= SILENT_AT_MS) continue;
    yield withCall(script, index, { ...call, atMs: SILENT_AT_MS, steps: [], carrier: [] });
  }
  for (const index of faults.keys()) yield { ...script, faults: without(faults, index) };
  for (const index of moments.keys()) yield { ...script, moments: without(moments, index) };
  for (const index of vendors.keys()) yield { ...script, vendors: without(vendors, index) };
  for (const [at, call] of calls.entries()) {
    for (const index of call.carrier.keys())
      yield withCall(script, at, { ...call, carrier: without(call.carrier, index) });
    for (const index of call.steps.keys())
      yield withCall(script, at, { ...call, steps: without(call.steps, index) });
  }
  if (script.nodes > 1 && faults.every((fault) => fault.kind === "crash")) yield { ...script, nodes: 1 };
  if (script.outage !== null) yield { ...script, outage: null };
  // Who was promised another vendor has one.
  if (script.fallbacks !== "none" && script.outage?.whose !== "first") yield { ...script, fallbacks: "none" };
  if (script.hasSpare) yield { ...script, hasSpare: false };
  if (script.shardsPerNode > 1) yield { ...script, shardsPerNode: 1 };
}

/** A call that is left out is never placed. */
const SILENT_AT_MS = 1_000_000;

function without<T>(list: readonly T[], index: number): readonly T[] {
  return list.toSpliced(index, 1);
}

function withCall(script: Script, index: number, call: Script["calls"][number]): Script {
  return { ...script, calls: script.calls.with(index, call) };
}

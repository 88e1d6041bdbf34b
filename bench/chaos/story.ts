/**
 * What happened to a caller of whom a check says that something did not hold: what he said and heard, what struck, and
 * what the journal has of it, in one order. Printed with the failure, for a second run seldom fails the same way.
 */
import type { JournalEvent } from "#actors/journal";
import type { StruckFault } from "./faults.js";
import type { Caller } from "./workload.js";

/** Callers told of; the rest mostly failed for the same reason. */
const STORIES_MAX = 3;
/** Of each; the middle is left out. */
const LINES_MAX = 120;
const CALLER = /^caller (\d+)\b/;
/** The same in every event of a call, or said by the line's own columns. */
const LEFT_OUT = new Set([
  "callId",
  "sequence",
  "epoch",
  "atMs",
  "atUnixMs",
  "kind",
  "ledger",
  "nodeId",
  "pii",
]);

interface Happened {
  readonly atMs: number;
  readonly what: string;
}

/** The callers that failures name, in lines; seconds count from each one's first sentence or event. */
export function storiesOf(
  failures: readonly string[],
  callers: readonly Caller[],
  journals: ReadonlyMap<number, readonly JournalEvent[]>,
  struck: readonly StruckFault[],
): readonly string[] {
  const named = new Set(failures.flatMap((failure) => CALLER.exec(failure)?.[1] ?? []).map(Number));
  return callers
    .filter(({ index }) => named.has(index))
    .slice(0, STORIES_MAX)
    .flatMap(({ index, call }) => [
      `caller ${index}:`,
      ...linesOf([
        ...call.said.map(({ text, startedAtMs }) => ({ atMs: startedAtMs, what: `says “${text}”` })),
        ...call.said.map(({ endedAtMs }) => ({ atMs: endedAtMs, what: "has said it" })),
        ...call.heard.map(({ word, playedAtMs }) => ({ atMs: playedAtMs, what: `hears “${word}”` })),
        ...call.spurts.flatMap((spurt) => [
          { atMs: spurt.startedAtMs, what: "the agent begins to speak" },
          { atMs: spurt.endedAtMs, what: `falls silent${brokenBy(spurt)}` },
        ]),
        ...(journals.get(index) ?? []).map((event) => ({ atMs: event.atMs, what: `  ${describe(event)}` })),
        ...struck.map(({ fault, atMs }) => ({ atMs, what: `! ${fault.what}` })),
      ]),
    ]);
}

function brokenBy({ cut, underrunCount, underrunMs }: Caller["call"]["spurts"][number]): string {
  const gaps =
    underrunCount === 0 ? "" : `, after ${underrunCount} gaps of ${Math.round(underrunMs)} ms in all`;
  return `${cut ? ", cut" : ""}${gaps}`;
}

function describe(event: JournalEvent): string {
  const facts = Object.entries(event).filter(([name]) => !LEFT_OUT.has(name));
  const pii = "pii" in event ? Object.entries(event.pii) : [];
  const told = [...facts, ...pii].map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  return `${event.kind} ${told.join(", ")} (${event.epoch}.${event.sequence})`;
}

function linesOf(happened: readonly Happened[]): readonly string[] {
  const inOrder = happened.toSorted((one, other) => one.atMs - other.atMs);
  const originMs = inOrder[0]?.atMs ?? 0;
  const lines = inOrder.map(
    ({ atMs, what }) => `${((atMs - originMs) / 1_000).toFixed(3).padStart(8)} ${what}`,
  );
  if (lines.length <= LINES_MAX) return lines;
  const half = LINES_MAX / 2;
  return [
    ...lines.slice(0, half),
    `${" ".repeat(8)} … ${lines.length - LINES_MAX} more`,
    ...lines.slice(-half),
  ];
}

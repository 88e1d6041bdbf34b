/** What the runs say of each agent: a figure is the median over rounds, with the least and most beside it. Pure. */
import { type LoadResult, shown } from "#bench/load";
import type { SideBySide, SideBySideRun } from "./side-by-side.js";
import { AGENTS, type AgentName } from "./subjects.js";

export const AGENT_TITLES: Readonly<Record<AgentName, string>> = {
  plain: "plain agent",
  "node-1": "Lumentra, 1 shard",
  "node-2": "Lumentra, 2 shards",
};

/** What is compared, by the name the load has for it. */
const FIGURES: readonly (readonly [name: string, shownAs: string])[] = [
  ["calls within objective", "calls within objective"],
  ["turns within objective", "turns within objective"],
  ["turns that were wrong", "turns wrong"],
  ["calls refused", "calls refused"],
  ["underruns heard by callers", "gaps heard in the agent's speech"],
  ["voice to voice p50", "voice to voice p50"],
  ["voice to voice p99", "voice to voice p99"],
  ["added p50", "added p50"],
  ["added p99", "added p99"],
  ["interruption to clear p99", "interruption to clear p99"],
  ["webhook to first greeting audio p50", "webhook to greeting p50"],
  ["webhook to first greeting audio p95", "webhook to greeting p95"],
  ["pacing error p99, at most", "pacing error p99, at most"],
  ["node CPU per call and second", "its CPU per call and second"],
  ["node memory per call", "its memory per call"],
  ["generator CPU per call and second", "callers' CPU per call and second"],
  ["emulator CPU per call and second", "emulators' CPU per call and second"],
  ["generator's frames late p99", "callers late p99"],
];

export interface Spread {
  readonly unit: string;
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Null where a kind of agent has no such figure, or did not run. */
export function spreadOf(
  { runs }: SideBySide,
  agent: AgentName,
  blocked: boolean,
  name: string,
): Spread | null {
  const figures = runs
    .filter((run) => run.agent === agent && run.blocked === blocked)
    .flatMap(({ result }) => result.figures.filter((figure) => figure.name === name));
  const values = figures.map(({ value }) => value).sort((a, b) => a - b);
  if (values.length === 0) return null;
  const middle = (values.length - 1) / 2;
  return {
    unit: figures[0]!.unit,
    median: (values[Math.floor(middle)]! + values[Math.ceil(middle)]!) / 2,
    least: values[0]!,
    most: values.at(-1)!,
  };
}

/** One row a figure, one column an agent, and the plain agent's over the node's with one shard. */
export function comparisonRows(sides: SideBySide, blocked: boolean): readonly Record<string, string>[] {
  const agents = AGENTS.filter((agent) =>
    sides.runs.some((run) => run.agent === agent && run.blocked === blocked),
  );
  const rows: Record<string, string>[] = [];
  for (const [name, shownAs] of FIGURES) {
    const spreads = agents.map((agent) => spreadOf(sides, agent, blocked, name));
    if (spreads.every((spread) => spread === null)) continue;
    const row: Record<string, string> = { what: shownAs };
    agents.forEach((agent, index) => {
      row[AGENT_TITLES[agent]] = textOf(spreads[index]!);
    });
    row.ratio = ratioOf(spreads[agents.indexOf("plain")] ?? null, spreads[agents.indexOf("node-1")] ?? null);
    rows.push(row);
  }
  if (blocked) rows.push(...ofTheBlock(sides, agents));
  return rows;
}

/** What failed in the runs that nothing disturbed: then no figure counts. Of the others it is the result. */
export function proofOf({ runs }: SideBySide): readonly string[] {
  return runs
    .filter(({ blocked, result }) => !blocked && result.failureCount > 0)
    .map(({ agent, round, result }) => `${AGENT_TITLES[agent]}, round ${round}: ${failuresOf(result)}`);
}

function failuresOf({ failureCount, failures }: LoadResult): string {
  return `${failureCount} failures: ${failures[0] ?? ""}`;
}

function ofTheBlock({ runs }: SideBySide, agents: readonly AgentName[]): Record<string, string>[] {
  const row = (what: string, of: (run: SideBySideRun) => string): Record<string, string> => ({
    what,
    ...Object.fromEntries(
      agents.map((agent) => [
        AGENT_TITLES[agent],
        runs
          .filter((run) => run.agent === agent && run.blocked)
          .map(of)
          .join("; "),
      ]),
    ),
    ratio: "",
  });
  return [
    row("the blocking call ended", ({ blockerEnded }) => blockerEnded ?? "no"),
    row("shards replaced", ({ agent, shardsReplaced }) => (agent === "plain" ? "–" : String(shardsReplaced))),
  ];
}

function textOf(spread: Spread | null): string {
  if (spread === null) return "–";
  const { unit, median, least, most } = spread;
  const range = least === most ? "" : ` (${shown(least)}–${shown(most)})`;
  return `${shown(median)}${unit === "" ? "" : ` ${unit}`}${range}`;
}

function ratioOf(plain: Spread | null, node: Spread | null): string {
  if (plain === null || node === null || node.median <= 0 || plain.median <= 0) return "";
  return shown(plain.median / node.median);
}

/** The plain agent and the node as grouped bars: undisturbed, and what one blocking call does to the others. Pure. */
import { AGENT_TITLES, type AgentName, spreadOf } from "#bench/baseline";
import type { ColourName } from "#bench/report";
import { captionOf } from "./caption.js";
import type { Chart, Panel } from "./chart.js";
import { cpuGoal, goalsOf } from "./goals.js";
import type { AgentCapacitySource, SideBySideSource } from "./source.js";

const COLOURS: Readonly<Record<AgentName, ColourName>> = { plain: "c1", "node-1": "c0", "node-2": "c3" };
const BLOCKED = [false, true] as const;
const CATEGORIES = ["undisturbed", "one call blocks"];

const PANELS: readonly {
  readonly figure: string;
  readonly title: string;
  readonly unit: string;
  /** What a call's own figures are while another blocks says nothing of their cost. */
  readonly calmOnly?: true;
}[] = [
  { figure: "calls within objective", title: "Calls within objective", unit: "% of calls" },
  { figure: "added p99", title: "Added delay, p99", unit: "ms" },
  { figure: "voice to voice p95", title: "Voice to voice, p95", unit: "ms" },
  { figure: "node CPU per call and second", title: "CPU per call and second", unit: "ms", calmOnly: true },
  { figure: "node memory per call", title: "Memory per call", unit: "KiB", calmOnly: true },
  { figure: "underruns heard by callers", title: "Gaps in the agent's speech", unit: "gaps heard" },
];

export function sideBySideChart(source: SideBySideSource): Chart {
  const { calls, mix, seconds, rounds } = source;
  const over = rounds === 1 ? "one round" : `${rounds} rounds, medians`;
  return {
    name: `side-by-side-${mix}-${calls}`,
    title: `A plain agent and Lumentra: ${mix}, ${calls.toLocaleString("en")} calls`,
    subtitle: `${seconds} s each, ${over}. Blocking: one more call holds its thread for 300 ms every 2 s; figures are of the others`,
    columns: 3,
    panels: PANELS.map((panel) => panelOf(source, panel)),
    warnings: warningsOf(source),
    caption: captionOf([source]),
  };
}

function panelOf(
  source: SideBySideSource,
  { figure, title, unit, calmOnly }: (typeof PANELS)[number],
): Panel {
  const blocked = calmOnly === true ? [false] : BLOCKED;
  const agents = (Object.keys(COLOURS) as AgentName[]).filter((agent) =>
    source.runs.some((run) => run.agent === agent && blocked.includes(run.blocked)),
  );
  const goals = figure === "node CPU per call and second" ? [cpuGoal(source.mix)] : goalsOf([figure]);
  return {
    title,
    x: { label: "", categories: CATEGORIES.slice(0, blocked.length) },
    y: { label: unit, ...(unit.startsWith("%") && { most: 100 }) },
    goals,
    series: agents.map((agent) => ({
      name: AGENT_TITLES[agent],
      colour: COLOURS[agent],
      kind: "bar",
      points: blocked.map((isBlocked, at) => [
        at,
        spreadOf(source, agent, isBlocked, figure)?.median ?? null,
      ]),
    })),
  };
}

/** Of runs that nothing disturbed; what fails while a call blocks is what is shown. */
function warningsOf({ runs }: SideBySideSource): readonly string[] {
  return runs
    .filter(({ blocked, result }) => !blocked && result.failureCount > 0)
    .map(
      ({ agent, round, result }) =>
        `${AGENT_TITLES[agent]}, round ${round}: ${result.failureCount} failures, so its figures do not count`,
    );
}

export function agentCapacityChart(source: AgentCapacitySource): Chart {
  const { mix, seconds, agents } = source;
  return {
    name: `side-by-side-capacity-${mix}`,
    title: `Calls within every objective: ${mix}`,
    subtitle: agents
      .map(({ agent, ranOut }) => `${AGENT_TITLES[agent]}: ${ranOut ?? "nothing ran out"}`)
      .join(" · "),
    columns: 1,
    panels: [
      {
        title: `Raised until an objective broke, ${seconds} s a step`,
        x: { label: "", categories: agents.map(({ agent }) => AGENT_TITLES[agent]) },
        y: { label: "calls at once" },
        goals: [],
        series: agents.map(({ agent, calls }, place) => ({
          name: AGENT_TITLES[agent],
          colour: COLOURS[agent],
          kind: "bar",
          stack: "agents",
          points: agents.map((_, at) => [at, at === place ? calls : null]),
        })),
      },
    ],
    warnings: [],
    caption: captionOf([source]),
  };
}

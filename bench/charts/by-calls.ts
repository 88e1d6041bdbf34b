/** Charts of several loads of one mix, or of a capacity search's steps, over the number of calls. Pure. */
import { type Figure, THREAD_FULL } from "#bench/load";
import type { ColourName } from "#bench/report";
import { captionOf } from "./caption.js";
import type { Chart, Panel, Series } from "./chart.js";
import { PERCENTILE_COLOURS, cpuGoal, goalsOf, percentileOf } from "./goals.js";
import type { CapacitySource, LoadSource } from "./source.js";

/** One number of calls. */
interface Step {
  readonly calls: number;
  readonly figures: readonly Figure[];
  readonly failureCount: number;
}

type Said = Pick<Chart, "subtitle" | "caption">;

/** Of one mix, in any order; one a number of calls. */
export function loadCharts(sources: readonly LoadSource[]): readonly Chart[] {
  const { mix, target } = sources[0]!;
  const said = { subtitle: `${mix}: ${target}; each point a run of its own`, caption: captionOf(sources) };
  const steps = ordered(sources);
  return [...stepCharts(mix, mix, steps, said), memoryByCalls(mix, steps, said)];
}

export function capacityCharts(source: CapacitySource): readonly Chart[] {
  const { mix, calls, ranOut } = source;
  const found =
    ranOut === null
      ? `nothing broke up to ${calls} calls`
      : `${calls} calls within every objective; what ran out beyond: ${ranOut}`;
  const said = { subtitle: `${mix}: ${found}`, caption: captionOf([source]) };
  const steps = ordered(source.steps);
  const last = steps.at(-1)?.calls ?? 0;
  const charts = [...stepCharts(`capacity-${mix}`, mix, steps, said), threadsByCalls(source, said)];
  return last <= calls ? charts : charts.map((chart) => withBeyond(chart, calls, last));
}

/** Where an objective was broken stands apart; bars have no scale to tell it on. */
function withBeyond(chart: Chart, from: number, to: number): Chart {
  const aside = { from, to, label: "an objective broke" };
  const panels = chart.panels.map((panel) =>
    panel.x.categories === undefined ? { ...panel, aside } : panel,
  );
  return { ...chart, panels };
}

function ordered<One extends Step>(steps: readonly One[]): readonly One[] {
  return [...steps].sort((a, b) => a.calls - b.calls);
}

function stepCharts(prefix: string, mix: string, steps: readonly Step[], said: Said): readonly Chart[] {
  const common = { ...said, warnings: warningsOf(steps) };
  return [
    {
      ...common,
      name: `${prefix}-delay-by-calls`,
      title: "Delay by number of calls",
      columns: 2,
      panels: [
        percentilesByCalls("Voice to voice", "voice to voice", [50, 95, 99], steps),
        percentilesByCalls("Added by the node", "added", [50, 99], steps),
      ],
    },
    cpuByCalls(prefix, mix, steps, common),
    {
      ...common,
      name: `${prefix}-lateness-by-calls`,
      title: "Lateness by number of calls",
      columns: 2,
      panels: [
        figurePanel(
          "Pacing error",
          "ms, at most",
          ["pacing error p50, at most", "pacing error p99, at most"],
          steps,
        ),
        figurePanel(
          "Event loop of the worst thread, its p99 a second",
          "ms late",
          [50, 99].map((at) => `event loop of the worst thread late, p99 of a window p${at}`),
          steps,
        ),
      ],
    },
  ];
}

function percentilesByCalls(
  title: string,
  what: string,
  percentiles: readonly number[],
  steps: readonly Step[],
): Panel {
  return figurePanel(
    title,
    "ms",
    percentiles.map((at) => `${what} p${at}`),
    steps,
  );
}

/** A line a figure, named after its percentile. */
function figurePanel(title: string, unit: string, figures: readonly string[], steps: readonly Step[]): Panel {
  return {
    title,
    x: { label: "calls at once" },
    y: { label: unit },
    goals: goalsOf(figures),
    series: figures.map((figure) => {
      const percentile = percentileOf(figure)!;
      return {
        name: percentile,
        colour: PERCENTILE_COLOURS[percentile]!,
        kind: "line",
        points: steps.map((step) => [step.calls, valueOf(step, figure)]),
      };
    }),
  };
}

function cpuByCalls(
  prefix: string,
  mix: string,
  steps: readonly Step[],
  common: Said & Pick<Chart, "warnings">,
): Chart {
  const bar = (
    name: string,
    colour: ColourName,
    stack: string,
    of: (step: Step) => number | null,
  ): Series => ({ name, colour, stack, kind: "bar", points: steps.map((step, at) => [at, of(step)]) });
  const edge = (step: Step) => valueOf(step, "of it the edge's thread");
  const shards = (step: Step) => valueOf(step, "of it the shards' threads");
  const rest = (step: Step): number | null => {
    const all = valueOf(step, "node CPU per call and second");
    return all === null ? null : Math.max(0, all - (edge(step) ?? 0) - (shards(step) ?? 0));
  };
  return {
    ...common,
    name: `${prefix}-cpu-by-calls`,
    title: "CPU per call and second by number of calls",
    columns: 1,
    panels: [
      {
        title: "Left: the node, by thread. Right: what drives it on the same machine",
        x: { label: "calls at once", categories: steps.map(({ calls }) => calls.toLocaleString("en")) },
        y: { label: "ms of CPU per call and second" },
        goals: [cpuGoal(mix)],
        series: [
          bar("node: edge thread", "c0", "node", edge),
          bar("node: shards", "c3", "node", shards),
          bar("node: rest", "c4", "node", rest),
          bar("phones", "c1", "tools", (step) => valueOf(step, "generator CPU per call and second")),
          bar("emulated providers", "c2", "tools", (step) =>
            valueOf(step, "emulator CPU per call and second"),
          ),
        ],
      },
    ],
  };
}

/** Each run's node is a fresh one; a search's is the same throughout, and what it has once grown to says nothing. */
function memoryByCalls(mix: string, steps: readonly Step[], said: Said): Chart {
  const figure = "node memory per call";
  return {
    ...said,
    warnings: warningsOf(steps),
    name: `${mix}-memory-by-calls`,
    title: "Memory per call by number of calls",
    columns: 1,
    panels: [
      {
        title: "What the node has grown by since before the first call",
        x: { label: "calls at once" },
        y: { label: "KiB per call" },
        goals: goalsOf([figure]),
        series: [
          {
            name: "node",
            colour: "c0",
            kind: "line",
            points: steps.map((step) => [step.calls, valueOf(step, figure)]),
          },
        ],
      },
    ],
  };
}

function threadsByCalls({ mix, steps }: CapacitySource, said: Said): Chart {
  type Evidence = CapacitySource["steps"][number]["evidence"];
  const sorted = ordered(steps);
  const line = (name: string, colour: ColourName, of: (evidence: Evidence) => number): Series => ({
    name,
    colour,
    kind: "line",
    points: sorted.map(({ calls, evidence }) => [calls, of(evidence)]),
  });
  return {
    ...said,
    warnings: warningsOf(sorted),
    name: `capacity-${mix}-threads-by-calls`,
    title: "What fills up by number of calls",
    columns: 1,
    panels: [
      {
        title: "Means over each step",
        x: { label: "calls at once" },
        y: { label: "share of a core" },
        goals: [{ label: `full: ${THREAD_FULL} of a core`, value: THREAD_FULL }],
        series: [
          line("edge thread", "c0", ({ edgeCores }) => edgeCores),
          line("busiest shard", "c3", ({ worstShardCores }) => worstShardCores),
          line("phones", "c1", ({ generatorCores }) => generatorCores),
          line("emulated providers", "c2", ({ emulatorCores }) => emulatorCores),
        ],
      },
    ],
  };
}

function warningsOf(steps: readonly Step[]): readonly string[] {
  return steps
    .filter(({ failureCount }) => failureCount > 0)
    .map(
      ({ calls, failureCount }) =>
        `${calls} calls: ${failureCount.toLocaleString("en")} failures, so its figures do not count`,
    );
}

/** One that JSON could not say (a bucket without a bound) is not known. */
function valueOf({ figures }: Step, name: string): number | null {
  return figures.find((figure) => figure.name === name)?.value ?? null;
}

/** What the edge's thread alone carries, over the number of calls. Pure. */
import type { ColourName } from "#bench/report";
import { EDGE_ROWS } from "#bench/suites";
import { captionOf } from "./caption.js";
import type { Chart, Panel, Series } from "./chart.js";
import type { EdgeSource } from "./source.js";

const COLOURS: readonly ColourName[] = ["c0", "c1", "c3", "c2", "c4"];

export function edgeChart(sources: readonly EdgeSource[]): Chart {
  const sorted = [...sources].sort((a, b) => a.options.calls - b.options.calls);
  return {
    name: "edge-by-calls",
    title: "The edge thread alone, by number of calls",
    subtitle: "media sockets that send a frame every 20 ms; shards only drain their rings",
    columns: 2,
    panels: [
      panelOf(sorted, "CPU of the thread", "share of a core", EDGE_ROWS.share, [
        { label: "a whole core", value: 1 },
      ]),
      panelOf(sorted, "CPU per call", "ms per call and second", EDGE_ROWS.cpuPerCall, []),
    ],
    warnings: sorted
      .filter(({ failures }) => failures.length > 0)
      .map(({ options, failures }) => `${options.calls} sockets do not count: ${failures.join("; ")}`),
    caption: captionOf(sorted),
  };
}

function panelOf(
  sources: readonly EdgeSource[],
  title: string,
  unit: string,
  what: string,
  goals: Panel["goals"],
): Panel {
  const variants = [...new Set(sources.map(variantOf))];
  return {
    title,
    x: { label: "media sockets at once" },
    y: { label: unit },
    goals,
    series: variants.map((name, at): Series => {
      const own = sources.filter((source) => variantOf(source) === name);
      return {
        name,
        colour: COLOURS[at % COLOURS.length]!,
        kind: "line",
        points: own.map(({ options, rows }) => [options.calls, valueOf(rows, what)]),
      };
    }),
  };
}

function variantOf({ options: { shards, speak } }: EdgeSource): string {
  const sinks = shards === 1 ? "" : `, ${shards} shards`;
  return `${speak ? "callers heard and spoken to" : "callers heard"}${sinks}`;
}

function valueOf(rows: EdgeSource["rows"], what: string): number | null {
  const value = rows.find((row) => row["what"] === what)?.["value"];
  return typeof value === "number" ? value : null;
}

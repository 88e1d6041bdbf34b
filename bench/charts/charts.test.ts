import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { create } from "xmlbuilder2";
import { PALETTE, commandLine } from "#bench/report";
import { runChartsCommand } from "../charts-command.js";
import { mergedCommands } from "./caption.js";
import type { Chart } from "./chart.js";
import { chartsOf, renderChart } from "./index.js";
import { topOf, wrapped } from "./layout.js";
import {
  agentCapacitySource,
  capacitySource,
  edgeSource,
  loadSource,
  sideBySideSource,
  soakSource,
} from "./results.fixture.js";
import { type Source, readSource } from "./source.js";

const { light, dark } = PALETTE;

interface Element {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly text: string;
}

/** As an XML parser sees it: what is not well-formed throws. */
function elementsOf(svg: string): Element[] {
  const elements: Element[] = [];
  create(svg)
    .root()
    .each(
      ({ node }) => {
        // A clipping shape is not seen.
        if (!("tagName" in node) || node.parentNode?.nodeName === "clipPath") return;
        const element = node as unknown as {
          tagName: string;
          textContent: string;
          attributes: Iterable<{ name: string; value: string }>;
        };
        elements.push({
          name: element.tagName,
          text: element.textContent,
          attributes: new Map([...element.attributes].map(({ name, value }) => [name, value])),
        });
      },
      true,
      true,
    );
  return elements;
}

/** The lines drawn in a colour, each as the number of its points, or none if it has gaps; a goal is a dashed one. */
function linesOf(elements: readonly Element[], colour: string, isDashed = false): number[] {
  return elements
    .filter(
      ({ name, attributes }) =>
        (name === "path" || name === "polyline") &&
        attributes.get("stroke") === colour &&
        attributes.get("fill") === "none" &&
        attributes.has("stroke-dasharray") === isDashed,
    )
    .map(({ attributes }) => /^M[^M]*$/.exec(attributes.get("d")!)?.[0].match(/[ML]/g)!.length ?? 0);
}

function bars(elements: readonly Element[], colour: string): Element[] {
  return elements.filter(
    ({ name, attributes }) =>
      name === "path" && attributes.get("fill") === colour && attributes.get("ecmeta_ssr_type") === "chart",
  );
}

function textOf(elements: readonly Element[]): string {
  return elements
    .filter(({ name }) => name === "text")
    .map(({ text }) => text)
    .join("\n");
}

/** The colours one sees: not of an outline without a width, nor of the inside of a line. */
function paintsOf({ attributes }: Element): string[] {
  const { fill, stroke } = Object.fromEntries(attributes) as Partial<Record<string, string>>;
  const isLine = /^M[\d. ]+L[\d. ]+$/.test(attributes.get("d") ?? "");
  return [
    ...(fill === undefined || isLine || attributes.get("fill-opacity") === "0" ? [] : [fill]),
    ...(stroke === undefined || attributes.get("stroke-width") === "0" ? [] : [stroke]),
  ];
}

async function drawn(sources: readonly Source[], name: string): Promise<Element[]> {
  const chart = chartsOf(sources).find((candidate) => candidate.name === name);
  if (chart === undefined)
    throw new Error(
      `no ${name} among ${chartsOf(sources)
        .map((one) => one.name)
        .join(", ")}`,
    );
  return elementsOf(await renderChart(chart));
}

/** What every chart has, whatever it shows. */
function assertWhole(t: Test, chart: Chart, elements: readonly Element[]): void {
  const said = textOf(elements);
  t.ok(said.includes(chart.title), `${chart.name}: ${chart.title}`);
  for (const panel of chart.panels) {
    t.ok(said.includes(panel.title), `${chart.name}: ${panel.title}`);
    t.ok(said.includes(panel.y.label) && said.includes(panel.x.label), `${chart.name}: axes have names`);
    for (const { name } of panel.series) t.ok(said.includes(name), `${chart.name}: ${name} is in the legend`);
    for (const { label } of panel.goals) t.ok(said.includes(label), `${chart.name}: ${label}`);
  }
  for (const { colour = "bad" } of chart.panels.flatMap(({ goals }) => goals)) {
    t.ok(linesOf(elements, light[colour], true).includes(2), `${chart.name}: a line a goal`);
  }
  t.match(said, "Abacus & Sons <9>");
  t.match(said, "commit abc1234");
  t.match(said.replaceAll("\n", " "), /npm run bench -- [a-z]/);
  t.equal(
    elements[0]?.text.startsWith(chart.title),
    true,
    "and its name is there for those who do not see it",
  );
}

void t.test(
  "every kind of result is drawn, with title, axes, goals, machine, commit and command",
  async (t) => {
    const sources = [
      ...[100, 400, 200, 300].map((calls) => loadSource(calls)),
      loadSource(500, { failureCount: 1 }),
      soakSource(),
      capacitySource(),
      sideBySideSource(),
      agentCapacitySource(),
      ...[200, 400].flatMap((calls) => [edgeSource(calls, false), edgeSource(calls, true)]),
    ];
    const charts = chartsOf(sources);
    t.same(charts.map(({ name }) => name).sort(), [
      "capacity-conversation-cpu-by-calls",
      "capacity-conversation-delay-by-calls",
      "capacity-conversation-lateness-by-calls",
      "capacity-conversation-threads-by-calls",
      "conversation-400-delay-over-time", // of 500 it does not count
      "conversation-cpu-by-calls",
      "conversation-delay-by-calls",
      "conversation-lateness-by-calls",
      "conversation-memory-by-calls",
      "edge-by-calls",
      "side-by-side-capacity-conversation",
      "side-by-side-conversation-100",
      "soak-conversation",
    ]);
    for (const chart of charts) {
      const svg = await renderChart(chart);
      assertWhole(t, chart, elementsOf(svg));
      t.equal(svg, await renderChart(chart), `${chart.name}: the same again is the same file`);
    }
  },
);

void t.test(
  "a percentile has a point for every number of calls, in order, and goals of its own",
  async (t) => {
    const sources = [400, 100, 200, 300].map((calls) => loadSource(calls));
    const elements = await drawn(sources, "conversation-delay-by-calls");
    t.same(linesOf(elements, light.c0), [4, 4], "p50, of both");
    t.same(linesOf(elements, light.c1), [4], "p95: nobody has that of added");
    t.same(linesOf(elements, light.c2), [4, 4], "p99");
    for (const colour of [light.c0, light.c1, light.c2])
      t.ok(linesOf(elements, colour, true).length > 0, colour);
    t.match(textOf(elements), "goal: p50 350 ms, p95 450 ms");
    t.match(textOf(elements), "goal: p50 5 ms, p99 20 ms");
  },
);

void t.test("a front door's answers are drawn over time, whatever else was loaded", async (t) => {
  const windows = loadSource(0).windows.map((window) => ({
    ...window,
    answers: 200,
    answerMs: { p50: 2, p95: 4, p99: 9 },
  }));
  const door = loadSource(0, { mix: "webhooks", ratePerSecond: 200, windows });
  const elements = await drawn([door, loadSource(100)], "webhooks-200-answers-over-time");
  const points = windows.length;
  t.same(linesOf(elements, light.c2), [points, points], "p99 and the generator");
  t.match(textOf(elements), "200 requests a second");
  t.equal(chartsOf([door, loadSource(100)]).length, 2);
});

void t.test("over time, each window with turns is a point; the ramp is set apart", async (t) => {
  const source = loadSource(100);
  const elements = await drawn([source], "conversation-100-delay-over-time");
  const turns = source.windows.length - 3;
  for (const colour of [light.c0, light.c1, light.c2]) t.same(linesOf(elements, colour), [turns, turns]);
  t.match(textOf(elements), "ramp");
  t.same(
    chartsOf([source]).map(({ name }) => name),
    ["conversation-100-delay-over-time"],
    "one run is no series of calls",
  );
});

void t.test(
  "CPU stands on each other: threads of the node in one bar, what drives it in the next",
  async (t) => {
    const sources = [100, 200, 300].map((calls) => loadSource(calls));
    const elements = await drawn(sources, "conversation-cpu-by-calls");
    for (const colour of ["c0", "c3", "c4", "c1", "c2"] as const)
      t.equal(bars(elements, light[colour]).length, 3, colour);
    // 0.8 + 60 / 100, and 0.8 + 30 / 100, are of the whole node and of its tools.
    t.match(textOf(elements), /1\.40[^]*1\.10/);
    t.match(textOf(elements), "goal: 1.0 ms");
    const idle = sources.map((source) => ({ ...source, mix: "idle" }));
    t.match(textOf(await drawn(idle, "idle-cpu-by-calls")), "goal: 0.6 ms");
  },
);

void t.test("what is beyond a capacity is set apart, when there is anything beyond it", async (t) => {
  const source = capacitySource();
  const name = "capacity-conversation-delay-by-calls";
  t.equal(textOf(await drawn([source], name)).match(/an objective broke/g)?.length, 2, "in both panels");
  const all = { ...source, calls: 500, ranOut: null };
  const said = textOf(await drawn([all], name));
  t.notMatch(said, "an objective broke");
  t.match(said, "nothing broke up to 500 calls");
});

void t.test("a soak has every window, its slope and its verdicts", async (t) => {
  const elements = await drawn([soakSource(300)], "soak-conversation");
  t.same(linesOf(elements, light.c0), [300]);
  t.same(linesOf(elements, light.bad, true), [2], "the slope, from the warm-up's end");
  t.match(textOf(elements), /slope: \+1 MiB an hour/);
  t.match(textOf(elements), "597 h of call time");
  t.match(
    textOf(elements),
    /memory \+1 MiB an hour: flat · descriptors 0 an hour: flat · timers: too short to tell/,
  );
});

void t.test("side by side, agents stand as bars, calm and disturbed; who did not run has none", async (t) => {
  const elements = await drawn([sideBySideSource()], "side-by-side-conversation-100");
  // Calls, added, voice and gaps of both conditions; CPU and memory of the calm one.
  t.equal(bars(elements, light.c1).length, 4 * 2 + 2, "plain");
  t.equal(bars(elements, light.c0).length, 4 * 2 + 2, "node, 1 shard");
  t.equal(bars(elements, light.c3).length, 4, "node, 2 shards: disturbed alone");
});

void t.test("the edge's variants are lines of their own", async (t) => {
  const sources = [100, 200, 300].map((calls) => edgeSource(calls, false));
  const elements = await drawn([...sources, edgeSource(200, true)], "edge-by-calls");
  t.same(linesOf(elements, light.c0), [3, 3]);
  t.match(textOf(elements), "callers heard and spoken to");
  t.match(textOf(elements), "a whole core");
});

void t.test("what failed says so above its charts, and what is not known is left out", async (t) => {
  const broken = loadSource(200, { failureCount: 7, failures: ["a caller's words"] });
  const text = textOf(await drawn([loadSource(100), broken], "conversation-delay-by-calls"));
  t.match(text, "200 calls: 7 failures, so its figures do not count");
  t.notMatch(text, "a caller's words");
  const unsaid = loadSource(300, {
    figures: loadSource(300).figures.map((figure) =>
      // A bucket without a bound: JSON has no word for it.
      figure.name.startsWith("pacing") ? { ...figure, value: null as unknown as number } : figure,
    ),
  });
  const elements = await drawn([loadSource(100), loadSource(200), unsaid], "conversation-lateness-by-calls");
  t.same(linesOf(elements, light.c2), [2, 3]);
  const bare = [100, 200].map((calls) => loadSource(calls, { figures: [], windows: [] }));
  t.same(chartsOf(bare), []);
});

void t.test("every colour has a twin for the dark, and none is missed", async (t) => {
  for (const chart of chartsOf([loadSource(100), loadSource(200), soakSource(), sideBySideSource()])) {
    const svg = await renderChart(chart);
    const own = new Set<string>(["none", ...Object.values(light)]);
    t.same(
      [...new Set(elementsOf(svg).flatMap(paintsOf))].filter((colour) => !own.has(colour)),
      [],
      chart.name,
    );
    for (const colour of Object.values(dark)) t.ok(svg.includes(`{fill:${colour}}`), colour);
  }
});

void t.test("the command reads files and writes pictures; what is no result is named", async (t) => {
  const folder = t.testdir({
    "broken.json": "{",
    "other.json": '{"kind":"vad"}',
    "half.json": '{"kind":"load"}',
  });
  const files = await Promise.all(
    [loadSource(100), loadSource(200), soakSource(20)].map(async (source, at) => {
      const file = join(folder, `${at}.json`);
      await writeFile(file, JSON.stringify(source));
      return file;
    }),
  );
  const out = join(folder, "charts");
  const said: string[] = [];
  const output = { write: (text: string): void => void said.push(text), colors: false, columns: 100 };
  t.equal(await runChartsCommand(files, { out }, output), 0);
  const written = await readdir(out);
  t.equal(written.length, 6);
  for (const file of written) {
    t.match(said.join(""), file);
    elementsOf(await readFile(join(out, file), "utf8"));
  }
  await t.rejects(runChartsCommand([files[0]!, files[0]!], { out }, output), { message: /runs of the same/ });
  await t.rejects(readSource(join(folder, "broken.json")), {
    code: "BENCH_MIX_INVALID",
    message: /broken\.json/,
  });
  await t.rejects(readSource(join(folder, "other.json")), { message: /of no kind that has charts/ });
  await t.rejects(readSource(join(folder, "half.json")), {
    message: /a load has no figures, windows, machine/,
  });
  await t.rejects(readSource(join(folder, "none.json")), { code: "BENCH_MIX_INVALID" });
});

void t.test("commands that differ in a word are one line, and secrets are in none", (t) => {
  t.same(mergedCommands(["load --calls 1 --mix a", "load --calls 2 --mix a", "load --calls 1 --mix a"]), [
    "load --calls 1|2 --mix a",
  ]);
  t.same(mergedCommands(["load --calls 1 --mix a", "load --calls 2 --mix b", "soak"]).length, 3);
  t.equal(
    commandLine([
      "load",
      "--auth-token",
      "abc",
      "--auth-token=def",
      "--out",
      "x",
      "--json",
      "--mix",
      "my mix.toml",
    ]),
    "npm run bench -- load --auth-token … --auth-token=… --mix 'my mix.toml'",
  );
  t.end();
});

void t.test("axes end at even steps, at or above what they hold", (t) => {
  t.same(topOf(0), { top: 1, interval: 0.25 });
  for (const highest of [0.0123, 0.7, 1, 4.999, 5, 21.2, 128, 451, 999, 12_345]) {
    const { top, interval } = topOf(highest);
    t.ok(top >= highest && top < highest + interval, `${highest} in ${top}`);
    t.ok(top / interval >= 2 && top / interval <= 6, `${top} by ${interval}`);
  }
  t.same(wrapped("one two three", 40, 10), ["one two", "three"]);
  t.same(wrapped("", 40, 10), []);
  t.end();
});

/**
 * A run as one HTML file that asks nothing of any network: figures in tables, time in charts (uPlot, inlined). The
 * data stands in the page as JSON; what the page does with it is in report-page.ts.
 */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { describeMachine } from "#bench/report";
import type { Told } from "./compare.js";
import type { Figure } from "./figures.js";
import { goalOf } from "./goals.js";
import { PAGE_SCRIPT, PAGE_STYLE } from "./report-page.js";
import type { LoadResult } from "./results.js";
import type { SoakFinding } from "./soak.js";

export async function renderReport(
  result: LoadResult & { readonly command?: string },
  told: Told | null = null,
  findings: readonly SoakFinding[] = [],
): Promise<string> {
  const require = createRequire(import.meta.url);
  const [script, style] = await Promise.all(
    ["uplot/dist/uPlot.iife.min.js", "uplot/dist/uPlot.min.css"].map((path) =>
      readFile(require.resolve(path), "utf8"),
    ),
  );
  const { windows, calls, rampS, ratePerSecond } = result;
  const goals = Object.fromEntries(
    CHART_GOALS.flatMap((figure) => {
      const goal = goalOf(figure, result.mix);
      return goal === null ? [] : [[figure, goal.most]];
    }),
  );
  const data = { windows, calls, rampS, ratePerSecond, goals };
  const hasRamp = windows.some(({ phase }) => phase === "ramp");
  const offered =
    ratePerSecond === undefined
      ? `${calls.toLocaleString("en")} calls`
      : `${ratePerSecond.toLocaleString("en")} requests a second`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Load: ${text(result.mix)}, ${offered}</title>
<style>${style}${PAGE_STYLE}</style>
</head>
<body>
<header>
<h1>${text(result.mix)} <span>${offered}, ${result.seconds} s</span></h1>
<p>${text(result.startedAt.slice(0, 16).replace("T", " "))} UTC · ${text(describeMachine(result.machine))} · ${text(result.target)} · ${result.processes} generator ${result.processes === 1 ? "process" : "processes"}</p>
${result.command === undefined ? "" : `<p><code>${text(result.command)}</code></p>\n`}${verdict(result)}${growth(findings)}
</header>
<main>
<section class="tiles">${tiles(result)}</section>
${hasRamp ? `<p class="hint">Calls come left of the upright line; what is measured is right of it. Dashed across: goals.</p>` : ""}
<section id="charts"></section>
${soakTable(findings)}
${comparison(told)}
<section><h2>Figures</h2>${figureTable(result.figures)}</section>
<section><h2>How to read them</h2><ul>${result.notes.map((note) => `<li>${text(note)}</li>`).join("")}</ul></section>
${failures(result)}
</main>
<script>${closable(script!)}</script>
<script>const DATA = ${closable(JSON.stringify(data))};
${PAGE_SCRIPT}</script>
</body>
</html>
`;
}

function verdict(result: LoadResult): string {
  const count = (name: string): number => result.figures.find((figure) => figure.name === name)?.value ?? 0;
  const what = result.ratePerSecond === undefined ? "turns" : "answers";
  const all = count(what);
  const right = all - count(`${what} that were wrong`);
  const refused = count("calls refused");
  if (result.failureCount === 0) {
    return `<p class="verdict good">${right.toLocaleString("en")} of ${all.toLocaleString("en")} ${what} right, nothing failed${refused > 0 ? `; <span class="bad">${refused.toLocaleString("en")} calls refused</span>` : ""}.</p>`;
  }
  return `<p class="verdict bad">${result.failureCount} failures: the figures do not count. ${right} of ${all} ${what} right.</p>`;
}

/** What is looked at first. */
const TILES: readonly (readonly [figure: string, label: string])[] = [
  ["voice to voice p50", "voice to voice, p50"],
  ["voice to voice p99", "voice to voice, p99"],
  ["added p99", "added by the node, p99"],
  ["pacing error p99, at most", "pacing error, p99"],
  ["webhook to first greeting audio p95", "webhook to greeting, p95"],
  ["webhook to answer p50", "webhook to answer, p50"],
  ["webhook to answer p99", "webhook to answer, p99"],
  ["GetTenant to answer p50", "GetTenant to answer, p50"],
  ["GetTenant to answer p99", "GetTenant to answer, p99"],
  ["node CPU per answer", "CPU per answer"],
  ["node CPU per call and second", "node CPU per call·s"],
  ["node memory per call", "node memory per call"],
];

/** Drawn as lines across the charts. */
const CHART_GOALS = [
  "voice to voice p50",
  "voice to voice p95",
  "added p50",
  "added p99",
  "pacing error p99, at most",
  "node CPU per call and second",
];

function tiles({ figures, mix }: LoadResult): string {
  return TILES.map(([name, label]) => {
    const figure = figures.find((candidate) => candidate.name === name);
    if (figure === undefined) return "";
    const goal = goalOf(name, mix);
    const aim =
      goal === null
        ? ""
        : `<i${figure.value > goal.most ? ' class="missed"' : ""}>goal ${shown(goal.most)} ${goal.unit}</i>`;
    return `<div class="tile"><b>${shown(figure.value)}<small> ${figure.unit}</small></b><span>${text(label)}</span>${aim}</div>`;
  }).join("");
}

/** Of a soak: what the run was for. */
function growth(findings: readonly SoakFinding[]): string {
  if (findings.length === 0) return "";
  const leaking = findings.filter(({ leaks }) => leaks).map(({ what }) => what);
  if (leaking.length > 0)
    return `<p class="verdict bad">Grew beyond what is allowed: ${leaking.join(", ")}.</p>`;
  return findings.every(({ trend }) => trend === null)
    ? `<p class="verdict bad">Too short to tell whether anything grew.</p>`
    : `<p class="verdict good">Nothing grew beyond what is allowed.</p>`;
}

function soakTable(findings: readonly SoakFinding[]): string {
  if (findings.length === 0) return "";
  const rows = findings.map(({ what, unit, trend, allowed, leaks }) => {
    const [perHour, grew, found] =
      trend === null
        ? ["", "", "too short to tell"]
        : [shown(trend.perHour), shown(trend.growth), leaks ? "leaks" : "flat"];
    return `<tr class="${trend === null ? "" : found}"><td>${text(what)}${unit === "" ? "" : `, ${unit}`}</td><td class="n">${perHour}</td><td class="n">${grew}</td><td class="n">${shown(allowed)}</td><td>${found}</td></tr>`;
  });
  return `<section><h2>What grew</h2><div class="scroll"><table><thead><tr><th>what</th><th class="n">an hour</th><th class="n">in the time looked at</th><th class="n">allowed</th><th></th></tr></thead><tbody>${rows.join("")}</tbody></table></div></section>`;
}

function figureTable(figures: readonly Figure[]): string {
  const rows = figures.map(({ name, unit, value, slices, count }) => {
    const spread = slices.length < 2 ? "" : `${shown(Math.min(...slices))} – ${shown(Math.max(...slices))}`;
    return `<tr><td>${text(name)}</td><td class="n">${shown(value)} ${unit}</td><td class="n">${spread}</td><td class="n">${count?.toLocaleString("en") ?? ""}</td></tr>`;
  });
  return `<div class="scroll"><table><thead><tr><th>what</th><th class="n">over all</th><th class="n">over fifths of the run</th><th class="n">observations</th></tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
}

function comparison(told: Told | null): string {
  if (told === null) return "";
  const rows = told.moved.map(
    ({ name, unit, old, new: now, noise, verdict: found }) =>
      `<tr class="${found}"><td>${text(name)}</td><td class="n">${shown(old)}</td><td class="n">${shown(now)} ${unit}</td><td class="n">${noise === null ? "" : `± ${shown(noise)}`}</td><td>${found}</td></tr>`,
  );
  const table =
    rows.length === 0
      ? "<p>Nothing moved.</p>"
      : `<div class="scroll"><table><thead><tr><th>what</th><th class="n">then</th><th class="n">now</th><th class="n">noise</th><th>verdict</th></tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
  const differs = told.differs.map((why) => `<p class="verdict bad">${text(why)}</p>`).join("");
  return `<section><h2>Against the earlier run</h2><p>${text(told.earlier)}</p>${differs}${table}${told.rest.map((line) => `<p>${text(line)}</p>`).join("")}</section>`;
}

function failures({ failures: told, failureCount }: LoadResult): string {
  if (failureCount === 0) return "";
  const more = failureCount - told.length;
  return `<section><h2>What failed</h2><ul>${told.map((why) => `<li>${text(why)}</li>`).join("")}${more > 0 ? `<li>and ${more} more</li>` : ""}</ul></section>`;
}

export function shown(value: number): string {
  const size = Math.abs(value);
  const decimals = Number.isInteger(value) || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

function text(raw: string): string {
  return raw.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

/** A script ends at the first closing tag in it, wherever that stands. */
function closable(script: string): string {
  return script.replaceAll("</", "<\\/");
}

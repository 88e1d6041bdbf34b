/**
 * Pictures of what benchmarks measured, as SVG files for documents.
 *
 * ```ts
 * const sources = await Promise.all(["out/load-idle-100.json", "out/load-idle-200.json"].map(readSource));
 * for (const chart of chartsOf(sources)) await writeFile(`${chart.name}.svg`, await renderChart(chart));
 * ```
 */
export { type Chart } from "./chart.js";
export { chartsOf } from "./charts.js";
export { renderChart } from "./render.js";
export { type Source, readSource } from "./source.js";

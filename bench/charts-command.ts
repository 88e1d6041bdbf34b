/** `npm run bench -- charts FILE.json…`: results of benchmarks as SVG files. Exit codes: 0 drawn, 1 there was nothing to. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chartsOf, readSource, renderChart } from "#bench/charts";
import { makeResultFolder } from "#bench/report";
import type { CommandOutput } from "./call.js";

export interface ChartsCommandOptions {
  readonly out: string;
}

/** Resolves with the exit code. */
export async function runChartsCommand(
  files: readonly string[],
  { out }: ChartsCommandOptions,
  output: CommandOutput,
): Promise<number> {
  const charts = chartsOf(await Promise.all(files.map(readSource)));
  await makeResultFolder(out);
  for (const chart of charts) {
    const file = join(out, `${chart.name}.svg`);
    await writeFile(file, await renderChart(chart));
    output.write(`${file}\n`);
    for (const warning of chart.warnings) output.write(`  ${warning}\n`);
  }
  if (charts.length === 0) output.write("Nothing in these files can be drawn.\n");
  return charts.length === 0 ? 1 : 0;
}

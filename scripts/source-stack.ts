/**
 * Reads a stack trace or a log from standard input and names our sources in it, where it names what was built of them:
 *
 *   npm run --silent stack < node.log
 *
 * Processes run without `--enable-source-maps`: with it each thread keeps the map of every module it has loaded, 7 MiB of
 * a node's three heaps, and the first error that is logged unpacks those of its stack for good.
 */
import { existsSync, readFileSync } from "node:fs";
import { type SourceMapPayload, SourceMap } from "node:module";
import { dirname, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** `file:///srv/lumentra/dist/node/run.js:12:5`, or the same without its scheme. */
const PLACE = /(?:file:\/\/)?(\/[^\s():"\\]+\.js):(\d+):(\d+)/g;

/** A place that has no map stays as it is. */
export function withSources(text: string, from: string = process.cwd()): string {
  const maps = new Map<string, SourceMap | null>();
  return text.replace(PLACE, (place, file: string, line: string, column: string) => {
    let map = maps.get(file);
    if (map === undefined) maps.set(file, (map = mapOf(file)));
    // Stacks count from one, maps from nought.
    const entry = map?.findEntry(Number(line) - 1, Number(column) - 1);
    if (entry === undefined || !("originalSource" in entry)) return place;
    const source = relative(from, resolve(dirname(file), entry.originalSource));
    return `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
  });
}

function mapOf(file: string): SourceMap | null {
  if (!existsSync(`${file}.map`)) return null;
  return new SourceMap(JSON.parse(readFileSync(`${file}.map`, "utf8")) as SourceMapPayload);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(withSources(readFileSync(0, "utf8")));
}

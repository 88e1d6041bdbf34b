import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import t from "tap";
import { withSources } from "./source-stack.js";

void t.test("a stack of the build names the sources, to the line", async (t) => {
  // It trips over what it is given; in a process like those in production, without source maps.
  const code = 'import("./dist/runtime/errors/index.js").then(({ fromWire }) => fromWire(undefined))';
  const { stderr } = spawnSync(process.execPath, ["-e", code], { encoding: "utf8" });
  t.match(stderr, /dist\/runtime\/errors\/error\.js:\d+:\d+/);
  const [, line = "", column = ""] = /runtime\/errors\/error\.ts:(\d+):(\d+)/.exec(withSources(stderr)) ?? [];
  const named = readFileSync("runtime/errors/error.ts", "utf8").split("\n")[Number(line) - 1] ?? "";
  t.equal(named.slice(Number(column) - 1).trim(), 'code !== "INTERNAL" && wire.code in errorTable');
});

void t.test("what has no map stays as it is", async (t) => {
  const text = "    at main (/nowhere/dist/a.js:1:2)\n    at node:internal/main:3:4\n";
  t.equal(withSources(text), text);
});

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import t from "tap";

const PROGRAM = fileURLToPath(new URL("./young-heap.fixture.js", import.meta.url));

void t.test("a busy main thread's young heap stays small once it has a shard", async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM]);
  t.ok(Number(stdout) > 0, stdout);
  t.ok(Number(stdout) <= 8, `${stdout.trim()} MiB, of 32 that it would grow to`);
});

/** As sim-worker.ts, with a bug in the first seed that it is sent: an answer says a word twice. */
import { parentPort } from "node:worker_threads";
import { runScript } from "./run-seed.js";
import { drawScript } from "./script.js";
import type { Seams } from "./seams.js";
import type { SeedTask } from "./sim-worker.js";

export const BUGGY_SEED = 7;

const BUG: Seams = { answer: (text) => text.replace(/(r\d+a)/, "$1 $1") };

parentPort?.on("message", ({ seed, kinds, calls, steps }: SeedTask) => {
  const script = drawScript(seed, new Set(kinds), calls, steps);
  void runScript(script, seed === BUGGY_SEED ? BUG : {}).then((result) => parentPort!.postMessage(result));
});

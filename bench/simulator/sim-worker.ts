/** A thread that runs the seeds it is sent, one after the other. */
import { parentPort } from "node:worker_threads";
import { runScript } from "./run-seed.js";
import { type FaultKind, drawScript } from "./script.js";

/** What it is sent. */
export interface SeedTask {
  readonly seed: number;
  readonly kinds: readonly FaultKind[];
  readonly calls: number;
  readonly steps: number;
}

const port = parentPort!;
port.on("message", ({ seed, kinds, calls, steps }: SeedTask) => {
  void runScript(drawScript(seed, new Set(kinds), calls, steps)).then((result) => port.postMessage(result));
});

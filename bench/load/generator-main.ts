/** A generator as a process of its own, so that its CPU is its own and there may be one per core. */
import { Generator } from "./generator.js";
import type { FromGenerator, GeneratorPlan } from "./records.js";

const tell = (message: FromGenerator): void => {
  if (process.connected) process.send!(message);
};

process.once("message", (plan: GeneratorPlan) => {
  void new Generator(plan, tell).run().then(() => {
    tell({ kind: "ended" });
    process.disconnect();
  });
});
// Whoever started it is gone: nobody would read what it measures.
process.on("disconnect", () => process.exit());
tell({ kind: "ready" });

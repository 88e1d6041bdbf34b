import t from "tap";
import { Generators } from "./generators.js";
import type { GeneratorPlan } from "./records.js";

const PLAN: GeneratorPlan = {
  nodeUrl: "http://127.0.0.1:9",
  to: "+12025550101",
  carrier: "twilio",
  checked: true,
  lines: [],
  startAtMs: 0,
  windowMs: 1_000,
  endAtMs: 0,
};

/** A load's lines are in its generators: of one that died nobody said that its calls went wrong, and the rest had been right. */
void t.test("a generator that dies is told, one whose lines are over is not", async (t) => {
  const folder = t.testdir({
    "dies.mjs": 'process.once("message", () => process.exit(7)); process.send({ kind: "ready" });',
    "never.mjs": "process.exitCode = 3;",
  });
  const well = await Generators.start(1);
  well.begin(PLAN);
  t.same(await well.ended(0), []);
  const ill = await Generators.start(2, `${folder}/dies.mjs`);
  ill.begin(PLAN);
  const told = [0, 1].map((index) => `generator ${index} ended with code 7 before its lines were over`);
  t.same(await ill.ended(0), told);
  await t.rejects(Generators.start(1, `${folder}/never.mjs`), { message: /cannot begin: .* with code 3/ });
});

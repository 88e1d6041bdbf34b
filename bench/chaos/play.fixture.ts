/** Plays scenarios small, each a test. Three files share them out: what runs at once is then the test runner's to say. */
import type { Test } from "tap";
import { type Scenario, loadScenario, runScenario, scenarioNames } from "./index.js";

/** By what breaks. Every scenario is of one kind. */
type Kind = "cluster" | "providers" | "node";

const OF_PROVIDERS: ReadonlySet<string> = new Set([
  "provider",
  "providerLive",
  "providersHeal",
  "latency",
  "limits",
  "network",
]);

function kindOf({ stage, faults }: Scenario): Kind {
  if (stage.kind === "cluster") return "cluster";
  return faults.some(({ what }) => OF_PROVIDERS.has(what)) ? "providers" : "node";
}

export function play(t: Test, kind: Kind): void {
  for (const name of scenarioNames()) {
    const scenario = loadScenario(name, "small");
    if (kindOf(scenario) !== kind) continue;
    void t.test(`${name}: ${scenario.title}`, { buffered: true, timeout: 150_000 }, async (t) => {
      const { failures, logs, calls, sentences, resumed, delayMs } = await runScenario(scenario);
      if (failures.length > 0) for (const log of logs) t.comment(log);
      t.same(failures, [], `the caller hears: ${scenario.hears}`);
      t.comment(`${calls} calls, ${sentences} sentences, ${resumed} resumed, delay p50 ${delayMs.p50} ms`);
    });
  }
}

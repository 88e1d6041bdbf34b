import t from "tap";
import { loadScenario, runScenario, scenarioNames } from "./index.js";

// Each has processes of its own and mostly waits for speech: two share the machine, more would starve each other.
t.jobs = 2;

for (const name of scenarioNames()) {
  const scenario = loadScenario(name, "small");
  void t.test(`${name}: ${scenario.title}`, { buffered: true, timeout: 150_000 }, async (t) => {
    const { failures, calls, sentences, resumed, delayMs } = await runScenario(scenario);
    t.same(failures, [], `the caller hears: ${scenario.hears}`);
    t.comment(`${calls} calls, ${sentences} sentences, ${resumed} resumed, delay p50 ${delayMs.p50} ms`);
  });
}

import t from "tap";
import { suites } from "./index.js";

void t.test("the control plane's bench, run tiny, has a figure for everything it names", async (t) => {
  const result = await suites.control({ seconds: 2, json: true, rate: 40, nodes: 3, watchers: 4 });
  t.same(result.failures ?? [], []);
  t.match(
    result.rows.filter(({ directory }) => directory !== "redis").map(({ what }) => what),
    [
      "placement at 40/s",
      "journal batch of 3 to durable",
      "call event to 4 watchers",
      "tenant change to all of 3 nodes",
    ],
  );
  for (const row of result.rows) {
    t.ok(Number(row["count"]) > 0, `${row["what"]}: ${row["count"]} observations`);
    t.ok(Number(row["p50"]) > 0 && Number(row["p50"]) <= Number(row["p99"]));
  }
});

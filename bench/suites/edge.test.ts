import t from "tap";
import { suites } from "./index.js";

void t.test(
  "the edge's bench, run briefly with as many calls as are taken by turns, loses no frame and has a figure for each row",
  async (t) => {
    const result = await suites.edge({ seconds: 1, json: true, calls: 250, shards: 2 });
    t.same(result.failures ?? [], []);
    t.ok(result.rows.length > 8);
    const value = (what: RegExp): number =>
      Number(result.rows.find((row) => what.test(String(row["what"])))?.["value"]);
    t.ok(value(/per packet/) > 0);
    t.ok(value(/whole core/) > 250);
    t.ok(result.rows.some((row) => /to the shard/.test(String(row["what"])) && Number(row["p50"]) > 0));
  },
);

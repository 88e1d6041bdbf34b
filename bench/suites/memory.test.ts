import t from "tap";
import { suites } from "./index.js";

void t.test(
  "the memory bench, run briefly, has a figure for each part, and they add up to what is in use",
  async (t) => {
    const result = await suites.memory({ seconds: 3, json: true, calls: 15 });
    t.same(result.failures ?? [], []);
    const values = result.rows.map((row) => Number(row["KiBPerCall"]));
    t.ok(values.every(Number.isFinite));
    const [sum, growth] = values.splice(-2);
    const parts = values.reduce((all, value) => all + value, 0);
    t.ok(Math.abs(parts - sum!) <= values.length * 0.06, `${parts} and ${sum}, each rounded to a tenth`);
    t.ok(Number.isFinite(growth));
    // A call without rings, stages and sockets would be none: far below what any of them takes.
    t.ok(sum! > values[0]!, "more than the rings");
  },
);

import t from "tap";
import { suites } from "./index.js";

void t.test("the suite finds every onset in time, and prices a frame of each detector", async (t) => {
  const { name, rows, notes } = await suites.vad({ seconds: 0.2, json: true });
  t.equal(name, "vad");
  t.ok(notes.length > 0);
  const onsets = rows.filter((row) => "onsetMsMax" in row);
  t.equal(onsets.length, 10, "five levels of noise, two detectors");
  const sure = onsets.filter((row) => /^lumentra.* [1-4]\d dB/.test(String(row["what"])));
  t.equal(sure.length, 4);
  t.ok(sure.every((row) => row["missedPercent"] === 0 && Number(row["onsetMsMax"]) < 50));
  const costs = rows.filter((row) => "nsPerFrame" in row);
  t.equal(costs.length, 5);
  t.ok(costs.every((row) => Number(row["nsPerFrame"]) > 0));
});

import { readFile } from "node:fs/promises";
import t from "tap";
import { UNPRESSED } from "#bench/processes";
import { seededRandom } from "#runtime/actor";
import { runCapacityCommand, runSoakCommand } from "../capacity-command.js";
import {
  type Capacity,
  type Evidence,
  OBJECTIVES,
  findCapacity,
  objectivesWith,
  resourceOf,
} from "./capacity.js";
import type { Figure } from "./figures.js";
import type { LoadResult, LoadWindow } from "./results.js";
import { trendOf } from "./slope.js";
import { afterWarmUp, callHoursOf, leaksOf } from "./soak.js";

/** An hour of windows of a node that is flat, but for what `change` plants. */
function hour(change: (atS: number) => Partial<LoadWindow>): LoadWindow[] {
  const random = seededRandom(5);
  return Array.from({ length: 360 }, (_, index) => {
    const atS = index * 10;
    const flat = {
      atS,
      phase: "steady",
      up: 100,
      // The collector's saw: 40 MiB up over two minutes and down at once.
      nodeRssMiB: 200 + ((atS % 120) / 120) * 40 + random.next() * 5,
      nodeFds: 340 + Math.round(random.next() * 3),
      nodeTimers: 250 + Math.round(random.next() * 40),
      nodeCalls: 100 + Math.round(random.next()),
    };
    return { ...flat, ...change(atS) } as LoadWindow;
  });
}

const leaking = (windows: LoadWindow[], warmUpS: number | null = null): string[] =>
  leaksOf(afterWarmUp(windows, warmUpS)).flatMap(({ what, leaks }) => (leaks ? [what] : []));

void t.test("what saws and wavers is flat; what grows leaks, each by its name", (t) => {
  t.same(leaking(hour(() => ({}))), []);
  const saw = (atS: number): number => 200 + ((atS % 120) / 120) * 40;
  t.same(leaking(hour((atS) => ({ nodeRssMiB: saw(atS) + atS / 60 }))), ["memory"], "60 MiB an hour");
  t.same(
    leaking(hour((atS) => ({ nodeRssMiB: saw(atS) + atS / 3_600 }))),
    [],
    "1 MiB an hour: a longer soak's",
  );
  t.same(leaking(hour((atS) => ({ nodeFds: 340 + Math.floor(atS / 200) }))), ["descriptors"]);
  t.same(leaking(hour((atS) => ({ nodeTimers: 250 + atS / 30 }))), ["timers"]);
  t.same(leaking(hour((atS) => ({ nodeCalls: 100 + Math.floor(atS / 600) }))), [
    "slots beyond calls that are up",
  ]);
  // A warm-up that grows and then stands is none.
  t.same(leaking(hour((atS) => ({ nodeRssMiB: 100 + Math.min(atS, 600) / 5 }))), []);
  const late = hour((atS) => ({ nodeRssMiB: 100 + Math.min(atS, 2_400) / 5 }));
  t.same(leaking(late), ["memory"], "one that lasts beyond the first fifth is taken for growth");
  t.same(leaking(late, 2_400), [], "unless it is told");
  t.same(
    leaking(
      hour((atS) => ({ nodeRssMiB: 100 + atS / 60 })),
      1_500,
    ),
    ["memory"],
    "what grows on is found",
  );
  t.same(leaking(hour(() => ({})).slice(0, 6)), [], "too short to tell");
  t.end();
});

void t.test("call time is of the calls that were up, for as long as they were", (t) => {
  const up = (atS: number, up: number) => ({ atS, up }) as LoadWindow;
  t.equal(callHoursOf([up(1_800, 100), up(5_400, 100)]), 25 + 100, "half of the ramp, and an hour");
  t.equal(callHoursOf([up(5_400, 100), up(9_000, 100)], up(5_400, 100)), 100, "of a part");
  t.equal(callHoursOf([up(1_800, 100), up(3_600, 0)]), 50, "what broke off is not counted on");
  t.equal(callHoursOf([]), 0);
  t.end();
});

void t.test("the slope is of most points, not of the wildest", (t) => {
  const line = Array.from({ length: 50 }, (_, i) => ({ atS: i, value: i % 7 === 0 ? 10_000 : 2 * i }));
  t.ok(Math.abs(trendOf(line)!.perHour - 7_200) < 400);
  t.equal(trendOf(Array.from({ length: 20 }, (_, i) => ({ atS: i, value: 3 })))!.z, 0);
  t.equal(trendOf([]), null);
  const many = Array.from({ length: 5_000 }, (_, i) => ({ atS: i, value: i }));
  t.ok(Math.abs(trendOf(many)!.perHour - 3_600) < 1);
  t.ok(trendOf(many)!.count <= 400);
  t.end();
});

const EVIDENCE: Evidence = {
  edgeCores: 0.4,
  worstShardCores: 0.5,
  nodeCores: 0.9,
  generatorCores: 0.3,
  emulatorCores: 0.3,
  generatorLateP99Ms: 3,
  rssMiB: 300,
  nodeCalls: 200,
};

void t.test("the search closes in on where an objective breaks, and names what ran out", async (t) => {
  const measured: number[] = [];
  const limit = 330;
  const measure = (calls: number): Promise<LoadResult> => {
    measured.push(calls);
    const figures: Partial<Figure>[] = [{ name: "added p99", unit: "ms", value: calls > limit ? 25 : 12 }];
    const window = {
      phase: "steady",
      edgeCores: calls / 350,
      shardCores: [0.2],
      nodeCores: 1,
      nodeCalls: calls,
    };
    return Promise.resolve({
      figures,
      windows: [window],
      failures: [],
      failureCount: 0,
    } as unknown as LoadResult);
  };
  const found = await findCapacity(100, 1_000, 1_000, 1, measure);
  t.ok(
    found.calls <= limit && found.calls > limit / 1.1,
    `${found.calls} of ${limit}: ${measured.join(" ")}`,
  );
  t.match(found.ranOut, /^the edge's thread/);
  t.match(found.steps.find(({ calls }) => calls > limit)?.broken[0], "added p99 25 ms (20)");
  const none = await findCapacity(10, 20, 1_000, 1, measure);
  t.match(none, { calls: 20, ranOut: null });
  const down = await findCapacity(900, 1_000, 1_000, 1, measure);
  t.ok(
    down.calls <= limit && down.calls > limit / 1.1,
    "the first step broke one: it comes down, and closes in",
  );
  measured.length = 0;
  const never = await findCapacity(30, 1_000, 1_000, 1, measure, objectivesWith({ added: 5, voice: 450 }));
  t.match(never, { calls: 0, steps: [{ broken: ["added p99 12 ms (5)"] }] });
  t.equal(measured.at(-1), 10);
  t.strictSame(objectivesWith({}), OBJECTIVES);
  t.equal(objectivesWith({ pacing: 10 }).length, OBJECTIVES.length);
  t.end();
});

void t.test("each resource is named by its own evidence", (t) => {
  const named = (change: Partial<Evidence>, slots = 1_000): string =>
    resourceOf({ ...EVIDENCE, ...change }, slots, 1, 4);
  t.match(named({ edgeCores: 0.9 }), /^the edge/);
  t.match(named({ worstShardCores: 0.9 }), /^a shard/);
  t.match(named({ generatorCores: 0.9 }), /^the generator \(/);
  t.match(named({ emulatorCores: 0.9 }), /^the emulators/);
  t.match(named({}, 200), /^slots: 200 of 200/);
  t.match(named({ nodeCores: 3, worstShardCores: 0.8 }), /^the machine/);
  t.match(named({ rssMiB: 1e9 }), /^memory/);
  t.match(named({ generatorLateP99Ms: 40 }), /timeliness/);
  t.match(named({}), /^no resource was full/);
  t.end();
});

void t.test("soak and capacity run small, and say what they found", { timeout: 240_000 }, async (t) => {
  const out = t.testdir();
  const said: string[] = [];
  const output = { write: (text: string): void => void said.push(text), colors: false, columns: 100 };
  const left = async (name: string): Promise<Record<string, unknown>> =>
    JSON.parse(await readFile(`${out}/${name}.json`, "utf8")) as Record<string, unknown>;
  const common = { mix: "conversation", processes: 1, set: UNPRESSED, out, json: true } as const;
  const code = await runSoakCommand({ ...common, hours: 0.001, calls: 2 }, output);
  const answer = JSON.parse(said.join("")) as { findings: { trend: unknown }[]; failureCount: number };
  t.match(answer, { findings: { length: 4 }, failureCount: 0 }, said.join(""));
  t.ok(answer.findings.every(({ trend }) => trend === null));
  t.equal(code, 1, "nobody could tell whether anything grew");
  t.match(await readFile(`${out}/soak.html`, "utf8"), /Too short to tell[^]*<td>memory, MiB<\/td>/);
  t.match(await left("soak"), {
    kind: "soak",
    command: /^npm run bench --/,
    machine: { commit: String },
    startedAt: String,
    windows: [],
    findings: { length: 4 },
    callHours: Number,
  });
  said.length = 0;
  // Whether objectives hold on a busy machine is not this test's: that a step was measured, and its evidence is there.
  await runCapacityCommand({ ...common, from: 2, to: 2, seconds: 2 }, output);
  const { steps } = JSON.parse(said.join("")) as { steps: { calls: number; evidence: Evidence }[] };
  t.equal(steps[0]?.calls, 2);
  t.ok(steps[0]!.evidence.edgeCores > 0 && steps[0]!.evidence.generatorCores > 0);
  const file = (await left("capacity-conversation")) as unknown as Capacity;
  t.match(file, { kind: "capacity", command: /^npm run bench --/, mix: "conversation", calls: Number });
  t.ok(file.steps[0]!.figures.some(({ name }) => name === "added p99"));
});

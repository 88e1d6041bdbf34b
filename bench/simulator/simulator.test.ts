/** The simulator itself: seeds are repeatable to the bit, a few hundred calls hold, and failures shrink. */
import t from "tap";
import { seededRandom } from "#runtime/actor";
import { commandOf, runSim } from "./command.js";
import { runScript } from "./run-seed.js";
import { FAULT_KINDS, STEPS_MAX, type Script, drawScript } from "./script.js";
import { shrink } from "./shrink.js";
import { SimThread, SimTime } from "./sim-time.js";
import { BUGGY_SEED } from "./sim-worker-with-bug.fixture.js";
import { simulate } from "./simulate.js";
import { violationsOf } from "./invariants.js";
import { runWorld } from "./world.js";

const ALL = new Set(FAULT_KINDS);

void t.test("two runs of a seed are identical, whatever ran before", async (t) => {
  const first = await runScript(drawScript(11, ALL));
  const other = await runScript(drawScript(12, ALL));
  const second = await runScript(drawScript(11, ALL));
  t.equal(second.digest, first.digest);
  t.same(second.counts, first.counts);
  t.not(other.digest, first.digest);
});

void t.test("the same seeds over one thread and over two give one digest", async (t) => {
  const options = { seed: 21, calls: 20, kinds: FAULT_KINDS };
  const one = await simulate({ ...options, threads: 1 });
  const two = await simulate({ ...options, threads: 2 });
  t.equal(two.digest, one.digest);
  t.same(two.counts, one.counts);
});

/** With a bug in one seed: the command that it names has to run the same world, of as many calls. */
void t.test("a planted bug is found, and named with the command that runs its seed again", async (t) => {
  const worker = new URL("./sim-worker-with-bug.fixture.js", import.meta.url);
  let told = "";
  const output = { write: (text: string) => void (told += text) };
  // The last of those that are wanted, with fewer calls than the others.
  const options = { calls: 12, seed: BUGGY_SEED - 1, faults: [], steps: 2, worker };
  t.equal(await runSim(options, output), 1);
  t.match(
    told,
    `seed ${BUGGY_SEED} fails; again with: npm run sim -- --seed ${BUGGY_SEED} --calls 2 --faults none --steps 2\n`,
  );
  t.match(told, /no word twice/);
  t.match(told, /Wrong: 1 of 2 worlds/);
  const shown = JSON.parse(told.split("for --script:\n")[1]!.split("\n")[0]!) as Script;
  t.same(
    shown,
    drawScript(BUGGY_SEED, new Set(), 2, 2),
    "without the bug nothing less fails: all of it is needed",
  );
  t.equal(
    commandOf(BUGGY_SEED + 1, options),
    `npm run sim -- --seed ${BUGGY_SEED + 1} --calls 10 --faults none --steps 2`,
  );
});

void t.test("every invariant holds over a few hundred calls", async (t) => {
  const { failures, counts, faults } = await simulate({ seed: 1_100, calls: 200, kinds: FAULT_KINDS });
  for (const { seed, violations } of failures)
    t.fail(
      `${commandOf(seed, { seed: 1_100, calls: 200, faults: FAULT_KINDS, steps: STEPS_MAX })}: ${violations[0]?.invariant}: ${violations[0]?.what}`,
    );
  t.equal(counts["calls"], 200);
  // Else what holds, holds of calm worlds alone.
  for (const kind of ["crash", "cut", "shardDeath", "nodeDeath", "partition", "stall", "marksLost", "hangUp"])
    t.ok((faults[kind] ?? 0) > 0, kind);
  for (const kind of ["resumes", "bargeIns", "toolCalls"]) t.ok((counts[kind] ?? 0) > 0, kind);
});

void t.test("what is to break just as something happens breaks then, two things at once too", async (t) => {
  const ask = { kind: "ask", question: 1, pauseMs: 300, tool: false } as const;
  const steps = [ask, { kind: "wait", ms: 6_000 } as const];
  const when = { call: null, when: "callerTurn", nth: 0 } as const;
  const moments = [
    { ...when, afterMs: 30, what: { kind: "shardDeath" } },
    { ...when, afterMs: 45, what: { kind: "cut" } },
    { ...when, call: 1, afterMs: 0, what: { kind: "nodeDeath" } },
  ] as const;
  const drawn = drawScript(3, new Set(), 1);
  const calls = [{ atMs: 0, node: 0, steps, carrier: [] }];
  const world = await runWorld({ ...drawn, nodes: 1, hasSpare: true, calls, moments });
  t.same(violationsOf(world), []);
  const events = [...world.plane.rows.values()].flatMap((row) => row.events);
  const turn = events.find(({ kind }) => kind === "callerTurn")!;
  t.same(
    world.faults.map(({ kind, atMs }) => [kind, world.startedAtMs + atMs - turn.atMs]),
    [["shardDeath", 30]],
  );
  t.ok(events.some((event) => event.kind === "callResumed" && event.reason === "shardLost"));
  t.equal(world.faultCounts.get("cut"), 1);
});

void t.test("what waits for a thread that stands still keeps its order, for how long it may", (t) => {
  const time = new SimTime(seededRandom(1));
  const thread = new SimThread(time);
  const fired: string[] = [];
  thread.after(2, () => fired.push("first"));
  thread.after(6, () => fired.push("second"));
  thread.hold(10);
  time.advance(4);
  thread.hold(20);
  time.advance(40);
  t.same(fired, ["first", "second"]);
  t.end();
});

void t.test("other vendors go on, each over a wire of its own", async (t) => {
  const ask = (question: number) => ({ kind: "ask", question, pauseMs: 300, tool: question === 2 }) as const;
  const call = { atMs: 0, node: 0, carrier: [] } as const;
  const drawn = drawScript(3, new Set(), 1);
  const vendors = [
    ...[0, 1, 2, 3].map((nth) => ({
      vendor: "stt",
      nth,
      fault: { kind: "reset", afterFrames: 30, ms: 0 },
    })),
    { vendor: "llm", call: 0, nth: 0, fault: { kind: "stall", ms: 0, afterTokens: 1 } },
    { vendor: "tts", call: 0, nth: 1, fault: { kind: "reset", ms: 0 } },
  ] as Script["vendors"];
  const steps = [ask(1), ask(2), ask(3), { kind: "wait", ms: 14_000 } as const];
  const behind = {
    vendors: ["assemblyai", "anthropic", "elevenlabs"],
    servers: ["whisper", "cerebras", "piper"],
  } as const;
  for (const fallbacks of ["vendors", "servers"] as const) {
    const script = { ...drawn, nodes: 1, fallbacks, calls: [{ ...call, steps }], vendors };
    const world = await runWorld(script);
    t.same(violationsOf(world), []);
    const went = [...world.plane.rows.values()].flatMap(({ events }) =>
      events.flatMap((event) => (event.kind === "providerFailed" ? [event.fallback] : [])),
    );
    for (const vendor of behind[fallbacks]) t.ok(went.includes(vendor), vendor);
  }
});

void t.test("servers of one's own alone carry a conversation, utterance by utterance", async (t) => {
  const drawn = drawScript(3, new Set(), 1);
  const steps = [
    { kind: "ask", question: 1, pauseMs: 300, tool: false },
    { kind: "interrupt", question: 2, afterMs: 900 },
    { kind: "ramble", question: 3, words: 12 },
    { kind: "wait", ms: 8_000 },
  ] as const;
  const script = { ...drawn, nodes: 1, fallbacks: "own", calls: [{ ...drawn.calls[0]!, steps }] } as const;
  const world = await runWorld(script);
  t.same(violationsOf(world), []);
  const heard = world.lines[0]!.caller.heard.map(({ word }) => word).join(" ");
  for (const question of ["q1", "q2", "q3"]) t.match(heard, question);
});

void t.test("a failing script shrinks to what the failure needs", async (t) => {
  const script = drawScript(5, ALL);
  const wanted = script.calls.findIndex(({ steps }) => steps.some(({ kind }) => kind === "interrupt"));
  t.ok(wanted >= 0, "the seed has an interruption");
  const { script: least } = await shrink(script, (smaller) =>
    Promise.resolve(smaller.calls[wanted]!.steps.some(({ kind }) => kind === "interrupt")),
  );
  t.same(
    least.calls.flatMap(({ steps }) => steps.map(({ kind }) => kind)),
    ["interrupt"],
  );
  t.same([least.faults, least.vendors, least.moments], [[], [], []]);
});

void t.test("a bug that a run finds is still found in the shrunk script", async (t) => {
  const broken = { answer: (text: string): string => text.replace(/About [^,]*,/, "Well,") };
  const drawn = drawScript(5, new Set());
  const ask = { kind: "ask", question: 1, pauseMs: 300, tool: false } as const;
  const asks = { ...drawn.calls[0]!, steps: [ask, { kind: "wait", ms: 9_000 } as const] };
  const script = { ...drawn, calls: [drawn.calls[0]!, asks, drawn.calls[1]!] };
  const fails = async (smaller: Script): Promise<boolean> =>
    (await runScript(smaller, broken)).violations.length > 0;
  t.equal(await fails(script), true);
  const { script: least } = await shrink(script, fails);
  t.ok(least.calls.flatMap(({ steps }) => steps).length <= 2, "one question and the wait for its answer");
  t.equal(await fails(least), true);
});

void t.test("what a failure prints runs again", async (t) => {
  const words = commandOf(5, { seed: 1, calls: 100, faults: ["carrier", "nodes"], steps: 2 })
    .split(" ")
    .slice(4);
  t.same(words, ["--seed", "5", "--calls", "10", "--faults", "carrier,nodes", "--steps", "2"]);
});

void t.test(
  "a node that is told to stop lets calls end for as long as it may, and others come to another",
  async (t) => {
    const ask = { kind: "ask", question: 1, pauseMs: 300, tool: false } as const;
    const steps = [ask, { ...ask, question: 2 }, { kind: "wait", ms: 12_000 }] as const;
    const call = { atMs: 0, node: 0, steps, carrier: [] };
    const drawn = drawScript(3, new Set(), 1);
    const calls = [call, { ...call, atMs: 4_000, steps: [{ ...ask, question: 3 }] }];
    for (const [graceMs, outcome] of [
      [60_000, "callerHungUp"],
      [5_000, "drained"],
    ] as const) {
      const faults = [{ kind: "nodeDrain", node: 0, atMs: 3_000, graceMs } as const];
      const world = await runWorld({ ...drawn, nodes: 2, calls, faults });
      t.same(violationsOf(world), []);
      const [first, second] = [...world.plane.rows.values()].map(({ events }) => events);
      t.match(first![0], { kind: "callStarted", nodeId: "node-0" });
      t.match(first!.at(-1), { kind: "callEnded", outcome: { kind: outcome } }, `${graceMs} ms`);
      t.match(second![0], { kind: "callStarted", nodeId: "node-1" });
      t.match(second!.at(-1), { kind: "callEnded", outcome: { kind: "callerHungUp" } });
    }
  },
);

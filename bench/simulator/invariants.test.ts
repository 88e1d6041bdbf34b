/** Each invariant can fail: a bug is planted through a seam, and the invariant that should see it does. */
import t from "tap";
import { CALM } from "./calm.fixture.js";
import type { Violation } from "./invariants.js";
import { runScript } from "./run-seed.js";
import type { Script } from "./script.js";
import type { Seams } from "./seams.js";

type Part = Partial<Pick<Script, "calls" | "faults" | "nodes" | "hasSpare" | "fallbacks" | "outage">>;

/** One caller who asks twice and hangs up. */
function scriptOf(part: Part = {}): Script {
  const ask = { kind: "ask", pauseMs: 300, tool: false } as const;
  return {
    ...CALM,
    seed: 7,
    calls: [
      {
        atMs: 0,
        node: 0,
        steps: [
          { ...ask, question: 1 },
          { ...ask, question: 2 },
          { kind: "wait", ms: 5_000 },
        ],
        carrier: [],
      },
    ],
    ...part,
  };
}

async function caughtBy(script: Script, seams: Seams): Promise<readonly Violation["invariant"][]> {
  const { violations } = await runScript(script, seams);
  return [...new Set(violations.map(({ invariant }) => invariant))];
}

const INTERRUPTED = scriptOf({
  calls: [
    {
      atMs: 0,
      node: 0,
      steps: [
        { kind: "ask", question: 1, pauseMs: 300, tool: false },
        { kind: "interrupt", question: 2, afterMs: 300 },
      ],
      carrier: [],
    },
  ],
});

void t.test("without a bug every invariant holds", async (t) => {
  t.same(await caughtBy(scriptOf(), {}), []);
  t.same(await caughtBy(INTERRUPTED, {}), []);
});

void t.test("one owner: a control plane that takes what an old owner writes late", async (t) => {
  const { calls } = scriptOf();
  // It loses its lease, another node goes on, and what it had spooled arrives after that.
  const script = scriptOf({
    nodes: 2,
    calls: [{ ...calls[0]!, carrier: [{ kind: "cut", atMs: 6_000 }] }],
    faults: [{ kind: "nodeDeath", node: 0, atMs: 5_000 }],
  });
  t.same(await caughtBy(script, {}), []);
  const doubled: Seams = {
    fences: false,
    toPlane: (event) => (event.kind === "callResumed" ? { ...event, epoch: 1 } : event),
  };
  t.ok((await caughtBy(script, doubled)).includes("one owner per call"));
});

void t.test("one owner: an event that was lost on its way", async (t) => {
  const seams: Seams = { toPlane: (event) => (event.kind === "callerTurn" ? null : event) };
  t.ok((await caughtBy(scriptOf(), seams)).includes("one owner per call"));
});

void t.test("heard equals history: a phone that gets no audio", async (t) => {
  let sent = 0;
  const seams: Seams = { toPhone: (event) => event !== "media" || sent++ < 12 };
  t.ok((await caughtBy(scriptOf(), seams)).includes("heard equals history"));
});

void t.test("no agent audio after a barge-in: an edge that goes on, and a clear that is lost", async (t) => {
  const seams: Seams = { pauses: false, toPhone: (event) => event !== "clear" };
  // What the carrier still had may have been the last word's end: not with every seed.
  const caught: string[] = [];
  for (let seed = 1; seed <= 6; seed += 1) caught.push(...(await caughtBy({ ...INTERRUPTED, seed }, seams)));
  t.ok(caught.includes("no agent audio after a barge-in"));
});

void t.test("everything is returned: a slot that is not given back", async (t) => {
  t.ok((await caughtBy(scriptOf(), { releasesSlots: false })).includes("everything is returned"));
});

/** A thread that ends takes its timers along: what its calls left behind was seen of no shard. */
void t.test("everything is returned: timers of calls that are over", async (t) => {
  const seams: Seams = { cancelsTimers: false };
  t.same(await caughtBy(scriptOf(), seams), ["everything is returned"]);
});

void t.test("every call ends with an outcome: an end that is lost", async (t) => {
  const seams: Seams = { toPlane: (event) => (event.kind === "callEnded" ? null : event) };
  t.ok((await caughtBy(scriptOf(), seams)).includes("every call ends with an outcome"));
});

void t.test("replay equals live: a replay that forgets a turn of the caller's", async (t) => {
  const seams: Seams = {
    toReplay: (events) => events.filter(({ kind }) => kind !== "callerTurn" && kind !== "callerProgress"),
  };
  t.same(await caughtBy(scriptOf(), seams), ["replay equals live"]);
});

void t.test("replay equals live: a replay that forgets keys of a number that is not whole", async (t) => {
  const [call] = scriptOf().calls;
  const steps = [
    { kind: "keys", digits: "42", pauseMs: 300 },
    { kind: "wait", ms: 5_000 },
  ] as const;
  const script = scriptOf({ calls: [{ ...call!, steps }] });
  t.same(await caughtBy(script, {}), []);
  const seams: Seams = { toReplay: (events) => events.filter(({ kind }) => kind !== "dtmf") };
  t.same(await caughtBy(script, seams), ["replay equals live"]);
});

void t.test("no answer is dropped: a model that answers something else", async (t) => {
  const seams: Seams = { answer: (text) => text.replace(/About [^,]*,/, "Well,") };
  t.same(await caughtBy(scriptOf(), seams), ["no answer is dropped or given twice"]);
});

/** A shard hangs as the question ends: it is seen two seconds later, and what the ring had then is two and a half. */
void t.test("no answer is dropped: only what had left the ring is excused, and counted", async (t) => {
  const ask = { kind: "ask", question: 1, pauseMs: 300, tool: false } as const;
  const calls = [{ atMs: 0, node: 0, steps: [ask, { kind: "wait", ms: 20_000 } as const], carrier: [] }];
  const hangs = (atMs: number): Script =>
    scriptOf({ calls, faults: [{ kind: "hang", call: 0, atMs, ms: 60_000, isSpinning: false }] });
  let excused = 0;
  for (let atMs = 1_500; atMs <= 2_100; atMs += 100) {
    const { violations, counts } = await runScript(hangs(atMs));
    t.same(violations, [], `${atMs} ms`);
    excused += counts["excused: leftTheRing"] ?? 0;
  }
  t.ok(excused > 0 && excused < 7, `${excused} of 7`);
  // The journal has the question by then: to lose it is no bound of the design.
  const seams: Seams = { answer: (text) => text.replace(/About [^,]*,/, "Well,") };
  t.same(await caughtBy(hangs(2_500), {}), []);
  t.same(await caughtBy(hangs(2_500), seams), ["no answer is dropped or given twice"]);
});

/** Seed 77094: after a false start of the agent's that he talked over, he thanked it as its answer began. */
void t.test("no answer is dropped: who speaks again as it begins has interrupted it himself", async (t) => {
  const steps = [
    { kind: "hesitate", question: 1, pauseMs: 1_050 },
    { kind: "hesitate", question: 2, pauseMs: 988 },
    { kind: "thank", pauseMs: 450 },
    { kind: "wait", ms: 20_000 },
  ] as const;
  const script = scriptOf({ calls: [{ atMs: 0, node: 0, steps, carrier: [] }] });
  const { violations, counts } = await runScript(script);
  t.same(violations, []);
  t.equal(counts["excused: spokeOver"], 1);
  const seams: Seams = { answer: (text) => text.replace(/About [^,]*,/, "Well,") };
  t.same(await caughtBy(script, seams), ["no answer is dropped or given twice"]);
});

void t.test("no answer is given twice: the first one again, in place of the second", async (t) => {
  const seams: Seams = { answer: (text) => text.replace("q2", "q1 and q2") };
  t.same(await caughtBy(scriptOf(), seams), ["no answer is dropped or given twice"]);
});

void t.test("a lost shard's calls go on: a spare that is not there", async (t) => {
  const faults = [{ kind: "shardDeath", node: 0, shard: 0, atMs: 3_000 } as const];
  const script = scriptOf({ hasSpare: true, faults });
  t.same(await caughtBy(script, {}), []);
  t.same(await caughtBy(script, { hasSpares: false }), ["a lost shard's calls go on"]);
});

void t.test("everything is returned: a shard that hangs, and nobody sees it", async (t) => {
  const hang = { kind: "hang", call: 0, atMs: 3_000, ms: 60_000 } as const;
  for (const isSpinning of [true, false]) {
    const script = scriptOf({ hasSpare: true, faults: [{ ...hang, isSpinning }] });
    t.same(await caughtBy(script, {}), []);
    t.ok((await caughtBy(script, { watches: false })).includes("everything is returned"));
  }
});

void t.test("no word twice: a phone that is sent a piece again", async (t) => {
  const seams: Seams = { answer: (text) => text.replace(/(r\d+a)/, "$1 $1") };
  t.same(await caughtBy(scriptOf(), seams), ["no word twice"]);
});

void t.test("a message is kept: a disk that keeps nothing", async (t) => {
  const { calls } = scriptOf();
  const steps = [{ kind: "message", number: 0 } as const];
  const script = scriptOf({
    calls: [{ ...calls[0]!, steps }],
    outage: { vendor: "stt", whose: "all", atMs: 2_000, ms: null },
  });
  t.same(await caughtBy(script, {}), []);
  t.same(await caughtBy(script, { keepsMessages: false }), ["a message is kept"]);
});

void t.test("an outage passes: vendors that stay away", async (t) => {
  const outage = { vendor: "llm", whose: "all", atMs: 500, ms: 2_000 } as const;
  const [call] = scriptOf().calls;
  const script = scriptOf({ calls: [{ ...call!, atMs: 14_000 }], outage });
  t.same(await caughtBy(script, {}), []);
  t.same(await caughtBy(script, { vendorsReturn: false }), ["an outage passes"]);
});

void t.test("an outage passes: another vendor behind the one that is gone, and nobody asks it", async (t) => {
  const outage = { vendor: "llm", whose: "first", atMs: 500, ms: null } as const;
  t.same(await caughtBy(scriptOf({ outage, fallbacks: "vendors" }), {}), []);
  t.ok((await caughtBy(scriptOf({ outage, fallbacks: "none" }), {})).includes("an outage passes"));
});

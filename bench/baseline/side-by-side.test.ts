import t from "tap";
import type { CallMix } from "#bench/load";
import { UNPRESSED } from "#bench/processes";
import { BLOCK_MS } from "./blocking.js";
import { comparisonRows, proofOf, spreadOf } from "./comparison.js";
import { type SideBySide, runSideBySide } from "./side-by-side.js";

const MIX: CallMix = {
  front: "calls",
  description: "",
  seed: 1,
  arrivals: "constant",
  burst: 1,
  replies: "echo",
  callers: [{ kind: "conversation", weight: 1, thinkMs: [100, 400], everySeconds: 10 }],
};

void t.test(
  "side by side, small: both answer every word; a block is felt by the plain agent's others, and moves no call of ours",
  { timeout: 120_000 },
  async (t) => {
    // Two blocks in four seconds, and many callers: somebody waits for a reply in one of them.
    const calls = 8;
    const sides = await runSideBySide({
      mix: MIX,
      mixName: "talk",
      calls,
      seconds: 4,
      rounds: 1,
      warmUpCalls: 0,
      agents: ["plain", "node-1"],
      // A machine that stands still is no matter of what a block does.
      settings: UNPRESSED,
    });
    t.same(proofOf(sides), []);
    const value = (agent: "plain" | "node-1", blocked: boolean, name: string): number =>
      spreadOf(sides, agent, blocked, name)?.median ?? -1;
    for (const agent of ["plain", "node-1"] as const) {
      t.ok(value(agent, false, "turns") >= calls, agent);
      t.equal(value(agent, false, "turns that were wrong"), 0, agent);
      t.ok(value(agent, false, "added p50") > 0, agent);
      t.ok(value(agent, false, "node CPU per call and second") > 0, agent);
    }
    const blockedRun = (agent: "plain" | "node-1") =>
      sides.runs.find((run) => run.agent === agent && run.blocked)!;
    t.ok(blockedRun("plain").heldMs! > BLOCK_MS / 2, "the thread they share was held");
    const blocked = blockedRun("node-1");
    t.equal(blocked.shardsReplaced, 0, "a block is no hang");
    t.equal(blocked.blockerEnded, null, "and the call that does it goes on");
    t.ok(value("node-1", true, "turns") >= calls, "as do the others");
    t.equal(spreadOf(sides, "plain", false, "pacing error p99, at most"), null, "it does not pace");
    t.ok(comparisonRows(sides, false).some(({ ratio }) => Number(ratio) > 0));
    t.match(comparisonRows(sides, true).at(-2), { "plain agent": "no" });
  },
);

void t.test("a run that failed unprovoked says so, one that was disturbed does not", (t) => {
  const run = (blocked: boolean) => ({
    agent: "plain" as const,
    blocked,
    round: 1,
    shardsReplaced: 0,
    heldMs: null,
    blockerEnded: null,
    result: { figures: [], failureCount: 1, failures: ["one"] } as never,
  });
  const sides: SideBySide = { calls: 1, seconds: 1, rounds: 1, mix: "talk", runs: [run(false), run(true)] };
  t.same(proofOf(sides), ["plain agent, round 1: 1 failures: one"]);
  t.end();
});

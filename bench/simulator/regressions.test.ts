/** What the simulator found in the node, each as the least script that shows it. */
import t from "tap";
import { CALM } from "./calm.fixture.js";
import { violationsOf } from "./invariants.js";
import { runScript } from "./run-seed.js";
import { type CallScript, recoveredAtMs } from "./script.js";
import { runWorld } from "./world.js";

const ASK = { kind: "ask", question: 1, pauseMs: 300, tool: false } as const;
const CALL: CallScript = { atMs: 0, node: 0, steps: [ASK, { kind: "wait", ms: 6_000 }], carrier: [] };

/**
 * Marks that come late let the caller begin while the greeting, long heard, still counts as playing: it was paused, its
 * last mark came, and the pause stayed in the ring (actors/call/playout-pause.test.ts). He asked and got no answer.
 */
void t.test("a question over a greeting whose marks are late is answered", async (t) => {
  for (const ms of [300, 480, 620, 800]) {
    const script = { ...CALM, calls: [{ ...CALL, carrier: [{ kind: "marksLate", ms } as const] }] };
    t.same((await runScript(script)).violations, [], `${ms} ms`);
  }
});

/** The slot of a call whose last event could not be handed on was never given back, and nobody wrote its end. */
void t.test("a call whose end cannot be written gives its slot back and ends", async (t) => {
  for (let atMs = 1_000; atMs < 9_000; atMs += 2_000) {
    const crash = { kind: "crash", call: 0, atMs, stage: "journal" } as const;
    const leaves = { ...CALL, steps: [ASK], carrier: [{ kind: "hangUp", atMs: atMs + 20 } as const] };
    t.same((await runScript({ ...CALM, calls: [leaves], faults: [crash] })).violations, [], `${atMs} ms`);
  }
});

/** The node that asked where a call should go on counted it for its tenant for ever when the answer was: elsewhere. */
void t.test("a call that goes on on another node counts on the first no more", async (t) => {
  const cut = { kind: "cut", atMs: 4_000 } as const;
  const calls = Array.from({ length: 4 }, () => ({ ...CALL, carrier: [cut] }));
  const script = { ...CALM, nodes: 2, limits: { ...CALM.limits, slotsPerShard: 2 }, calls };
  for (let seed = 1; seed <= 5; seed += 1)
    t.same((await runScript({ ...script, seed })).violations, [], `seed ${seed}`);
});

/**
 * A caller hung up while his call's shard hung: the leg's end was noted, the actor that was to write the call's end was
 * gone with the shard, and nobody did. The control plane ended it half a minute later as lost with its node.
 */
void t.test("a call whose caller hangs up while its shard hangs ends as hung up", async (t) => {
  for (const isSpinning of [true, false]) {
    const hang = { kind: "hang", call: 0, atMs: 4_000, ms: 60_000, isSpinning } as const;
    const calls = [{ ...CALL, carrier: [{ kind: "hangUp", atMs: 4_200 } as const] }];
    const { violations, counts } = await runScript({ ...CALM, calls, faults: [hang] });
    t.same(violations, []);
    t.equal(counts["ended: callerHungUp"], 1);
  }
});

/**
 * A media socket was cut, and before the actor heard of it the actor crashed: the call was ended for the crash, and the
 * carrier, which asked what comes next, was told to hang up on somebody who was still there.
 */
void t.test(
  "a call whose actor crashes just as its leg ends goes on, or ends, as the leg says",
  async (t) => {
    const when = { call: 0, when: "agentTurn", nth: 0 } as const;
    const crash = { kind: "crash", stage: "inbound" } as const;
    for (let afterMs = 100; afterMs < 120; afterMs += 4) {
      for (const kind of ["cut", "hangUp"] as const) {
        const moments = [
          { ...when, afterMs: 100, what: { kind } },
          { ...when, afterMs, what: crash },
        ];
        const { violations, counts } = await runScript({ ...CALM, calls: [CALL], moments });
        t.same(violations, []);
        t.equal(counts["ended: actorCrashed"], undefined);
        t.equal(counts["ended: callerHungUp"], 1);
        if (kind === "cut") t.ok(counts["resumes"]! >= 1);
      }
    }
  },
);

/**
 * A media socket was cut just as the node's only shard died, or was drained: the carrier asked what comes next while there was
 * no slot, and the caller was told that we were cut off. The shard was back a moment later.
 */
void t.test("a call that loses its leg with its shard goes on when there is a shard again", async (t) => {
  const when = { call: 0, when: "agentTurn", nth: 0 } as const;
  for (const kind of ["shardDeath", "shardDrain"] as const) {
    for (let seed = 1; seed <= 10; seed += 1) {
      const moments = [
        { ...when, afterMs: 100, what: { kind: "cut" } },
        { ...when, afterMs: 90 + 3 * seed, what: { kind } },
      ] as const;
      const { violations, counts } = await runScript({ ...CALM, seed, calls: [CALL], moments });
      t.same(violations, [], `${kind}, seed ${seed}`);
      t.equal(counts["ended: callerHungUp"], 1, `${kind}, seed ${seed}`);
      t.ok(counts["resumes"]! >= 1);
    }
  }
});

/**
 * A shard stood still for 1.8 s with both slots of its node, and the leg of one call was cut meanwhile: nothing was free for it,
 * it was ended, and when the shard moved again the call's actor wrote on behind the end.
 */
void t.test("a call whose slot is held by a shard that stands still goes on in it", async (t) => {
  const hang = { kind: "hang", ms: 1_800, isSpinning: false } as const;
  const when = { call: 0, when: "agentTurn", nth: 0 } as const;
  const moments = [
    { ...when, afterMs: 100, what: hang },
    { ...when, afterMs: 107, what: { kind: "cut" } },
  ] as const;
  const limits = { ...CALM.limits, slotsPerShard: 1 };
  for (let seed = 1; seed <= 5; seed += 1) {
    const { violations, counts } = await runScript({ ...CALM, seed, limits, calls: [CALL], moments });
    t.same(violations, [], `seed ${seed}`);
    t.equal(counts["resumes"], 1, `seed ${seed}`);
  }
});

/**
 * The actor crashed as it asked whether anybody is there, and the marks of the greeting, the last to have come back, were
 * of the same turn: the question was told as heard up to its second word (actors/call/carried-speech.test.ts).
 */
void t.test("what a crashed owner had only begun to say is not told as heard", async (t) => {
  const silent = { ...CALL, steps: [{ kind: "wait", ms: 9_000 } as const] };
  for (let atMs = 4_000; atMs < 8_000; atMs += 1_000) {
    const crash = { kind: "crash", call: 0, atMs, stage: "journal" } as const;
    const { violations, counts } = await runScript({ ...CALM, calls: [silent], faults: [crash] });
    t.same(violations, [], `${atMs} ms`);
    t.equal(counts["resumes"], 1);
  }
});

/**
 * The only shard of a node was drained: its calls moved to where they were, ten times a second for a minute. No recogniser
 * lived long enough to say that it was gone, and callers were never answered.
 */
void t.test("the only shard that is drained keeps its calls", async (t) => {
  const drain = { kind: "shardDrain", node: 0, shard: 0, atMs: 3_000 } as const;
  const { violations, counts } = await runScript({ ...CALM, calls: [CALL], faults: [drain] });
  t.same(violations, []);
  t.equal(counts["resumes"], 0);
});

/**
 * A recogniser was a second and a half late: the end of a question came while its first half was answered. Then the caller
 * said "uh-huh", the answer was paused, no words came of it yet, and with the false alarm all that was known was dropped:
 * the end of the question with it.
 */
void t.test("a pause for nothing drops no words of before the answer", async (t) => {
  const steps = [
    { kind: "interrupt", question: 1, afterMs: 2_024 } as const,
    { kind: "backchannel", afterMs: 449 } as const,
    { kind: "wait", ms: 16_000 } as const,
  ];
  const late = { vendor: "stt", nth: 0, fault: { kind: "late", afterFrames: 1, ms: 1_476 } } as const;
  const { violations, faults } = await runScript({ ...CALM, calls: [{ ...CALL, steps }], vendors: [late] });
  t.same(violations, []);
  t.ok(faults["sttLate"]! > 0);
});

/**
 * A recogniser went deaf in the last word of a question. The turn was committed without it, and answered; a second of
 * speech must go unanswered before a recogniser counts as stalled, and one word lasts a quarter. What it had shown was
 * never final, or its final was asked for and never came: both are owed now.
 */
void t.test("a recogniser that goes deaf in the last word of a question costs no word", async (t) => {
  const words = { kind: "interrupt", question: 1, afterMs: 1_000 } as const;
  // At 4 s and a little its report of every five seconds closes the words before the last one; else they are interim.
  for (const ms of [0, 2_000, 4_000, 4_080, 4_160, 5_000]) {
    for (const afterFrames of [46, 50]) {
      const steps = [{ kind: "wait", ms } as const, words, { kind: "wait", ms: 15_000 } as const];
      const deaf = { vendor: "stt", nth: 0, fault: { kind: "stall", afterFrames, ms: 0 } } as const;
      const script = { ...CALM, calls: [{ ...CALL, steps }], vendors: [deaf] };
      const { violations, faults } = await runScript(script);
      t.same(violations, [], `deaf after ${afterFrames} frames, ${ms} ms`);
      t.equal(faults["sttStall"], 1);
    }
  }
});

/**
 * A call whose leg was lost was sent to a node that had room by its last report, and none any more: its only shard had just
 * died. Its former owner had let go, the new one gave it back, and nobody wrote its end: the control plane did, twenty
 * seconds later, as that of a node that was lost. Then it was ended there, at once, a second before there was room: his socket
 * waits for that now (node/switchboard.test.ts has the one that waits in vain).
 */
void t.test("a call that finds no room where it was sent waits for some, and goes on there", async (t) => {
  const death = { kind: "shardDeath", node: 0, shard: 0, atMs: 7_200 } as const;
  const steps = [{ kind: "wait", ms: 9_000 } as const];
  const cut = { kind: "cut", atMs: 1_650 } as const;
  for (let seed = 1; seed <= 4; seed += 1) {
    // Those on node 1 make node 0 the better choice.
    const stays = (node: number) => ({ ...CALL, atMs: 700, node, steps });
    const calls = [
      { atMs: 5_200, node: 1, steps, carrier: [cut] },
      ...[0, 1, 1, 1, 1, 1, 1, 1, 1].map(stays),
    ];
    const { violations, counts } = await runScript({
      ...CALM,
      seed,
      nodes: 2,
      limits: { ...CALM.limits, slotsPerShard: 16 },
      calls,
      faults: [death],
    });
    t.same(violations, [], `seed ${seed}`);
    t.equal(counts["ended: callerHungUp"], calls.length, `seed ${seed}`);
  }
});

/**
 * A recogniser was late when its shard died. The journal told when a turn was committed, and what was said before that
 * instant and told only after it was not listened to again: the question, of which "tell me" was committed, was lost. It
 * tells now how far into the caller's audio the words reach, and of words that come over the answer to those before, at once.
 */
void t.test("what a late recogniser had not told when its shard died is not lost", async (t) => {
  const late = (nth: number, ms: number) =>
    ({ vendor: "stt", nth, fault: { kind: "late", afterFrames: 1, ms } }) as const;
  const cases = [
    // In mid-question: committed are the words that had been told by then.
    { step: ASK, lateMs: 1_200, deathsAtMs: [2_700, 2_900, 3_100] },
    // Over the answer to the first half, whose late final looked like the end of the second.
    { step: { kind: "hesitate", question: 1, pauseMs: 300 }, lateMs: 600, deathsAtMs: [2_900, 3_600, 5_000] },
    {
      step: { kind: "hesitate", question: 1, pauseMs: 700 },
      lateMs: 1_200,
      deathsAtMs: [3_400, 4_400, 5_300],
    },
  ] as const;
  for (const { step, lateMs, deathsAtMs } of cases) {
    for (const atMs of deathsAtMs) {
      const { violations, counts } = await runScript({
        ...CALM,
        hasSpare: true,
        calls: [{ ...CALL, steps: [step, { kind: "wait", ms: 16_000 }] }],
        vendors: [late(0, lateMs), late(1, lateMs)],
        faults: [{ kind: "shardDeath", node: 0, shard: 0, atMs }],
      });
      t.same(violations, [], `${step.kind}, ${lateMs} ms late, ${atMs} ms`);
      t.equal(counts["resumes"], 1);
    }
  }
});

/** A shard died in a sentence longer than the in-ring: its beginning was gone, and with it what was asked. */
void t.test("a sentence longer than the ring outlives its shard", async (t) => {
  const steps = [{ kind: "ramble", question: 1, words: 24 } as const, { kind: "wait", ms: 16_000 } as const];
  for (let atMs = 4_000; atMs <= 8_000; atMs += 1_000) {
    const death = { kind: "shardDeath", node: 0, shard: 0, atMs } as const;
    const script = { ...CALM, hasSpare: true, calls: [{ ...CALL, steps }], faults: [death] };
    const { violations, counts } = await runScript(script);
    t.same(violations, [], `${atMs} ms`);
    t.equal(counts["resumes"], 1);
  }
});

/**
 * A recogniser went deaf in the second half of a question, which came over the answer to the first. Half a second of speech
 * without a word paused the answer and let it go on; the recogniser was asked for nothing, and the half that it had not heard
 * was told twenty seconds later, by the next one, or never.
 */
void t.test("a recogniser that goes deaf in what is said over an answer costs no word", async (t) => {
  for (const pauseMs of [950, 1_020, 1_100]) {
    for (const afterFrames of [49, 55, 62]) {
      const steps = [
        { kind: "hesitate", question: 1, pauseMs } as const,
        { kind: "wait", ms: 16_000 } as const,
      ];
      const deaf = { vendor: "stt", nth: 0, fault: { kind: "stall", afterFrames, ms: 0 } } as const;
      const { violations } = await runScript({ ...CALM, calls: [{ ...CALL, steps }], vendors: [deaf] });
      t.same(violations, [], `${pauseMs} ms, deaf after ${afterFrames} frames`);
    }
  }
});

/**
 * Every model was gone for some seconds. When they were back the first caller to ask was the breaker's probe, and whoever
 * asked before it had its answer was turned away: an apology, a message, the end, with a model that worked and no other to
 * turn to. Who has nobody else to ask asks the one that is being tried.
 */
void t.test("callers who come after an outage are answered, together as well", async (t) => {
  for (const vendor of ["stt", "llm", "tts"] as const) {
    for (const [atMs, ms] of [
      [500, 5_000],
      [3_500, 5_000],
      [3_500, 9_000],
      [2_500, 5_000],
    ] as const) {
      const outage = { vendor, whose: "all", atMs, ms } as const;
      const callOf = (index: number): CallScript => {
        const ask = (nth: number) => ({ ...ASK, question: 2 * index + nth }) as const;
        const startMs = index < 4 ? index * 900 : recoveredAtMs(outage) + index * 300;
        return { ...CALL, atMs: startMs, steps: [ask(1), ask(2), { kind: "wait", ms: 8_000 }] };
      };
      const limits = { ...CALM.limits, slotsPerShard: 16, requestsMax: 64 };
      const calls = Array.from({ length: 8 }, (_, index) => callOf(index));
      const fallbacks = vendor === "tts" ? "models" : "none"; // gone as well
      const { violations, faults } = await runScript({ ...CALM, limits, calls, outage, fallbacks });
      t.same(violations, [], `${vendor}, ${ms} ms from ${atMs}`);
      t.equal(faults["outagePasses"], 1);
    }
  }
});

/**
 * A model broke off in mid-answer, and another one went on. It is told to begin with the last words that were said, so that
 * what it says again after them is known to be meant; half of the time it does not do as it is told.
 */
void t.test("an answer that another model ends has every word once", async (t) => {
  let toldOnce = 0;
  for (let seed = 1; seed <= 8; seed += 1) {
    const fault = { kind: "reset", ms: 0, afterTokens: 8 } as const;
    const vendors = [{ vendor: "llm", call: 0, nth: 0, fault } as const];
    const script = { ...CALM, seed, calls: [CALL], vendors, fallbacks: "vendors" } as const;
    const world = await runWorld(script);
    t.same(violationsOf(world), [], `seed ${seed}`);
    const notes = world.asked.flatMap(({ messages }) => messages.map(({ content }) => content ?? ""));
    toldOnce += notes.filter((note) => note.includes("Begin with the last of them")).length;
  }
  t.ok(toldOnce > 0);
});

/**
 * A call's shard died and another actor went on; then its socket was cut, and it came back to the node under a new lease. The
 * node took its actor for an earlier one: nothing of the rest of the call was written down, and who was asked for a message
 * in it left one that no journal names.
 */
void t.test("a call that lost its shard and then its socket is written down to its end", async (t) => {
  const death = { kind: "shardDeath", node: 0, shard: 0, atMs: 2_500 } as const;
  const steps = [{ kind: "wait", ms: 6_000 } as const, ASK, { kind: "wait", ms: 5_000 } as const];
  const calls = [{ ...CALL, steps, carrier: [{ kind: "cut", atMs: 4_000 } as const] }];
  const world = await runWorld({ ...CALM, hasSpare: true, calls, faults: [death] });
  t.same(violationsOf(world), []);
  const events = [...world.plane.rows.values()].flatMap((row) => row.events);
  t.same(
    events.flatMap((event) => (event.kind === "callResumed" ? [event.reason] : [])),
    ["shardLost", "legLost"],
  );
  const said = events.flatMap((event) => (event.kind === "callerTurn" ? [event.pii.said] : []));
  t.match(said.join(" "), "q1");
});

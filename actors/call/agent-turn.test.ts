import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { JournalEvent } from "#actors/journal";
import { AgentTurn } from "./agent-turn.js";
import { JournalWriter } from "./journal-writer.js";
import type { ReplyPlan } from "./speaker.js";

const CACHED = { text: "One moment.", audio: new Uint8Array(80), words: [] };
const FAILED = new LumentraError("LLM_STREAM_BROKEN", "cut off");

function begun() {
  const plans: ReplyPlan[] = [];
  const happened: string[] = [];
  const events: JournalEvent[] = [];
  let settleCut: ((clearSentAtMs: number | null) => void) | null = null;
  const turn = new AgentTurn(
    {
      speaker: {
        say: (_phrases, plan) => void plans.push(plan),
        play: (_generation, plan) => void plans.push(plan),
        cut: (_reason, settled) => void (settleCut = settled ?? null),
        handOver: () => {},
      },
      counters: { replyStarted: () => happened.push("counted"), bargeIn: () => happened.push("bargeIn") },
      journal: new JournalWriter("call", 1, 0, new VirtualClock(), (event) => events.push(event) > 0),
      onAgentEnds: () => happened.push("the call ends"),
      onProviderFailed: (error, provider) => happened.push(`${provider}: ${error.code}`),
    },
    { number: 7 },
    { onSilent: () => happened.push("silent") },
    () => happened.push("the floor is free"),
  );
  /** What came of it when the last reply that was begun has been heard. */
  const heard = (): readonly string[] => {
    happened.length = 0;
    plans.at(-1)!.onFinished();
    return happened;
  };
  return { turn, plans, happened, events, heard, settleCut: (atMs: number | null) => settleCut?.(atMs) };
}

void t.test(
  "what is heard frees the floor, ends the call, or tells what is missing: one of them",
  async (t) => {
    const { turn, heard } = begun();
    turn.say(["Hello."], { source: "greeting" });
    t.same(heard(), ["silent", "the floor is free"]);
    turn.say(["Goodbye."], { source: "prompt", endsCall: true });
    t.same(heard(), ["silent", "the call ends"]);
    turn.onDone("We are", true, { error: FAILED, provider: "groq" });
    t.same(heard(), ["silent", "groq: LLM_STREAM_BROKEN"], "a call does not end on half of a goodbye");
    turn.say(["Hello?"], { source: "prompt" });
    t.same(heard(), ["silent", "the floor is free"], "and the next reply owes nothing of it");
  },
);

void t.test("only what asks to be answered is what the caller answers", async (t) => {
  const { turn } = begun();
  turn.say(["Which day?", CACHED], { source: "prompt" });
  t.equal(turn.text, "Which day? One moment.");
  turn.say(["Are you still there?"], { source: "prompt", isAnswered: false });
  t.equal(turn.text, "Which day? One moment.");
});

void t.test("what the carrier has of another owner is the first reply's alone", async (t) => {
  const { turn, plans } = begun();
  const first: number[] = [];
  turn.takeUp("We open at nine", 2, (atMs) => first.push(atMs));
  turn.say(["at nine."], { source: "model" });
  turn.say(["Anything else?"], { source: "prompt" });
  t.same(
    plans.map(({ queuedWords }) => queuedWords),
    [2, null],
  );
  plans[0]!.onStarted?.(40);
  plans[1]!.onStarted?.(90);
  t.same(first, [40], "and so is its first audio");

  turn.takeUp("We open at nine", 0, () => {});
  turn.forgetQueued();
  turn.say(["Hello."], { source: "greeting" });
  t.equal(plans.at(-1)!.queuedWords, null);
});

void t.test("last words go on from what the carrier has only where they are the rest of it", async (t) => {
  for (const [phrase, queued] of [
    ["Please call again.", null],
    [CACHED, 3],
  ] as const) {
    const { turn, plans } = begun();
    turn.takeUp("Thank you for", 3, () => {});
    turn.sayLast(
      [phrase],
      () => {},
      () => {},
    );
    t.equal(plans[0]!.queuedWords, queued);
  }
});

void t.test(
  "a cut is a barge-in once it is known what was heard, and the echo's time begins at once",
  async (t) => {
    const { turn, happened, events, settleCut } = begun();
    turn.say(["We open at nine."], { source: "model" });
    turn.interrupt(500, () => happened.push("settled"));
    t.same(happened, ["silent"]);
    t.same(events, []);
    settleCut(null); // the leg had gone
    t.same(happened, ["silent", "bargeIn", "settled"]);
    t.match(events, [{ kind: "bargeIn", turn: 7, decidedAtMs: 500, clearSentAtMs: null }]);
  },
);

/** What the journal tells of a call is what its owner knew: over generated calls on virtual time. */
import t, { type Test } from "tap";
import { type Random, seededRandom } from "#runtime/actor";
import { LegEnd } from "#runtime/media";
import type { JournalEvent, JournalFact } from "#actors/journal";
import type { LlmMessage } from "#actors/providers";
import { phrasesFor } from "#actors/speech";
import { tenantSchema } from "#actors/tenants";
import { CallFixture, TEST_TENANT } from "./call.fixture.js";
import { History } from "./history.js";
import { Ledger } from "./ledger.js";
import { REPLAY_EVENTS_MAX, replayJournal, typedText } from "./resume.js";

const tenant = tenantSchema.parse(TEST_TENANT);

interface Snapshot {
  /** Events written by then. */
  readonly count: number;
  readonly turn: number;
  readonly messages: readonly LlmMessage[];
  readonly digits: string;
}

/** What a caller may do next; each takes a few seconds of line time. */
const STEPS: readonly ((call: CallFixture, random: Random) => void)[] = [
  (call) => call.say("when are you open?", 4_000),
  (call) => call.say("can you look that up please?", 3_000), // tools
  (call) => call.say("thanks", 2_500), // a quick reply
  (call, random) => {
    call.say("tell me all about it please.", 600 + Math.floor(random.next() * 2_000));
    call.say("no wait a moment", 2_500); // a barge-in
  },
  (call, random) => {
    call.say("tell me more then please.", 900 + Math.floor(random.next() * 1_000));
    call.say("uh-huh", 3_000);
  },
  (call) => {
    call.say("do you have time", 250);
    call.say("on a Friday?", 3_000); // what he adds before the answer
  },
  (call) => {
    for (const digit of "42#") call.digit(digit);
    call.run(2_500);
  },
  (call) => {
    call.digit("7");
    call.run(4_000); // typed without an end: the collector's own time
  },
  (call) => call.run(9_500), // a silence prompt
  (call) => {
    call.callerSpeaks = true;
    call.run(900);
    call.callerSpeaks = false;
    call.run(3_500); // sound without words
  },
];

/** Plays a call of `steps` steps and notes what its owner knows after each frame. */
async function playedCall(seed: number, steps: number): Promise<{ call: CallFixture; seen: Snapshot[] }> {
  const random = seededRandom(seed);
  const seen: Snapshot[] = [];
  const note = (): void => {
    if (call.journal.length > (seen.at(-1)?.count ?? 0))
      seen.push({ count: call.journal.length, ...call.call.conversation });
  };
  let toolsLeft = 0;
  const call: CallFixture = new CallFixture({
    toolNames: ["check_opening_hours"],
    reply: ({ messages }) => {
      const said = messages.findLast(({ role }) => role === "user")!.content;
      if (messages.at(-1)!.role === "user" && said.includes("look that up"))
        toolsLeft = 1 + Math.floor(random.next() * 2);
      if (toolsLeft > 0) {
        toolsLeft -= 1;
        const tool = { name: "check_opening_hours", argumentsJson: "{}" };
        return {
          text: random.next() < 0.5 ? "Let me see." : "",
          tools: random.next() < 0.5 ? [tool] : [tool, tool],
        };
      }
      return {
        text: `Well, here is answer number ${messages.length}, and there is more. Is that all right?`,
      };
    },
    onFrame: () => note(),
  });
  call.run(1_500);
  for (let step = 0; step < steps && call.outcome === null; step += 1) {
    STEPS[Math.floor(random.next() * STEPS.length)]!(call, random);
    // Tools answer through promises, which line time does not wait for.
    for (let round = 0; round < 4; round += 1) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      note();
      call.run(700);
    }
  }
  return { call, seen };
}

/** What the model would be shown: ids of tool calls are made up anew by whoever replays. */
function comparable(messages: readonly LlmMessage[]): unknown {
  const ids: string[] = [];
  return messages.flatMap((message): unknown[] => {
    if (message.role === "system") return [];
    if (message.role === "tool") return [{ ...message, toolCallId: ids.shift() === message.toolCallId }];
    if (!("toolCalls" in message) || message.toolCalls === undefined) return [message];
    ids.push(...message.toolCalls.map(({ id }) => id));
    return [{ ...message, toolCalls: message.toolCalls.map((call) => ({ ...call, id: "" })) }];
  });
}

/** What was being said when the journal stops: the owner adds it to the history when it is over. */
function openReplyOf(events: readonly JournalEvent[]): string {
  let heard = "";
  for (const event of events) {
    if (event.kind === "agentProgress") heard = event.pii.heard;
    if (event.kind === "agentTurn") heard = "";
  }
  return heard;
}

function replayed(events: readonly JournalEvent[]) {
  const history = new History("system");
  const state = replayJournal(events, history, tenant);
  return { ...state, messages: history.messages("") };
}

void t.test("replayed equals live, after every event of generated calls", async (t) => {
  const seeds = process.env["SEED"] === undefined ? [1, 2, 3, 4, 5, 6, 7, 8] : [Number(process.env["SEED"])];
  const kinds = new Set<string>();
  let compared = 0;
  for (const seed of seeds) {
    const { call, seen } = await playedCall(seed, 12);
    t.equal(call.crash, null);
    for (const { kind } of call.journal) kinds.add(kind);
    for (const { count, turn, messages, digits } of seen) {
      const events = call.journal.slice(0, count);
      const state = replayed(events);
      const open = openReplyOf(events);
      const expected: LlmMessage[] =
        open === "" ? [...messages] : [...messages, { role: "assistant", content: open }];
      const where = `SEED=${seed}, ${count} events, last ${events.at(-1)!.kind}`;
      t.equal(state.turn, turn, where);
      t.equal(state.nextSequence, count, where);
      // A number that is whole may stand in the journal as keys alone for a while.
      t.ok(state.digits.endsWith(digits), `${where}: keys "${digits}" replay as "${state.digits}"`);
      if (!t.same(comparable(state.messages), comparable(expected), where)) return;
      compared += 1;
    }
  }
  t.ok(compared > 200, `${compared} places compared`);
  for (const kind of ["bargeIn", "bargeInRejected", "toolCalled", "dtmf", "callerProgress", "agentProgress"])
    t.ok(kinds.has(kind), kind);
});

void t.test("a lost leg leaves a journal that replays to the last word", async (t) => {
  for (let seed = 100; seed < 130; seed += 1) {
    const { call } = await playedCall(seed, 2);
    call.say("tell me all about it please.", seededRandom(seed).next() * 3_000);
    call.legEnds(LegEnd.socketLost);
    const state = replayed(call.journal);
    t.same(comparable(state.messages), comparable(call.call.conversation.messages), `seed ${seed}`);
    t.equal(state.open, null, "the owner has written the end of what it said");
  }
});

void t.test("a journal beyond the bound keeps its beginning, its turns and its last words", async (t) => {
  const { call } = await playedCall(3, 3);
  const [first, ...rest] = call.journal;
  const filler = Array.from(
    { length: REPLAY_EVENTS_MAX },
    (_, index): JournalEvent => ({
      ...rest[0]!,
      kind: "eagerDiscarded",
      turn: 1,
      sequence: index + 1,
    }),
  );
  const long = [
    first!,
    ...filler,
    ...rest.map((event, index) => ({ ...event, sequence: filler.length + 1 + index })),
  ];
  const state = replayed(long);
  t.equal(state.startedAtUnixMs, first!.atUnixMs);
  t.equal(state.nextSequence, long.length);
  t.same(comparable(state.messages), comparable(replayed(call.journal).messages));
});

void t.test("tools that ran side by side are one round again, one after the other two", async (t) => {
  const base = { callId: "call-1", epoch: 1, atUnixMs: 0 };
  const tool = (sequence: number, startMs: number, endMs: number): JournalEvent => ({
    ...base,
    kind: "toolCalled",
    turn: 1,
    tool: `tool-${sequence}`,
    ok: true,
    durationMs: endMs - startMs,
    atMs: endMs,
    sequence,
    pii: { argumentsJson: "{}", result: `result ${sequence}` },
  });
  const said: JournalEvent = {
    ...base,
    kind: "callerTurn",
    turn: 1,
    throughAtMs: null,
    atMs: 0,
    sequence: 0,
    pii: { said: "hello" },
  };
  const { messages } = replayed([said, tool(1, 10, 40), tool(2, 10, 60), tool(3, 260, 300)]);
  t.match(
    messages.slice(1).map((message) => ("toolCalls" in message ? message.toolCalls.length : message.role)),
    ["user", 2, "tool", "tool", 1, "tool"],
  );
});

type Kind = JournalFact["kind"];
type FactOf<K extends Kind> = Extract<JournalFact, { kind: K }>;
type State = ReturnType<typeof replayed>;

const LEDGER = new Ledger().snapshot();
const SAID: JournalFact = {
  kind: "callerTurn",
  turn: 1,
  throughAtMs: null,
  pii: { said: "when are you open?" },
};
const SPEAKING: JournalFact = {
  kind: "agentProgress",
  turn: 1,
  source: "model",
  whole: true,
  pii: { intended: "We open at nine. Come in.", heard: "We open at nine." },
};

/** Of every kind: what stands before it, one of it, and what it changes. A kind without a row does not compile. */
const EACH_KIND: {
  readonly [K in Kind]: {
    readonly before: readonly JournalFact[];
    readonly fact: FactOf<K>;
    readonly changes: (t: Test, state: State, before: State) => void;
  };
} = {
  callStarted: {
    before: [],
    fact: {
      kind: "callStarted",
      tenantId: "test",
      carrier: "twilio",
      carrierCallId: "CA1",
      nodeId: "node-1",
      pii: { from: "", to: "" },
    },
    changes: (t, state) => t.match(state, { startedAtUnixMs: 0, point: { kind: "greet" } }),
  },
  callerTurn: {
    before: [],
    fact: SAID,
    changes: (t, state) => t.match(state, { turn: 1, point: { kind: "answer", said: "" } }),
  },
  callerProgress: {
    before: [],
    fact: {
      kind: "callerProgress",
      turn: 1,
      throughAtMs: null,
      isOpen: false,
      pii: { said: "is there parking?" },
    },
    changes: (t, state) => t.match(state, { turn: 0, point: { kind: "answer", said: "is there parking?" } }),
  },
  agentProgress: {
    before: [SAID],
    fact: SPEAKING,
    changes: (t, state) =>
      t.match(state, { point: { kind: "speak", text: "Come in." }, open: { heard: "We open at nine." } }),
  },
  agentTurn: {
    before: [SAID, SPEAKING],
    fact: {
      kind: "agentTurn",
      turn: 1,
      source: "model",
      cut: null,
      ledger: LEDGER,
      pii: { intended: "We open at nine. Come in.", heard: "We open at nine. Come in." },
    },
    changes: (t, state) => {
      t.match(state, { point: { kind: "listen" }, open: null });
      t.match(state.messages.at(-1), { role: "assistant", content: "We open at nine. Come in." });
    },
  },
  bargeIn: {
    before: [SAID, prompted()],
    fact: { kind: "bargeIn", turn: 1, decidedAtMs: 0, clearSentAtMs: null },
    changes: (t, state, before) => t.same([before.silencePrompts, state.silencePrompts], [1, 0]),
  },
  bargeInRejected: {
    before: [SAID, prompted()],
    fact: { kind: "bargeInRejected", turn: 1, reason: "backchannel" },
    changes: (t, state, before) => t.same([before.silencePrompts, state.silencePrompts], [1, 0]),
  },
  eagerDiscarded: {
    before: [SAID],
    fact: { kind: "eagerDiscarded", turn: 1 },
    changes: (t, state, before) => t.same({ ...state, nextSequence: 0 }, { ...before, nextSequence: 0 }),
  },
  toolCalled: {
    before: [SAID],
    fact: {
      kind: "toolCalled",
      turn: 1,
      tool: "check_opening_hours",
      ok: true,
      durationMs: 5,
      pii: { argumentsJson: "{}", result: "nine to five" },
    },
    changes: (t, state) => t.match(state.messages.at(-1), { role: "tool", content: "nine to five" }),
  },
  dtmf: {
    before: [],
    fact: { kind: "dtmf", pii: { digit: "4" } },
    changes: (t, state) => t.equal(state.digits, "4"),
  },
  providerFailed: {
    before: [SAID],
    fact: { kind: "providerFailed", provider: "groq", code: "LLM_TIMEOUT", fallback: null },
    changes: (t, state) => t.match(state.point, { kind: "answer" }),
  },
  messageOffered: {
    before: [SAID],
    fact: { kind: "messageOffered", code: "LLM_TIMEOUT", audioFile: null },
    changes: (t, state) => {
      const { messageOffer } = phrasesFor(tenant.language);
      t.match(state.point, { kind: "message", code: "LLM_TIMEOUT", text: messageOffer, hasPart: false });
    },
  },
  messageTaken: {
    before: [SAID, { kind: "messageOffered", code: "LLM_TIMEOUT", audioFile: null }],
    fact: {
      kind: "messageTaken",
      durationMs: 900,
      audioFile: null,
      audioConfirmed: false,
      more: false,
      pii: { transcript: "call me" },
    },
    changes: (t, state) => t.match(state.point, { kind: "leave", outcome: { kind: "providerFailed" } }),
  },
  legLost: {
    before: [SAID, SPEAKING],
    fact: { kind: "legLost" },
    changes: (t, state, before) => t.same({ ...state, nextSequence: 0 }, { ...before, nextSequence: 0 }),
  },
  callResumed: {
    before: [SAID, SPEAKING],
    fact: { kind: "callResumed", nodeId: "node-2", gapMs: 40, reason: "shardLost" },
    changes: (t, state, before) => t.same({ ...state, nextSequence: 0 }, { ...before, nextSequence: 0 }),
  },
  callEnded: {
    before: [SAID],
    fact: { kind: "callEnded", outcome: { kind: "callerHungUp" }, durationMs: 1 },
    changes: (t, state, before) => t.same(state.messages, before.messages),
  },
};

function prompted(): JournalFact {
  const intended = phrasesFor(tenant.language).silencePrompts[0]!;
  const pii = { intended, heard: intended };
  return { kind: "agentTurn", turn: 1, source: "prompt", cut: null, ledger: LEDGER, pii };
}

function journalOf(facts: readonly JournalFact[]): JournalEvent[] {
  return facts.map(
    (one, sequence): JournalEvent => ({
      ...one,
      callId: "call-1",
      sequence,
      epoch: 1,
      atMs: sequence,
      atUnixMs: sequence,
    }),
  );
}

void t.test("keys belong to the turn that names them, and those pressed since to the next", async (t) => {
  const key = (digit: string): JournalFact => ({ kind: "dtmf", pii: { digit } });
  const told = (turn: number, keys: string, more = ""): JournalFact => ({
    kind: "callerProgress",
    turn,
    throughAtMs: null,
    isOpen: false,
    pii: { said: `${more}${typedText(keys)}` },
  });
  const taken = (turn: number, said: string): JournalFact => ({
    kind: "callerTurn",
    turn,
    throughAtMs: null,
    pii: { said },
  });
  const left = (...facts: readonly JournalFact[]): string => replayed(journalOf(facts)).digits;

  t.equal(
    left(key("0"), told(1, "0"), key("1"), taken(1, typedText("0"))),
    "1",
    "pressed as the turn went on",
  );
  t.equal(
    left(key("4"), key("2"), key("#"), taken(1, typedText("42"))),
    "",
    "what ends a number is none of it",
  );
  t.equal(left(key("4"), told(1, "4"), key("4"), told(1, "4", `${typedText("4")} `)), "", "the same twice");
  t.equal(left(key("4"), told(1, "4"), taken(1, typedText("4")), key("4"), key("5"), told(2, "4")), "5");
  t.equal(left(key("4"), taken(1, "I am looking for it.")), "4", "said while he types");
});

for (const [kind, { before, fact, changes }] of Object.entries(EACH_KIND)) {
  void t.test(`replaying ${kind}`, (t) => {
    const events = journalOf([...before, fact]);
    const state = replayed(events);
    t.equal(state.nextSequence, events.length);
    changes(t, state, replayed(events.slice(0, -1)));
    t.end();
  });
}

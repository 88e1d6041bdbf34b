/**
 * What every language model must do, run against its real client and a server that speaks its protocol.
 *
 * The provider runs on virtual time, so that its deadlines pass when the suite says so; the server on the
 * machine's. A vendor's test brings an `LlmBench`.
 */
import { inspect } from "node:util";
import t, { type Test } from "tap";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { KeptLog, advanceUntil, PLANTED_KEY, eventually, quietTurns } from "../compliance-kit.js";
import type { ProviderDeps } from "../registry.js";
import type { LlmProvider, LlmRequest } from "./provider.js";
import { Reading } from "./llm.witness.js";

/** What befalls the next request, or the next few. */
export type LlmFault =
  | {
      readonly kind: "status";
      readonly status: number;
      readonly code?: string;
      readonly message?: string;
      readonly retryAfterSeconds?: number;
    }
  | { readonly kind: "reset" | "noAnswer" | "missingDone" | "htmlBody" }
  /** In mid-reply. */
  | { readonly kind: "cut" | "stall" | "endEarly" | "garbage" }
  | { readonly kind: "streamError"; readonly form: "data" | "event" | "xGroq"; readonly code?: string }
  /** Ways of writing the stream that must not matter. */
  | { readonly kind: "splitUtf8" | "looseFraming" }
  | { readonly kind: ToolWriting }
  | { readonly kind: "lengthInArguments"; readonly afterChars: number };

export interface LlmReplyScript {
  readonly text?: string;
  readonly toolCalls?: readonly { readonly name: string; readonly argumentsJson: string }[];
  readonly finish?: "length";
  /** Nothing is sent until it resolves. */
  readonly gate?: Promise<unknown>;
}

export interface LlmServer {
  failNext(fault: LlmFault, count?: number): void;
  /** Takes back what has not struck. */
  clearFaults(): void;
  /** Answers requests whose last user message is this text. */
  script(prompt: string, reply: LlmReplyScript): void;
  connectionsSinceStart(): number;
  /** Requests of this call that came in, and whether the client left them before their end. */
  requests(callId: string): readonly { readonly aborted: boolean }[];
}

/** What can go wrong depends on the protocol too. */
export interface LlmFaultTable {
  /** Ways of writing tool calls that come to the same. */
  readonly writings: readonly ToolWriting[];
  /** Answers that are errors, and the code of each. */
  readonly refusals: readonly (readonly [Omit<Status, "kind">, string])[];
  readonly streamErrors: readonly (readonly [LlmFault, string])[];
}

type Status = Extract<LlmFault, { kind: "status" }>;
type ToolWriting =
  | "oneCharArguments"
  | "wholeToolCalls"
  | "repeatedNames"
  | "noToolIndex"
  | "stopDespiteTools";

/** Of any protocol. */
const BREAKS: readonly (readonly [LlmFault, string])[] = [
  [{ kind: "cut" }, "LLM_STREAM_BROKEN"],
  [{ kind: "missingDone" }, "LLM_STREAM_BROKEN"],
  [{ kind: "endEarly" }, "LLM_STREAM_BROKEN"],
  [{ kind: "htmlBody" }, "LLM_STREAM_BROKEN"],
  [{ kind: "garbage" }, "LLM_PROTOCOL_ERROR"],
];

export interface LlmBench {
  readonly name: string;
  readonly server: LlmServer;
  readonly model: string;
  readonly faults: LlmFaultTable;
  /** Behind a tenant's list of one, which asks again, once, where another of the vendor's servers may answer. */
  readonly inChain?: boolean;
  /** @default 5,000 */
  readonly firstTokenTimeoutMs?: number;
  /** With PLANTED_KEY as its key, which the server accepts. */
  start(deps: ProviderDeps, options: { readonly requestsMax?: number }): LlmProvider;
}

/** Nothing was said and another server may be well: what a list of one asks again for. */
const ASKED_AGAIN = new Set(["LLM_CONNECT_FAILED", "LLM_STREAM_BROKEN"]);

const TOOL = {
  name: "book",
  description: "Books a table.",
  parameters: { type: "object", properties: { day: { type: "string" } } },
};

interface Rig {
  readonly provider: LlmProvider;
  readonly clock: VirtualClock;
  readonly log: KeptLog;
  readonly errorsCounted: string[];
}

export function llmCompliance(bench: LlmBench): void {
  const { server, inChain = false } = bench;
  const name = inChain ? `${bench.name}, as calls have it` : bench.name;
  const clocks = new WeakMap<LlmProvider, VirtualClock>();

  function rig(t: Test, options: { requestsMax?: number } = {}): Rig {
    const clock = new VirtualClock();
    const log = new KeptLog();
    const errorsCounted: string[] = [];
    const deps = {
      clock,
      log,
      random: seededRandom(1),
      onProviderError: (provider: string, code: string) => void errorsCounted.push(`${provider} ${code}`),
    };
    const provider = bench.start(deps, options);
    clocks.set(provider, clock);
    t.teardown(() => {
      server.clearFaults();
      return provider.close();
    });
    return { provider, clock, log, errorsCounted };
  }

  let nextCall = 0;
  function ask(provider: LlmProvider, prompt: string, fields: Partial<LlmRequest> = {}): Reading {
    nextCall += 1;
    const request = {
      callId: `${name}-call-${nextCall}`,
      model: bench.model,
      messages: [
        { role: "system", content: "You answer the phone." },
        { role: "user", content: prompt },
      ],
      tools: [TOOL],
      temperature: 0.4,
      maxOutputTokens: 300,
      ...fields,
    } as const;
    return new Reading(provider, request, clocks.get(provider)!);
  }

  /** A reply that waits for `open()` after the request has come in. */
  function gate(): { readonly promise: Promise<void>; open(): void } {
    let open!: () => void;
    const promise = new Promise<void>((resolve) => (open = resolve));
    return { promise, open };
  }

  void t.test(`${name}: a reply comes in order, in pieces, and is done once`, async (t) => {
    const { provider, errorsCounted } = rig(t);
    const text = "You can park behind the house, grüß Gott 👋, and it is free.";
    server.script("parking?", { text });
    const reply = ask(provider, "parking?");
    await reply.recorder.untilEvent("onDone");
    t.equal(reply.text(), text);
    t.ok(reply.recorder.values("onText").length > 3);
    t.notOk(reply.recorder.values("onText").includes(""));
    t.equal(reply.finish, "stop");
    t.ok(reply.usage !== null && reply.usage.inputTokens > 0 && reply.usage.outputTokens > 0);
    t.same(reply.recorder.faults, []);
    t.same(errorsCounted, []);
  });

  void t.test(`${name}: a conversation with tools in it is accepted as history`, async (t) => {
    const { provider } = rig(t);
    server.script("thanks", { text: "You are welcome." });
    const call = { id: "call_1", name: "book", argumentsJson: '{"day":"monday"}' };
    const reply = ask(provider, "", {
      messages: [
        { role: "system", content: "You answer the phone." },
        { role: "user", content: "book monday" },
        { role: "assistant", content: "", toolCalls: [call] },
        { role: "tool", toolCallId: "call_1", content: '{"ok":true}' },
        { role: "assistant", content: "Booked." },
        { role: "user", content: "thanks" },
      ],
    });
    await reply.recorder.untilEvent("onDone");
    t.equal(reply.text(), "You are welcome.");
  });

  for (const kind of ["splitUtf8", "looseFraming"] as const) {
    void t.test(`${name}: ${kind} changes nothing`, async (t) => {
      const { provider } = rig(t);
      const text = "Grüß Gott, 你好 👋 and welcome.";
      server.script(kind, { text });
      server.failNext({ kind });
      const reply = ask(provider, kind);
      await reply.recorder.untilEvent("onDone");
      t.equal(reply.text(), text);
    });
  }

  const twoCalls = [
    { name: "book", argumentsJson: '{"day":"monday","note":"größer"}' },
    { name: "weather", argumentsJson: "{}" },
  ];
  for (const kind of [null, ...bench.faults.writings]) {
    void t.test(`${name}: text and two tool calls come whole (${kind ?? "plain"})`, async (t) => {
      const { provider } = rig(t);
      server.script("book it", { text: "One moment.", toolCalls: twoCalls });
      if (kind !== null) server.failNext({ kind });
      const reply = ask(provider, "book it");
      await reply.recorder.untilEvent("onDone");
      t.equal(reply.text(), "One moment.");
      t.same(
        reply.calls().map(({ name, argumentsJson }) => ({ name, argumentsJson })),
        twoCalls,
      );
      t.equal(new Set(reply.calls().map(({ id }) => id)).size, 2, "ids differ");
      t.equal(reply.finish, "toolCalls");
      t.equal(reply.recorder.names().at(-1), "onDone");
    });
  }

  void t.test(`${name}: a reply cut at its length says so, and a torn tool call is left out`, async (t) => {
    const { provider } = rig(t);
    server.script("long", { text: "And so on and", finish: "length" });
    const cut = ask(provider, "long");
    await cut.recorder.untilEvent("onDone");
    t.equal(cut.finish, "length");
    server.script("torn", { toolCalls: twoCalls });
    server.failNext({ kind: "lengthInArguments", afterChars: 9 });
    const torn = ask(provider, "torn");
    await torn.recorder.untilEvent("onDone");
    t.equal(torn.finish, "length");
    t.same(torn.calls(), []);
  });

  void t.test(`${name}: replies at the same time never mix`, async (t) => {
    const { provider } = rig(t);
    const prompts = Array.from({ length: 20 }, (_, index) => `question ${index} of twenty`);
    for (const prompt of prompts) server.script(prompt, { text: `This is the answer to ${prompt}.` });
    const replies = prompts.map((prompt) => ask(provider, prompt));
    for (const [index, reply] of replies.entries()) {
      await reply.recorder.untilEvent("onDone");
      t.equal(reply.text(), `This is the answer to ${prompts[index]}.`);
      t.same(reply.recorder.faults, []);
    }
  });

  void t.test(`${name}: one connection serves replies one after another, warmed ahead`, async (t) => {
    const { provider } = rig(t);
    const before = server.connectionsSinceStart();
    await provider.warm();
    t.equal(server.connectionsSinceStart(), before + 1);
    server.script("again", { text: "Yes, again." });
    for (let turn = 0; turn < 10; turn++) {
      const reply = ask(provider, "again");
      await reply.recorder.untilEvent("onDone");
      if (turn % 2 === 0) reply.cancel(); // whoever tidies up after the last word costs nobody a connection
      await quietTurns(); // the answer's end frees its connection
    }
    t.equal(server.connectionsSinceStart(), before + 1);
    await Promise.all([provider.warm(), provider.warm()]);
    t.equal(server.connectionsSinceStart(), before + 1);
  });

  void t.test(
    `${name}: a cancelled reply is silent, its request is aborted, the next one works`,
    async (t) => {
      const { provider, clock } = rig(t);
      server.script("endless", { text: "word ".repeat(5_000) });
      const reply = ask(provider, "endless");
      await reply.recorder.untilEvent("onText", 3);
      reply.cancel();
      reply.cancel();
      await eventually(() => server.requests(reply.callId)[0]?.aborted === true);
      clock.advance(60_000);
      await quietTurns();
      t.same(reply.recorder.faults, []);
      server.script("again", { text: "Yes, again." });
      const next = ask(provider, "again");
      await next.recorder.untilEvent("onDone");
      t.equal(next.text(), "Yes, again.");
    },
  );

  void t.test(`${name}: cancelled from inside its own event, nothing more comes`, async (t) => {
    const { provider } = rig(t);
    server.script("inside", { text: "one two three four five", toolCalls: twoCalls });
    const onText = ask(provider, "inside");
    onText.onEachEvent = () => onText.cancel();
    await onText.recorder.untilEvent("onText");
    const onCall = ask(provider, "inside");
    onCall.onEachEvent = (event) => {
      if (event === "onToolCall") onCall.cancel();
    };
    await onCall.recorder.untilEvent("onToolCall");
    await quietTurns();
    t.equal(onText.recorder.events.length, 1);
    t.equal(onCall.calls().length, 1);
    t.same([...onText.recorder.faults, ...onCall.recorder.faults], []);
  });

  void t.test(`${name}: cancelled at once, it may not even be asked`, async (t) => {
    const { provider } = rig(t);
    server.script("never mind", { text: "I mind." });
    const reply = ask(provider, "never mind");
    reply.cancel();
    await quietTurns();
    t.same(reply.recorder.events, []);
    t.ok(server.requests(reply.callId).every(({ aborted }) => aborted));
  });

  for (const [refusal, code] of bench.faults.refusals) {
    void t.test(`${name}: ${inspect(refusal)} ends the reply with ${code}, asked once`, async (t) => {
      const { provider, errorsCounted } = rig(t);
      const asked = inChain && ASKED_AGAIN.has(code) ? 2 : 1;
      server.failNext({ kind: "status", ...refusal }, asked);
      const reply = ask(provider, "hello");
      const error = await reply.recorder.untilError();
      t.equal(error.code, code);
      t.match(error.detail, { status: refusal.status });
      if (refusal.status === 429) t.match(error.detail, { retryAfterMs: 3_000 });
      t.same(reply.recorder.names(), ["onError"]);
      t.same(reply.recorder.faults, []);
      t.same(errorsCounted, Array<string>(asked).fill(`${bench.name} ${code}`));
      t.equal(server.requests(reply.callId).length, asked, "no retry behind our back");
    });
  }

  for (const [fault, code] of [...BREAKS, ...bench.faults.streamErrors]) {
    void t.test(`${name}: ${inspect(fault)} ends the reply with ${code}, once`, async (t) => {
      const { provider } = rig(t);
      server.script("breaks", { text: "one two three four five six seven" });
      server.failNext(fault, inChain && fault.kind === "htmlBody" ? 2 : 1); // the one without a word
      const reply = ask(provider, "breaks");
      t.equal((await reply.recorder.untilError()).code, code);
      await quietTurns();
      t.same(reply.recorder.faults, []);
      t.equal(reply.recorder.values("onError").length, 1);
      t.notOk(reply.recorder.names().includes("onDone"));
    });
  }

  void t.test(
    `${name}: a connection reset before any answer is tried once more, then an error`,
    async (t) => {
      const { provider } = rig(t);
      server.script("reset", { text: "Fine." });
      server.failNext({ kind: "reset" });
      const once = ask(provider, "reset");
      await once.recorder.untilEvent("onDone");
      t.equal(once.text(), "Fine.");
      const asked = inChain ? 4 : 2;
      server.failNext({ kind: "reset" }, asked);
      const twice = ask(provider, "reset");
      t.equal((await twice.recorder.untilError()).code, "LLM_CONNECT_FAILED");
      t.equal(server.requests(twice.callId).length, asked);
    },
  );

  void t.test(`${name}: no first token in time is an error, whether the answer began or not`, async (t) => {
    const { provider, clock } = rig(t);
    server.failNext({ kind: "noAnswer" });
    const unanswered = ask(provider, "hello");
    const held = gate();
    server.script("held", { text: "Here.", gate: held.promise });
    const begun = ask(provider, "held");
    for (const { callId } of [unanswered, begun]) {
      await eventually(() => server.requests(callId).length === 1);
    }
    clock.advance((bench.firstTokenTimeoutMs ?? 5_000) - 100);
    await quietTurns();
    t.same([unanswered.recorder.events, begun.recorder.events], [[], []]);
    clock.advance(300);
    for (const reply of [unanswered, begun]) {
      const error = await reply.recorder.untilError();
      t.equal(error.code, "LLM_TIMEOUT");
      t.match(error.detail, { phase: "firstEvent" });
      t.same(reply.recorder.faults, []);
      await eventually(() => server.requests(reply.callId)[0]!.aborted);
    }
    held.open();
  });

  void t.test(`${name}: a reply that stalls is given up between two tokens`, async (t) => {
    const { provider, clock } = rig(t);
    server.script("stalls", { text: "one two three four five six seven" });
    server.failNext({ kind: "stall" });
    const reply = ask(provider, "stalls");
    await reply.recorder.untilEvent("onText");
    await advanceUntil(clock, () => reply.recorder.error !== null);
    const error = await reply.recorder.untilError();
    const waitedMs = reply.recorder.errorAtMs - reply.recorder.lastEventAtMs;
    t.ok(waitedMs >= 2_900 && waitedMs <= 3_200, `${waitedMs} ms`);
    t.equal(error.code, "LLM_TIMEOUT");
    t.match(error.detail, { phase: "betweenEvents" });
    await eventually(() => server.requests(reply.callId)[0]!.aborted);
  });

  void t.test(
    `${name}: more requests than allowed at once are refused by us, and counted off when done`,
    async (t) => {
      const { provider } = rig(t, { requestsMax: 2 });
      const held = gate();
      server.script("held", { text: "Here.", gate: held.promise });
      const running = [ask(provider, "held"), ask(provider, "held")];
      const refused = ask(provider, "held");
      t.equal((await refused.recorder.untilError()).code, "LLM_OVERFLOW");
      t.same(refused.recorder.faults, []);
      held.open();
      for (const reply of running) await reply.recorder.untilEvent("onDone");
      await quietTurns(); // the answers' ends arrive
      const next = ask(provider, "held");
      await next.recorder.untilEvent("onDone");
      t.equal(next.text(), "Here.");
    },
  );

  void t.test(`${name}: closing the provider ends replies with LLM_CLOSED`, async (t) => {
    const { provider } = rig(t);
    server.script("endless", { text: "word ".repeat(5_000) });
    const reply = ask(provider, "endless");
    await reply.recorder.untilEvent("onText");
    await reply.recorder.calling(() => provider.close());
    t.equal((await reply.recorder.untilError()).code, "LLM_CLOSED");
    const late = ask(provider, "endless");
    t.equal((await late.recorder.untilError()).code, "LLM_CLOSED");
    t.same([...reply.recorder.faults, ...late.recorder.faults], []);
    await provider.warm();
  });

  void t.test(
    `${name}: neither key nor conversation is in an error's open fields or a log line`,
    async (t) => {
      const { provider, log } = rig(t);
      const secret = "my card number is 4111";
      server.failNext({ kind: "status", status: 401, message: `Bad key ${PLANTED_KEY}: ${secret}` });
      const refused = await ask(provider, secret).recorder.untilError();

      const { pii, ...open } = refused.detail;
      t.match(pii, { providerMessage: /^.*Bad key \[key\]/ });
      const shown = inspect([refused.message, refused.stack, refused.cause, open], {
        depth: null,
        showHidden: true,
      });
      t.notMatch(shown + log.text, PLANTED_KEY);
      t.notMatch(shown + log.text, secret);
    },
  );

  void t.test(`${name}: a handler that throws disturbs no other reply`, async (t) => {
    const { provider, log } = rig(t);
    server.script("throws", { text: "one two three" });
    const throwing = ask(provider, "throws");
    throwing.onEachEvent = () => {
      throw new Error("handler's fault");
    };
    const other = ask(provider, "throws");
    await throwing.recorder.untilEvent("onDone");
    await other.recorder.untilEvent("onDone");
    t.equal(throwing.text(), "one two three");
    t.equal(other.text(), "one two three");
    t.match(log.lines[0], { level: "error", fields: { callId: throwing.callId } });
  });
}

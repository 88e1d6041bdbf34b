/** What goes over the wire to Anthropic, and what it may answer. */
import t, { type Test } from "tap";
import { quietTurns } from "../compliance-kit.js";
import type { LlmMessage } from "./provider.js";
import { type Answer, ended, read, rig } from "./wire.fixture.js";

const START = {
  type: "message_start",
  message: { id: "msg_1", role: "assistant", content: [], usage: { input_tokens: 7, output_tokens: 1 } },
};
const STOP = { type: "message_stop" };

function text(piece: string) {
  return { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: piece } };
}

function stopped(reason: string) {
  return { type: "message_delta", delta: { stop_reason: reason }, usage: { output_tokens: 3 } };
}

/** The events, named by their types. */
function stream(...events: readonly ({ readonly type: string } | string)[]): Answer {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const event of events) {
      response.write(
        typeof event === "string" ? event : `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`,
      );
    }
    response.end();
  };
}

const HI = stream(START, text("Hi"), stopped("end_turn"), STOP);

async function sent(t: Test, messages: readonly LlmMessage[]): Promise<Record<string, unknown>> {
  const { llm, bodies } = await rig(t, HI, "anthropic");
  await ended(read(llm, { model: "claude-haiku-4-5", messages }));
  return bodies[0]!;
}

async function answered(t: Test, answer: Answer): Promise<string[]> {
  const { llm } = await rig(t, answer, "anthropic");
  const lines = read(llm);
  await ended(lines);
  return lines;
}

void t.test("a conversation goes as turns: the system's apart, tools' words first in theirs", async (t) => {
  const { llm, bodies, headers, paths } = await rig(t, HI, "anthropic");
  const tool = { name: "book", description: "Books.", parameters: { properties: {} } };
  const lines = read(llm, {
    model: "claude-haiku-4-5",
    tools: [tool],
    messages: [
      { role: "system", content: "You answer the phone." },
      { role: "assistant", content: "Hello. " },
      { role: "user", content: "book it twice" },
      {
        role: "assistant",
        content: "",
        toolCalls: [
          { id: "toolu_1", name: "book", argumentsJson: '{"day":"monday"}' },
          { id: "toolu_2", name: "book", argumentsJson: "{nonsense" },
        ],
      },
      { role: "tool", toolCallId: "toolu_1", content: "ok" },
      { role: "tool", toolCallId: "toolu_2", content: "what?" },
      { role: "user", content: "and?" },
      { role: "system", content: "The caller has heard: Hello." },
    ],
  });
  await ended(lines);
  t.same(lines, ["text Hi", "done stop 7/3"]);
  t.strictSame(bodies[0], {
    model: "claude-haiku-4-5",
    stream: true,
    max_tokens: 300,
    system: "You answer the phone.",
    messages: [
      { role: "user", content: [{ type: "text", text: "(The call begins.)" }] },
      { role: "assistant", content: [{ type: "text", text: "Hello." }] },
      { role: "user", content: [{ type: "text", text: "book it twice" }] },
      {
        role: "assistant",
        content: [
          { type: "tool_use", id: "toolu_1", name: "book", input: { day: "monday" } },
          { type: "tool_use", id: "toolu_2", name: "book", input: {} },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "toolu_1", content: "ok" },
          { type: "tool_result", tool_use_id: "toolu_2", content: "what?" },
          { type: "text", text: "and?" },
          { type: "text", text: "The caller has heard: Hello." },
        ],
      },
    ],
    thinking: { type: "disabled" },
    metadata: { user_id: "call-1" },
    tools: [{ name: "book", description: "Books.", input_schema: { type: "object", properties: {} } }],
  });
  t.equal(paths[0], "/v1/messages");
  t.match(headers[0], { authorization: "Bearer a-key", "anthropic-version": "2026-10-21" });
});

void t.test("what it refuses is not sent: no words, and the last word ours", async (t) => {
  const spoken = (body: Record<string, unknown>): unknown =>
    (body["messages"] as { content: { text: string }[] }[]).map(({ content }) =>
      content.map(({ text }) => text).join("|"),
    );
  t.strictSame(spoken(await sent(t, [{ role: "system", content: "s" }])), ["(The caller says nothing.)"]);
  t.strictSame(
    spoken(
      await sent(t, [
        { role: "user", content: "hello" },
        { role: "assistant", content: "  " },
        { role: "user", content: "" },
        { role: "assistant", content: "Yes?" },
      ]),
    ),
    ["hello", "Yes?", "(The caller says nothing.)"],
  );
});

void t.test("pings, thinking and events of another time are passed over", async (t) => {
  const lines = await answered(
    t,
    stream(
      START,
      { type: "ping" },
      "event: ping\ndata: not even JSON\n\n",
      { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "hmm" } } as never,
      { type: "a_new_event" },
      text("Hi"),
      stopped("end_turn"),
      STOP,
    ),
  );
  t.same(lines, ["text Hi", "done stop 7/3"]);
});

void t.test("a tool's whole input may come with its beginning", async (t) => {
  const block = { type: "tool_use", id: "toolu_1", name: "book", input: { day: "monday" } };
  const lines = await answered(
    t,
    stream(
      START,
      { type: "content_block_start", index: 0, content_block: block } as never,
      stopped("tool_use"),
      STOP,
    ),
  );
  t.same(lines, ['tool book {"day":"monday"}', "done toolCalls 7/3"]);
});

const ends: readonly (readonly [string, readonly string[]])[] = [
  ["max_tokens", ["text Hi", "done length 7/3"]],
  ["model_context_window_exceeded", ["text Hi", "done length 7/3"]],
  ["stop_sequence", ["text Hi", "done stop 7/3"]],
  ["refusal", ["text Hi", "LLM_REJECTED"]],
];
for (const [reason, expected] of ends) {
  void t.test(`it stopped for ${reason}`, async (t) => {
    t.same(await answered(t, stream(START, text("Hi"), stopped(reason), STOP)), expected);
  });
}

void t.test("what was read from a cache counts as read", async (t) => {
  const usage = { input_tokens: 7, cache_read_input_tokens: 100, output_tokens: 1 };
  const lines = await answered(
    t,
    stream({ ...START, message: { usage } } as never, text("Hi"), stopped("end_turn"), STOP),
  );
  t.same(lines, ["text Hi", "done stop 107/3"]);
});

const errors: readonly (readonly [string, string])[] = [
  ["overloaded_error", "LLM_STREAM_BROKEN"],
  ["api_error", "LLM_STREAM_BROKEN"],
  ["rate_limit_error", "LLM_RATE_LIMITED"],
  ["invalid_request_error", "LLM_REJECTED"],
];
for (const [type, code] of errors) {
  void t.test(`${type} in mid-stream ends the reply with ${code}`, async (t) => {
    const error = { type: "error", error: { type, message: "Sorry." } };
    t.same(await answered(t, stream(START, text("Hi"), error, text("more"))), ["text Hi", code]);
  });
}

const refusals: readonly (readonly [number, string, string, string])[] = [
  [
    400,
    "invalid_request_error",
    "prompt is too long: 201000 tokens > 200000 maximum",
    "LLM_CONTEXT_TOO_LONG",
  ],
  [400, "invalid_request_error", "max_tokens: must be positive", "LLM_REJECTED"],
  [402, "billing_error", "No credit.", "LLM_UNAUTHORIZED"],
  [400, "invalid_request_error", "Your credit balance is too low.", "LLM_UNAUTHORIZED"],
  [529, "overloaded_error", "Overloaded", "LLM_CONNECT_FAILED"],
  [504, "timeout_error", "Too slow.", "LLM_TIMEOUT"],
];
for (const [status, type, message, code] of refusals) {
  void t.test(`${status} ${message} is ${code}`, async (t) => {
    const { llm } = await rig(
      t,
      (response) => {
        response.writeHead(status, { "content-type": "application/json", "request-id": "req_9" });
        response.end(JSON.stringify({ type: "error", error: { type, message } }));
      },
      "anthropic",
    );
    const details: unknown[] = [];
    const request = { callId: "c", model: "m", messages: [], tools: [], temperature: 0, maxOutputTokens: 1 };
    llm.generate(request, {
      onText() {},
      onToolCall() {},
      onDone() {},
      onError: ({ code, detail }) => details.push({ code, ...detail }),
    });
    while (details.length === 0) await quietTurns();
    t.match(details[0], {
      code,
      status,
      providerCode: type,
      requestId: "req_9",
      pii: { providerMessage: message },
    });
  });
}

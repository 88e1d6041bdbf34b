/** What goes over the wire to servers of OpenAI's protocol, and the answers of those not quite like Groq's. */
import type { ServerResponse } from "node:http";
import t from "tap";
import type { LlmName } from "#actors/tenants";
import { advanceUntil, eventually, quietTurns } from "../compliance-kit.js";
import { type Answer, ended, read, rig } from "./wire.fixture.js";

/** Answers with these chunks and, unless told otherwise, `[DONE]`. */
function stream(chunks: readonly unknown[], end: "done" | "open" = "done"): Answer {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const chunk of chunks) {
      response.write(typeof chunk === "string" ? chunk : `data: ${JSON.stringify(chunk)}\n\n`);
    }
    if (end === "done") response.end("data: [DONE]\n\n");
  };
}

function delta(fields: object, finish: string | null = null) {
  return { choices: [{ index: 0, delta: fields, finish_reason: finish }] };
}

void t.test("the request says what was asked, and nothing of the tenant", async (t) => {
  const { llm, bodies, headers } = await rig(t, stream([delta({ content: "Hi" }, "stop")]));
  const tool = { name: "book", description: "Books.", parameters: { type: "object", properties: {} } };
  await ended(
    read(llm, {
      model: "openai/gpt-oss-120b",
      tools: [tool],
      messages: [
        { role: "system", content: "You answer the phone." },
        { role: "user", content: "book it" },
        {
          role: "assistant",
          content: "",
          toolCalls: [{ id: "call_1", name: "book", argumentsJson: "{}" }],
        },
        { role: "tool", toolCallId: "call_1", content: "ok" },
      ],
    }),
  );
  t.same(bodies[0], {
    model: "openai/gpt-oss-120b",
    stream: true,
    stream_options: { include_usage: true },
    messages: [
      { role: "system", content: "You answer the phone." },
      { role: "user", content: "book it" },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "call_1", type: "function", function: { name: "book", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "call_1", content: "ok" },
    ],
    temperature: 0.4,
    max_completion_tokens: 300,
    user: "call-1",
    tools: [{ type: "function", function: tool }],
    reasoning_effort: "low",
  });
  t.equal(headers[0]?.authorization, "Bearer a-key");
  await ended(read(llm));
  t.notOk("tools" in bodies[1]!, "an empty list is refused by some servers");
  t.notOk("reasoning_effort" in bodies[1]!, "and so is an option the model does not have");
});

const HI = stream([delta({ content: "Hi" }, "stop")]);
const asked: Readonly<Record<string, readonly [LlmName, string, object]>> = {
  cerebras: [
    "cerebras",
    "gpt-oss-120b",
    { temperature: 0.4, max_completion_tokens: 300, user: "call-1", reasoning_effort: "low" },
  ],
  together: ["together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", { temperature: 0.4, max_tokens: 300 }],
  openai: [
    "openai",
    "gpt-4.1-mini",
    {
      stream_options: { include_usage: true, include_obfuscation: false },
      temperature: 0.4,
      max_completion_tokens: 300,
      user: "call-1",
    },
  ],
  "openai's thinking models": [
    "openai",
    "gpt-5-mini",
    {
      stream_options: { include_usage: true, include_obfuscation: false },
      max_completion_tokens: 300,
      user: "call-1",
      reasoning_effort: "low",
    },
  ],
  ollama: [
    "ollama",
    "qwen3:8b",
    {
      stream_options: { include_usage: true },
      temperature: 0.4,
      max_tokens: 300,
      reasoning_effort: "none",
    },
  ],
  vllm: [
    "vllm",
    "Qwen/Qwen3-8B",
    {
      stream_options: { include_usage: true },
      temperature: 0.4,
      max_tokens: 300,
      user: "call-1",
      chat_template_kwargs: { enable_thinking: false },
    },
  ],
};
for (const [who, [name, model, fields]] of Object.entries(asked)) {
  void t.test(`${who} is asked in its own form`, async (t) => {
    const { llm, bodies, headers, paths } = await rig(t, HI, name);
    await ended(read(llm, { model }));
    t.strictSame(bodies[0], {
      model,
      stream: true,
      messages: [{ role: "user", content: "hello" }],
      ...fields,
    });
    t.equal(paths[0], "/v1/chat/completions");
    t.equal(headers[0]?.authorization, name === "ollama" ? undefined : "Bearer a-key");
    await llm.warm();
    t.equal(paths[1], "/v1/models");
  });
}

void t.test("an address with a path of its own is the API's base", async (t) => {
  const { llm, paths } = await rig(t, HI, "vllm", "/team/llm/v1/");
  await ended(read(llm));
  t.same(paths, ["/team/llm/v1/chat/completions"]);
});

void t.test("usage is read in both places, and chunks without choices pass", async (t) => {
  const usage = { prompt_tokens: 7, completion_tokens: 3 };
  const answers = [
    stream([delta({ content: "a" }), { ...delta({}, "stop"), x_groq: { id: "r", usage } }]),
    stream([delta({ content: "a" }), delta({}, "stop"), { choices: [], usage }]),
    stream([{ choices: null }, { ...delta({ content: "a" }), usage: null }, { ...delta({}, "eos"), usage }]),
    stream([
      delta({ role: "assistant", content: null }),
      delta({ content: "a" }),
      { choices: [{ index: 0, finish_reason: "stop" }] },
    ]),
  ];
  let index = 0;
  const { llm } = await rig(t, (response, request) => answers[index++]!(response, request));
  const seen: string[][] = [];
  for (const _answer of answers) {
    const lines = read(llm);
    await ended(lines);
    seen.push(lines);
  }
  t.same(seen, [
    ["text a", "done stop 7/3"],
    ["text a", "done stop 7/3"],
    ["text a", "done stop 7/3"],
    ["text a", "done stop undefined/undefined"],
  ]);
});

void t.test("neither a role nor comments are a first token; thinking keeps the stream alive", async (t) => {
  const responses: ServerResponse[] = [];
  const { llm, clock } = await rig(t, (response, request) => {
    responses.push(response);
    stream([delta({ role: "assistant", content: "" }), ": keep-alive\n\n"], "open")(response, request);
  });
  const greeting = read(llm);
  await eventually(() => responses.length === 1);
  await quietTurns();
  clock.advance(4_800);
  responses[0]!.write(": keep-alive\n\n");
  await quietTurns();
  t.same(greeting, []);
  clock.advance(400);
  t.same(greeting, ["LLM_TIMEOUT"]);

  const thinking = read(llm);
  await eventually(() => responses.length === 2);
  for (let piece = 0; piece < 4; piece++) {
    responses[1]!.write(`data: ${JSON.stringify(delta({ reasoning: "hmm" }))}\n\n`);
    await quietTurns();
    await quietTurns();
    clock.advance(2_000);
  }
  t.same(thinking, []);
  responses[1]!.end(`data: ${JSON.stringify(delta({ content: "Yes." }, "stop"))}\n\ndata: [DONE]\n\n`);
  await ended(thinking);
  t.same(thinking, ["text Yes.", "done stop undefined/undefined"]);
});

void t.test("a server that says [DONE] and never ends loses its connection, after the reply", async (t) => {
  let closed = false;
  const { llm, clock } = await rig(t, (response, request) => {
    response.on("close", () => (closed = true));
    stream([delta({ content: "Hi" }, "stop"), "data: [DONE]\n\n"], "open")(response, request);
  });
  const lines = read(llm);
  await ended(lines);
  t.same(lines, ["text Hi", "done stop undefined/undefined"]);
  await quietTurns();
  t.equal(closed, false);
  const doneAtMs = clock.nowMs();
  await advanceUntil(clock, () => closed);
  t.ok(clock.nowMs() - doneAtMs >= 1_000);
  t.equal(lines.length, 2);
});

void t.test("a reply the server filtered is refused, not finished", async (t) => {
  const { llm } = await rig(t, stream([delta({ content: "I will" }), delta({}, "content_filter")]));
  const lines = read(llm);
  await ended(lines);
  t.same(lines, ["text I will", "LLM_REJECTED"]);
});

const malformed: readonly (readonly [string, readonly unknown[]])[] = [
  ["a chunk that is not JSON", ["data: {nonsense\n\n"]],
  ["a chunk that is no object", ["data: 7\n\n"]],
  ["a chunk without an end", [`data: ${"x".repeat(300_000)}`]],
  [
    "tool calls without an end",
    Array.from({ length: 40 }, (_, index) => delta({ tool_calls: [{ index, id: `c${index}` }] })),
  ],
];
for (const [what, chunks] of malformed) {
  void t.test(`${what} ends the reply with LLM_PROTOCOL_ERROR`, async (t) => {
    const { llm } = await rig(t, stream(chunks, "open"));
    const lines = read(llm);
    await ended(lines);
    t.same(lines, ["LLM_PROTOCOL_ERROR"]);
  });
}

void t.test("an error's body may be anything, and the wait may stand in its text", async (t) => {
  const answers: Answer[] = [
    (response) => response.writeHead(503).end("<html>busy</html>"),
    (response) => response.writeHead(500).end(),
    (response) =>
      response.writeHead(400, { "content-type": "application/json" }).end('{"error":"just text"}'),
    (response) => response.writeHead(502).end("x".repeat(1_000_000)),
    (response) => response.writeHead(204).end(),
    (response) => response.writeHead(429).end('{"error":{"message":"No.","code":"insufficient_quota"}}'),
  ];
  let index = 0;
  const { llm } = await rig(t, (response, request) => answers[index++]!(response, request));
  const seen: string[] = [];
  for (const _answer of answers) {
    const lines = read(llm);
    await ended(lines);
    seen.push(...lines);
  }
  t.same(seen, [
    "LLM_CONNECT_FAILED",
    "LLM_CONNECT_FAILED",
    "LLM_REJECTED",
    "LLM_CONNECT_FAILED",
    "LLM_PROTOCOL_ERROR",
    "LLM_UNAUTHORIZED",
  ]);
});

void t.test("the wait of a rate limit is read from the text when the header is missing", async (t) => {
  const message = "Rate limit reached for model. Please try again in 1m5.5s.";
  const { llm } = await rig(t, (response) => {
    response.writeHead(429, { "content-type": "application/json" });
    response.end(JSON.stringify({ error: { message, type: "tokens", code: "rate_limit_exceeded" } }));
  });
  const details: unknown[] = [];
  llm.generate(
    { callId: "c", model: "m", messages: [], tools: [], temperature: 0, maxOutputTokens: 1 },
    {
      onText: () => undefined,
      onToolCall: () => undefined,
      onDone: () => undefined,
      onError: ({ detail }) => details.push(detail),
    },
  );
  await eventually(() => details.length === 1);
  t.match(details[0], { retryAfterMs: 65_500, providerCode: "rate_limit_exceeded" });
});

void t.test("a warmed connection is used now and then, so that nobody on the way forgets it", async (t) => {
  const { llm, clock, counts } = await rig(t, (response) => response.end("{}"));
  await llm.warm();
  t.same(counts, { connections: 1, requests: 1 });
  clock.advance(50_200);
  await eventually(() => counts.requests === 2);
  t.equal(counts.connections, 1);
});

void t.test("an idle connection is kept although the server gives no hint how long it may be", async (t) => {
  const { llm, counts } = await rig(t, (response) => {
    // Set by hand, Node does not add `keep-alive: timeout=…` to it.
    response.setHeader("connection", "keep-alive");
    response.end("{}");
  });
  await llm.warm();
  for (let turn = 0; turn < 3; turn++) await quietTurns();
  await llm.warm();
  t.same(counts, { connections: 1, requests: 2 });
});

void t.test("warming does not wait for ever for a server that does not answer", async (t) => {
  const { llm, clock } = await rig(t, () => undefined);
  let warmed = false;
  void llm.warm().then(() => (warmed = true));
  await quietTurns();
  t.equal(warmed, false);
  await advanceUntil(clock, () => warmed);
});

/** What goes over the wire to the model, and the answers of servers that are not quite like Groq's. */
import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import t, { type Test } from "tap";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { KeptLog, advanceUntil, eventually, quietTurns } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { providerDefaults } from "../settings.js";
import type { LlmEvents, LlmProvider, LlmRequest } from "./provider.js";

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

interface Rig {
  readonly clock: VirtualClock;
  readonly llm: LlmProvider;
  readonly bodies: Record<string, unknown>[];
  readonly headers: IncomingMessage["headers"][];
  readonly counts: { connections: number; requests: number };
}

async function rig(t: Test, answer: Answer): Promise<Rig> {
  const bodies: Record<string, unknown>[] = [];
  const headers: IncomingMessage["headers"][] = [];
  const counts = { connections: 0, requests: 0 };
  const server = createServer((request, response) => {
    counts.requests += 1;
    headers.push(request.headers);
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      if (body !== "") bodies.push(JSON.parse(body) as Record<string, unknown>);
      answer(response, request);
    });
  });
  server.on("connection", () => (counts.connections += 1));
  server.keepAliveTimeout = 300_000;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const clock = new VirtualClock();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const providers = createProviders(
    {
      groq: { ...providerDefaults.groq, apiKey: "a-key", url },
    },
    { clock, random: seededRandom(1), log: new KeptLog() },
  );
  t.teardown(async () => {
    await providers.close();
    server.closeAllConnections();
    server.close();
  });
  return { clock, llm: providers.llm("groq"), bodies, headers, counts };
}

/** Events as one line each. */
function read(llm: LlmProvider, fields: Partial<LlmRequest> = {}): string[] {
  const lines: string[] = [];
  const events: LlmEvents = {
    onText: (delta) => lines.push(`text ${delta}`),
    onToolCall: ({ name, argumentsJson }) => lines.push(`tool ${name} ${argumentsJson}`),
    onDone: (finish, usage) => lines.push(`done ${finish} ${usage?.inputTokens}/${usage?.outputTokens}`),
    onError: ({ code }) => lines.push(code),
  };
  llm.generate(
    {
      callId: "call-1",
      model: "llama-3.3-70b-versatile",
      messages: [{ role: "user", content: "hello" }],
      tools: [],
      temperature: 0.4,
      maxOutputTokens: 300,
      ...fields,
    },
    events,
  );
  return lines;
}

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

async function ended(lines: readonly string[]): Promise<void> {
  await eventually(() => /^(done|LLM_)/.test(lines.at(-1) ?? ""));
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
  ];
  let index = 0;
  const { llm } = await rig(t, (response, request) => answers[index++]!(response, request));
  const seen: string[] = [];
  for (const _answer of answers.slice(0, 4)) {
    const lines = read(llm);
    await ended(lines);
    seen.push(...lines);
  }
  t.same(seen, ["LLM_CONNECT_FAILED", "LLM_CONNECT_FAILED", "LLM_REJECTED", "LLM_CONNECT_FAILED"]);
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

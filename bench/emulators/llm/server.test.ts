/** Chat completions on virtual time over real HTTP: framing, instants, refusals, scripts. */
import Groq from "groq-sdk";
import t from "tap";
import { type Clock, VirtualClock } from "#runtime/actor";
import { REQUEST, chunksOf, contentOf, groqStage } from "./chat.fixture.js";
import type { Scripted } from "./reply.js";

void t.test("a stream is the role, tokens, the finish with usage, and [DONE]", async (t) => {
  const { stream, emulators } = await groqStage(t);
  const body = await stream();
  t.ok(body.endsWith("data: [DONE]\n\n"));
  const chunks = chunksOf(body);
  t.match(chunks[0], {
    object: "chat.completion.chunk",
    model: REQUEST.model,
    choices: [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }],
    x_groq: { id: /^req_/ },
  });
  t.same(
    chunks.slice(1, -1).map((chunk) => chunk.choices[0]!.delta.content),
    ["Behind", " the", " house", "."],
  );
  t.match(chunks.at(-1), {
    choices: [{ delta: {}, finish_reason: "stop" }],
    x_groq: { usage: { completion_tokens: 4, prompt_tokens: Number, total_tokens: Number } },
  });
  t.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
  t.match(emulators.log.llm("call-1"), [
    {
      prompt: "Is there parking?",
      reply: "Behind the house.",
      status: 200,
      plannedFirstTokenMs: 200,
      aborted: false,
    },
  ]);
});

void t.test("the first token comes at its instant, the others at the token rate", async (t) => {
  const { post, clock, emulators } = await groqStage(t, { llmTokensPerSecond: 100 });
  const received = emulators.log.until((_entry, change) => change === "started");
  const answered = post({ ...REQUEST, stream: true });
  const entry = await received;
  clock.advance(199);
  t.match(entry, { firstTokenSentAtMs: null, reply: "" });
  clock.advance(1);
  t.match(entry, { firstTokenSentAtMs: clock.nowMs(), reply: "Behind" });
  clock.advance(9);
  t.match(entry, { reply: "Behind" });
  clock.advance(1);
  t.match(entry, { reply: "Behind the" });
  clock.advance(20);
  t.match(entry, { reply: "Behind the house.", doneAtMs: clock.nowMs() });
  t.equal(contentOf(chunksOf(await (await answered).text())), "Behind the house.");
});

void t.test("timers that fire late do not add up", async (t) => {
  const virtual = new VirtualClock();
  const late: Clock = {
    nowMs: () => virtual.nowMs(),
    unixMs: () => virtual.unixMs(),
    setTimer: (delayMs, callback) => virtual.setTimer(delayMs + 7, callback),
  };
  const { post, emulators } = await groqStage(t, { llmTokensPerSecond: 100, clock: late });
  const received = emulators.log.until((_entry, change) => change === "started");
  const answered = post({ ...REQUEST, stream: true });
  const entry = await received;
  // Four tokens, due 200, 210, 220 and 230 ms from here.
  virtual.advance(237);
  t.match(entry, { reply: "Behind the house." });
  await (await answered).text();
});

void t.test("include_usage adds a chunk without choices, and null to all others", async (t) => {
  const { stream } = await groqStage(t);
  const chunks = chunksOf(await stream({ stream_options: { include_usage: true } }));
  t.match(chunks.at(-1), { choices: [], usage: { total_tokens: Number } });
  t.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
});

void t.test("without stream the answer comes whole, when its last token would have come", async (t) => {
  const { post, clock, emulators } = await groqStage(t, { llmTokensPerSecond: 100 });
  const received = emulators.log.until((_entry, change) => change === "started");
  const answered = post(REQUEST);
  const entry = await received;
  clock.advance(239);
  t.match(entry, { doneAtMs: null });
  clock.advance(1);
  t.match(await (await answered).json(), {
    object: "chat.completion",
    choices: [{ message: { role: "assistant", content: "Behind the house." }, finish_reason: "stop" }],
    usage: { completion_tokens: 4 },
  });
});

void t.test("max_completion_tokens cuts the answer, and finish_reason says so", async (t) => {
  const { stream } = await groqStage(t);
  const chunks = chunksOf(await stream({ max_completion_tokens: 2 }));
  t.equal(contentOf(chunks), "Behind the");
  t.equal(chunks.at(-1)?.choices[0]?.finish_reason, "length");
});

void t.test("keys, paths and methods are checked; the models are listed", async (t) => {
  const { emulators, url, post, sdk } = await groqStage(t);
  const wrong = await post(REQUEST, { authorization: "Bearer other" });
  t.equal(wrong.status, 401);
  t.match(await wrong.json(), { error: { type: "invalid_request_error", code: "invalid_api_key" } });
  t.equal((await fetch(url)).status, 405);
  const lost = await fetch(`${emulators.urls.groq}/v1/chat`, { method: "POST", body: "{}" });
  t.equal(lost.status, 404);
  t.match(await lost.json(), { error: { code: "unknown_url" } });
  const models = await sdk.models.list();
  t.ok(models.data.some((model) => model.id === "llama-3.3-70b-versatile"));
  const stranger = new Groq({ apiKey: "other", baseURL: emulators.urls.groq, maxRetries: 0 });
  await t.rejects(stranger.models.list(), { message: /401/ });
});

void t.test("requests the vendor would not take are refused with its reasons", async (t) => {
  const { post } = await groqStage(t);
  const user = { role: "user", content: "hi" };
  const call = { id: "a", type: "function", function: { name: "f", arguments: "{}" } };
  const tool = { type: "function", function: { name: "f", parameters: { type: "object" } } };
  const bad: [object | string, number, string | RegExp][] = [
    ["{", 400, /not valid JSON/],
    [{ ...REQUEST, messages: [] }, 400, /messages/],
    [{ ...REQUEST, n: 2 }, 400, /'n'/],
    [{ ...REQUEST, frequency: 1 }, 400, "property 'frequency' is unsupported"],
    [{ ...REQUEST, stop: ["a", "b", "c", "d", "e"] }, 400, /stop/],
    [{ ...REQUEST, temperature: 3 }, 400, /temperature/],
    [{ ...REQUEST, tools: Array.from({ length: 129 }, () => tool) }, 400, /tools/],
    [{ ...REQUEST, tool_choice: "required" }, 400, /tools/],
    [{ ...REQUEST, tools: [tool], tool_choice: { type: "function", function: { name: "g" } } }, 400, /g/],
    [{ ...REQUEST, stream_options: { include_usage: true } }, 400, /stream/],
    [{ ...REQUEST, include_reasoning: true, reasoning_format: "raw" }, 400, /reasoning/],
    [
      { ...REQUEST, messages: [user, { role: "tool", tool_call_id: "a", content: "x" }] },
      400,
      /answers no call/,
    ],
    [
      { ...REQUEST, messages: [user, { role: "assistant", content: null, tool_calls: [call] }, user] },
      400,
      /without an answer/,
    ],
    [{ ...REQUEST, messages: [user, { role: "assistant", content: null }] }, 400, /required/],
    [{ ...REQUEST, model: "gemma2-9b-it" }, 400, /decommissioned/],
    [{ ...REQUEST, model: "gpt-4o" }, 404, /does not exist/],
    [{ ...REQUEST, messages: [{ role: "user", content: "x".repeat(5_000_000) }] }, 413, /Too Large/],
  ];
  for (const [body, status, message] of bad) {
    const response = await post(body);
    t.equal(response.status, status, String(message));
    t.match(await response.json(), { error: { message, type: String } });
  }
});

void t.test("over the rate comes 429 with retry-after, and every answer tells what is left", async (t) => {
  const limits = { llmRequestsPerMinute: 2, llmTokensPerMinute: 1_000 };
  const { post, stream, clock, emulators } = await groqStage(t, { limits });
  await stream({}, 20_000);
  await stream({}, 20_000);
  const refused = await post({ ...REQUEST, stream: true });
  t.equal(refused.status, 429);
  t.equal(refused.headers.get("retry-after"), "20");
  t.match(await refused.json(), {
    error: { type: "requests", code: "rate_limit_exceeded", message: /Please try again in 20\.000s/ },
  });
  clock.advance(20_000);
  const received = emulators.log.until((_entry, change) => change === "started");
  const answered = post({ ...REQUEST, stream: true });
  await received;
  clock.advance(1_000);
  const allowed = await answered;
  await allowed.text();
  t.equal(allowed.headers.get("retry-after"), null);
  t.equal(allowed.headers.get("x-ratelimit-limit-tokens"), "1000");
  t.ok(Number(allowed.headers.get("x-ratelimit-remaining-tokens")) < 1_000);
  t.match(allowed.headers.get("x-ratelimit-reset-tokens"), /^(\d+m)?[\d.]+m?s$/);
  const huge = { ...REQUEST, messages: [{ role: "user", content: "x".repeat(8_000) }] };
  t.equal((await post(huge)).status, 413);
});

void t.test("a client that goes away ends the stream, and the log says aborted", async (t) => {
  const { sdk, clock, emulators } = await groqStage(t, { llmTokensPerSecond: 10 });
  const stream = sdk.chat.completions.create({ ...REQUEST, stream: true });
  const received = emulators.log.until((_entry, change) => change === "started");
  const entry = await received;
  clock.advance(200);
  const aborted = emulators.log.until((_entry, change) => change === "aborted");
  let heard = "";
  for await (const chunk of await stream) {
    heard += chunk.choices[0]?.delta.content ?? "";
    if (heard !== "") break;
  }
  t.equal(heard, "Behind");
  t.equal(await aborted, entry);
  t.match(entry, { aborted: true, reply: "Behind" });
  t.same(emulators.groq.live, []);
});

void t.test("scripts answer in place of the rules: the latest that matches, so many times", async (t) => {
  const { stream, emulators } = await groqStage(t);
  const say = async (): Promise<string> => contentOf(chunksOf(await stream()));
  const all = emulators.groq.script(/./, { text: "Anything." });
  emulators.groq.script(/parking/i, { text: "Once." }, { times: 1 });
  emulators.groq.script(
    (request) => request.user === "call-2",
    () => ({ text: "Other call." }),
  );
  t.equal(await say(), "Once.");
  t.equal(await say(), "Anything.");
  t.equal(contentOf(chunksOf(await stream({ user: "call-2" }))), "Other call.");
  t.equal(all.hits, 1);
  all.remove();
  t.equal(await say(), "Behind the house.");
  emulators.groq.clearScripts();
});

void t.test("a gate holds the stream until the test opens it, pauses take their time", async (t) => {
  const { post, clock, emulators } = await groqStage(t);
  let open = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  emulators.groq.script(/./, {
    parts: [{ text: "One" }, { gate }, { text: " two" }, { pauseMs: 500 }, { text: " three" }],
  });
  const received = emulators.log.until((_entry, change) => change === "started");
  const answered = post({ ...REQUEST, stream: true });
  const entry = await received;
  clock.advance(60_000);
  t.match(entry, { reply: "One" });
  open();
  await gate;
  await Promise.resolve();
  clock.advance(499);
  t.match(entry, { reply: "One two" });
  clock.advance(5);
  t.match(entry, { reply: "One two three" });
  t.equal(contentOf(chunksOf(await (await answered).text())), "One two three");
});

void t.test("tool calls come in fragments by index, and the SDK can put them together", async (t) => {
  const { sdk, clock, emulators } = await groqStage(t);
  const scripted: Scripted = {
    text: "One moment.",
    toolCalls: [
      { name: "book", arguments: { day: "2026-03-06", guests: 4 }, id: "call_a" },
      { name: "weather", arguments: "" },
    ],
  };
  emulators.groq.script(/./, scripted);
  const tools = ["book", "weather"].map((name) => ({ type: "function" as const, function: { name } }));
  const answered = sdk.chat.completions.create({ ...REQUEST, tools, stream: true });
  const entry = await emulators.log.until((_entry, change) => change === "started");
  clock.advance(1_000);
  const calls: { id: string; name: string; args: string; fragments: number }[] = [];
  let finish: string | null = null;
  for await (const chunk of await answered) {
    const choice = chunk.choices[0]!;
    finish = choice.finish_reason ?? finish;
    for (const fragment of choice.delta.tool_calls ?? []) {
      const call = (calls[fragment.index] ??= { id: "", name: "", args: "", fragments: 0 });
      call.id += fragment.id ?? "";
      call.name += fragment.function?.name ?? "";
      call.args += fragment.function?.arguments ?? "";
      call.fragments += 1;
    }
  }
  t.match(calls, [
    { id: "call_a", name: "book", args: '{"day":"2026-03-06","guests":4}' },
    { id: /^call_/, name: "weather", args: "" },
  ]);
  t.ok(calls[0]!.fragments > 2);
  t.equal(finish, "tool_calls");
  t.match(entry, { reply: "One moment.", toolCalls: ["book", "weather"] });
});

void t.test("connections are kept for further requests", async (t) => {
  const { stream, emulators } = await groqStage(t);
  for (let request = 0; request < 5; request++) await stream();
  t.equal(emulators.groq.requestCount, 5);
  // fetch may open a second before the first is free again.
  t.ok(emulators.groq.connectionCount <= 2);
});

void t.test("closing ends what is on its way", async (t) => {
  const { post, clock, emulators } = await groqStage(t);
  const received = emulators.log.until((_entry, change) => change === "started");
  const answered = post({ ...REQUEST, stream: true });
  await received;
  clock.advance(200);
  const response = await answered;
  const failed = t.rejects(response.text());
  await emulators.close();
  await failed;
});

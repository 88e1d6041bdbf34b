/** What sets the vendors apart on the wire; Anthropic's own SDK as its reader. */
import Anthropic, { AuthenticationError, RateLimitError } from "@anthropic-ai/sdk";
import t, { type Test } from "tap";
import { exactly } from "../distribution.js";
import { type Emulators, startEmulators } from "../emulators.js";
import { EMULATOR_API_KEY } from "../options.js";
import { type Chunk, chunksOf, contentOf } from "./chat.fixture.js";
import { MODEL_VENDORS, type ModelVendor } from "./vendors.js";

const ASKED = {
  messages: [
    { role: "system", content: "You are Ava.\nParking: Behind the house." },
    { role: "user", content: "Is there parking?" },
  ],
  stream: true,
};

async function start(t: Test): Promise<Emulators> {
  const emulators = await startEmulators({
    latency: { llmFirstTokenMs: exactly(1) },
    llmTokensPerSecond: 10_000,
  });
  t.teardown(() => emulators.close());
  return emulators;
}

async function post({ urls }: Emulators, vendor: ModelVendor, body: object): Promise<Response> {
  return fetch(`${urls[vendor]}/v1/chat/completions`, {
    method: "POST",
    headers: vendor === "ollama" ? {} : { authorization: `Bearer ${EMULATOR_API_KEY}` },
    body: JSON.stringify({ ...ASKED, ...body }),
  });
}

async function chunks(emulators: Emulators, vendor: ModelVendor, body: object): Promise<Chunk[]> {
  const response = await post(emulators, vendor, body);
  const text = await response.text();
  if (response.status !== 200) throw new Error(text);
  return chunksOf(text);
}

async function refusal(emulators: Emulators, vendor: ModelVendor, body: object): Promise<string> {
  const response = await post(emulators, vendor, body);
  const { error } = (await response.json()) as { error: { message: string } };
  return `${response.status} ${error.message}`;
}

void t.test("each has a server of its own, with its own faults, scripts and counts", async (t) => {
  const emulators = await start(t);
  t.equal(new Set(Object.values(emulators.urls)).size, Object.keys(emulators.urls).length);
  emulators.models.cerebras.faults.arm({ kind: "status", status: 503 });
  emulators.models.openai.script(/parking/i, { text: "Ask outside." });
  const asked = { model: "gpt-oss-120b" };
  t.match(await refusal(emulators, "cerebras", asked), /^503/);
  t.equal(contentOf(await chunks(emulators, "cerebras", asked)), "Behind the house.");
  t.equal(contentOf(await chunks(emulators, "openai", { model: "gpt-4.1-mini" })), "Ask outside.");
  t.same(
    MODEL_VENDORS.map((vendor) => emulators.models[vendor].requestCount),
    MODEL_VENDORS.map((vendor) => ({ cerebras: 2, openai: 1 })[vendor as string] ?? 0),
  );
  t.same(
    emulators.log.llm().map(({ provider }) => provider),
    ["cerebras", "cerebras", "openai"],
  );
});

void t.test("Cerebras tells usage unasked, in the last chunk", async (t) => {
  const all = await chunks(await start(t), "cerebras", { model: "gpt-oss-120b" });
  t.match(all.at(-1), { usage: { completion_tokens: 4 }, time_info: { total_time: Number } });
  t.notOk(all.slice(0, -1).some(({ usage }) => usage));
});

void t.test(
  "Together says eos, repeats the role, and knows neither user nor the new limit's name",
  async (t) => {
    const emulators = await start(t);
    const model = "meta-llama/Llama-3.3-70B-Instruct-Turbo";
    const all = await chunks(emulators, "together", { model, max_tokens: 100 });
    t.equal(all.at(-1)?.choices[0]?.finish_reason, "eos");
    t.ok(all.slice(0, -1).every(({ choices }) => choices[0]?.delta.role === "assistant"));
    t.match(await refusal(emulators, "together", { model, user: "c" }), /^400 .*'user'/);
    t.match(await refusal(emulators, "together", { model, max_completion_tokens: 9 }), /^400/);
  },
);

void t.test("OpenAI pads its chunks unless told not to; its thinking models are particular", async (t) => {
  const emulators = await start(t);
  const padded = await chunks(emulators, "openai", { model: "gpt-4.1-mini" });
  t.ok(padded.every((chunk) => "obfuscation" in chunk));
  const options = { include_usage: true, include_obfuscation: false };
  const plain = await chunks(emulators, "openai", { model: "gpt-4.1-mini", stream_options: options });
  t.notOk(plain.some((chunk) => "obfuscation" in chunk));
  t.match(plain.at(-1), { choices: [], usage: { completion_tokens: 4 } });
  t.match(
    await refusal(emulators, "openai", { model: "gpt-5-mini", max_tokens: 9 }),
    /^400 .*max_completion/,
  );
  t.match(
    await refusal(emulators, "openai", { model: "gpt-5-mini", temperature: 0.4 }),
    /^400 .*temperature/,
  );
});

void t.test(
  "Ollama wants no key, writes tool calls whole, and passes over what it does not know",
  async (t) => {
    const emulators = await start(t);
    const call = { name: "book", arguments: { day: "monday", time: "eight in the evening" } };
    emulators.models.ollama.script(/parking/i, { toolCalls: [call] });
    const all = await chunks(emulators, "ollama", { model: "qwen3:8b", whatever: 1 });
    const fragments = all.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? []);
    t.equal(fragments.length, 1);
    t.same(JSON.parse(fragments[0]!.function.arguments!), call.arguments);
    const { headers } = await post(emulators, "vllm", { model: "Qwen/Qwen3-8B", guided_json: {} });
    t.equal(headers.get("x-ratelimit-limit-requests"), null);
  },
);

void t.test("Anthropic's SDK reads a streamed message: text, then a tool's use", async (t) => {
  const { sdk, emulators } = await messages(t);
  emulators.models.anthropic.script(/book/, {
    text: "One moment.",
    toolCalls: [{ name: "book", arguments: { day: "monday" } }],
  });
  const stream = sdk.messages.stream({ ...MESSAGE, messages: [{ role: "user", content: "book it" }] });
  const seen: string[] = [];
  stream.on("streamEvent", ({ type }) => seen.push(type));
  const message = await stream.finalMessage();
  t.match(message.content, [
    { type: "text", text: "One moment." },
    { type: "tool_use", name: "book", input: { day: "monday" } },
  ]);
  t.match(message, { stop_reason: "tool_use", usage: { input_tokens: Number, output_tokens: Number } });
  t.equal(seen[0], "message_start");
  t.same(seen.slice(-2), ["message_delta", "message_stop"]);
  t.equal(seen.filter((type) => type === "content_block_start").length, 2);
  t.match(await sdk.messages.create({ ...MESSAGE, stream: false }), {
    content: [{ type: "text", text: "Behind the house." }],
    stop_reason: "end_turn",
  });
});

void t.test("Anthropic's SDK knows its refusals", async (t) => {
  const { sdk, emulators } = await messages(t);
  const { faults } = emulators.models.anthropic;
  const wrongKey = new Anthropic({ apiKey: "wrong", baseURL: emulators.urls.anthropic, maxRetries: 0 });
  await t.rejects(wrongKey.messages.create(MESSAGE), AuthenticationError);
  faults.arm({ kind: "status", status: 429, retryAfterSeconds: 7 });
  const limited = (await sdk.messages.create(MESSAGE).catch((error: unknown) => error)) as InstanceType<
    typeof RateLimitError
  >;
  t.ok(limited instanceof RateLimitError);
  t.equal(limited.headers.get("retry-after"), "7");
  t.match(limited.error, { type: "error", error: { type: "rate_limit_error" } });
  faults.arm({ kind: "status", status: 529 });
  await t.rejects(sdk.messages.create(MESSAGE), { message: /^529/ });
  faults.arm({ kind: "streamError", form: "event", afterTokens: 1 });
  await t.rejects(sdk.messages.stream(MESSAGE).finalMessage(), { message: /overloaded_error/ });
  for (const [messages, problem] of WRONG) {
    await t.rejects(sdk.messages.create({ ...MESSAGE, messages }), { message: problem });
  }
});

const MESSAGE = {
  model: "claude-haiku-4-5",
  max_tokens: 100,
  system: "You are Ava.\nParking: Behind the house.",
  messages: [{ role: "user" as const, content: "Is there parking?" }],
};

const USE = { type: "tool_use" as const, id: "toolu_1", name: "book", input: {} };
const WRONG: readonly (readonly [Anthropic.MessageParam[], RegExp])[] = [
  [[{ role: "assistant", content: "Hello" }], /first message must use/],
  [
    [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
    ],
    /prefill/,
  ],
  [[{ role: "user", content: [{ type: "text", text: " " }] }], /non-empty/],
  [
    [
      { role: "user", content: "a" },
      { role: "assistant", content: [USE] },
      { role: "user", content: "b" },
    ],
    /without `tool_result`/,
  ],
  [
    [{ role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_9" }] }],
    /unexpected `tool_use_id`/,
  ],
];

async function messages(t: Test) {
  const emulators = await start(t);
  const baseURL = emulators.urls.anthropic;
  return { emulators, sdk: new Anthropic({ apiKey: EMULATOR_API_KEY, baseURL, maxRetries: 0 }) };
}

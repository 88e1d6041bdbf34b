/** Every fault of a chat completion, as a client sees it on the wire. */
import { connect } from "node:net";
import t from "tap";
import { EMULATOR_API_KEY } from "../options.js";
import { type Chunk, type GroqStage, REQUEST, chunksOf, contentOf, groqStage } from "./chat.fixture.js";
import type { ModelFault } from "./faults.js";

const TOOLS = ["book", "weather"].map((name) => ({ type: "function", function: { name } }));

/** A stage whose next request is befallen by `faults` and answered with two tool calls, when asked for. */
async function befallen(t: Parameters<typeof groqStage>[0], ...faults: ModelFault[]): Promise<GroqStage> {
  const stage = await groqStage(t);
  for (const fault of faults) stage.emulators.groq.faults.arm(fault);
  stage.emulators.groq.script(/book/, {
    toolCalls: [
      { name: "book", arguments: { day: "mon" }, id: "call_a" },
      { name: "weather", arguments: {}, id: "call_b" },
    ],
  });
  return stage;
}

const BOOK = { tools: TOOLS, messages: [{ role: "user", content: "book" }] };

const fragments = (chunks: readonly Chunk[]) =>
  chunks.flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? []);

void t.test("refusals with any status, and their bodies", async (t) => {
  const { post, emulators } = await groqStage(t);
  const refusals: [ModelFault & { kind: "status" }, object][] = [
    [
      { kind: "status", status: 400, failedGeneration: "<function=book>" },
      { code: "tool_use_failed", failed_generation: "<function=book>" },
    ],
    [{ kind: "status", status: 401 }, { code: "invalid_api_key" }],
    [{ kind: "status", status: 403 }, { type: "permissions_error" }],
    [{ kind: "status", status: 413 }, { code: "rate_limit_exceeded" }],
    [{ kind: "status", status: 422 }, {}],
    [{ kind: "status", status: 424 }, { code: "failed_dependency" }],
    [
      { kind: "status", status: 429 },
      { code: "rate_limit_exceeded", message: /try again in 2s/ },
    ],
    [{ kind: "status", status: 498 }, { code: "capacity_exceeded" }],
    [{ kind: "status", status: 500 }, {}],
    [{ kind: "status", status: 502 }, {}],
    [{ kind: "status", status: 503, message: "Over capacity" }, { message: "Over capacity" }],
  ];
  for (const [fault, error] of refusals) {
    emulators.groq.faults.arm(fault);
    const response = await post({ ...REQUEST, stream: true });
    t.equal(response.status, fault.status);
    t.equal(response.headers.get("retry-after"), fault.status === 429 ? "2" : null);
    t.match(await response.json(), { error: { message: String, type: String, ...error } });
  }
  t.same(
    emulators.log.llm().map((entry) => entry.status),
    refusals.map(([fault]) => fault.status),
  );
});

void t.test("only the requests a condition names are befallen", async (t) => {
  const { post, stream, emulators } = await groqStage(t);
  emulators.groq.faults.arm(
    { kind: "status", status: 503 },
    { count: 5, when: ({ callId }) => callId === "bad" },
  );
  t.equal(contentOf(chunksOf(await stream())), "Behind the house.");
  t.equal((await post({ ...REQUEST, user: "bad" })).status, 503);
  emulators.groq.faults.clear();
  t.match(await stream({ user: "bad" }), /house/);
});

void t.test("a connection that is reset, before the answer or in its middle", async (t) => {
  const { post, clock, emulators } = await befallen(t, { kind: "reset" });
  await t.rejects(post(REQUEST), { cause: { code: "ECONNRESET" } });
  emulators.groq.faults.arm({ kind: "cut", afterTokens: 2 });
  const received = emulators.log.until((_entry, change) => change === "started");
  const answered = post({ ...REQUEST, stream: true });
  await received;
  clock.advance(203);
  const reader = (await answered).body!.getReader();
  let text = "";
  while (!text.includes(" the")) text += Buffer.from((await reader.read()).value ?? []).toString("utf8");
  clock.advance(10);
  await t.rejects(reader.read(), { message: "terminated" });
  t.match(emulators.log.llm().at(-1), { reply: "Behind the" });
});

void t.test("no answer at all, until the client gives up", async (t) => {
  const { url, clock, emulators } = await befallen(t, { kind: "noAnswer" });
  const aborter = new AbortController();
  const received = emulators.log.until((_entry, change) => change === "started");
  const answered = fetch(url, {
    method: "POST",
    signal: aborter.signal,
    headers: { authorization: `Bearer ${EMULATOR_API_KEY}` },
    body: JSON.stringify(REQUEST),
  });
  await received;
  clock.advance(60_000);
  const aborted = emulators.log.until((_entry, change) => change === "aborted");
  aborter.abort();
  await t.rejects(answered, { name: "AbortError" });
  await aborted;
});

void t.test("a first token as late as wanted", async (t) => {
  const { post, clock, emulators } = await befallen(t, { kind: "firstToken", delayMs: 3_000 });
  const received = emulators.log.until((_entry, change) => change === "started");
  const answered = post({ ...REQUEST, stream: true });
  const entry = await received;
  clock.advance(2_999);
  t.match(entry, { plannedFirstTokenMs: 3_000, firstTokenSentAtMs: null });
  clock.advance(1);
  t.match(entry, { firstTokenSentAtMs: clock.nowMs() });
  clock.advance(1_000);
  await (await answered).text();
});

void t.test("a stall in mid-stream ends after its time, or when the test says so", async (t) => {
  const { post, clock, emulators } = await befallen(t, { kind: "stall", afterTokens: 2, forMs: 5_000 });
  const received = emulators.log.until((_entry, change) => change === "started");
  const answered = post({ ...REQUEST, stream: true });
  const entry = await received;
  clock.advance(5_100);
  t.match(entry, { reply: "Behind the" });
  clock.advance(200);
  t.match(entry, { reply: "Behind the house." });
  t.equal(contentOf(chunksOf(await (await answered).text())), "Behind the house.");

  emulators.groq.faults.arm({ kind: "stall", afterTokens: 1 });
  const again = emulators.log.until((_entry, change) => change === "started");
  const second = post({ ...REQUEST, stream: true });
  const stalled = await again;
  clock.advance(600_000);
  t.match(stalled, { reply: "Behind" });
  emulators.groq.live[0]!.resume();
  clock.advance(10);
  t.equal(contentOf(chunksOf(await (await second).text())), "Behind the house.");
});

void t.test("a stream without [DONE], and one without an end", async (t) => {
  const { stream, emulators } = await befallen(t, { kind: "missingDone" });
  const undone = await stream();
  t.notMatch(undone, /DONE/);
  t.equal(chunksOf(undone).at(-1)?.choices[0]?.finish_reason, "stop");
  emulators.groq.faults.arm({ kind: "endEarly", afterTokens: 2 });
  const early = await stream();
  t.notMatch(early, /DONE/);
  t.equal(contentOf(chunksOf(early)), "Behind the");
  t.ok(chunksOf(early).every((chunk) => chunk.choices[0]?.finish_reason === null));
});

void t.test("multi-byte characters are split between reads", async (t) => {
  const { emulators, clock, sdk } = await befallen(t, { kind: "splitUtf8" });
  emulators.groq.script(/./, { text: "Café Señor – naïve" });
  const body = JSON.stringify({ ...REQUEST, stream: true });
  const { port, hostname } = new URL(emulators.urls.groq);
  const socket = connect(Number(port), hostname);
  socket.setNoDelay(true);
  const received = emulators.log.until((_entry, change) => change === "started");
  socket.write(
    `POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${EMULATOR_API_KEY}\r\n` +
      `connection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  await received;
  const reads: Buffer[] = [];
  socket.on("data", (bytes: Buffer) => {
    reads.push(bytes);
  });
  const ended = new Promise((resolve) => socket.on("end", resolve));
  for (let ms = 0; ms < 300; ms++) {
    clock.advance(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await ended;
  socket.destroy();
  // Decoded by itself, at least one read ends in half a character.
  t.ok(reads.some((bytes) => bytes.toString("utf8").includes("\ufffd")));

  emulators.groq.faults.arm({ kind: "splitUtf8" });
  const answered = sdk.chat.completions.create({ ...REQUEST, stream: true });
  await emulators.log.until((_entry, change) => change === "started");
  clock.advance(1_000);
  let heard = "";
  for await (const chunk of await answered) heard += chunk.choices[0]?.delta.content ?? "";
  t.equal(heard, "Café Señor – naïve");
});

void t.test("tool calls in one fragment, or in one character at a time", async (t) => {
  const { stream, emulators } = await befallen(t, { kind: "oneCharArguments" });
  const single = fragments(chunksOf(await stream(BOOK)));
  t.ok(single.every((fragment) => (fragment.function.arguments ?? "").length <= 1));
  t.equal(
    single
      .filter(({ index }) => index === 0)
      .map(({ function: f }) => f.arguments)
      .join(""),
    '{"day":"mon"}',
  );
  emulators.groq.faults.arm({ kind: "wholeToolCalls" });
  t.match(fragments(chunksOf(await stream(BOOK))), [
    { index: 0, id: "call_a", function: { name: "book", arguments: '{"day":"mon"}' } },
    { index: 1, id: "call_b", function: { name: "weather", arguments: "{}" } },
  ]);
});

void t.test("tool calls as other servers write them: repeated names, no index, finish stop", async (t) => {
  const { stream, emulators } = await befallen(t, { kind: "repeatedNames" });
  const repeated = fragments(chunksOf(await stream(BOOK)));
  t.ok(repeated.every((fragment) => fragment.id !== undefined && fragment.function.name !== undefined));
  emulators.groq.faults.arm({ kind: "noToolIndex" });
  const bare = fragments(chunksOf(await stream(BOOK)));
  t.ok(bare.every((fragment) => fragment.index === undefined));
  t.same(
    bare.flatMap(({ id }) => id ?? []),
    ["call_a", "call_b"],
  );
  emulators.groq.faults.arm({ kind: "stopDespiteTools" });
  const chunks = chunksOf(await stream(BOOK));
  t.ok(fragments(chunks).length > 0);
  t.equal(chunks.at(-1)?.choices[0]?.finish_reason, "stop");
});

void t.test("finish_reason length inside tool arguments", async (t) => {
  const { stream } = await befallen(t, { kind: "lengthInArguments", afterChars: 7 });
  const chunks = chunksOf(await stream(BOOK));
  t.equal(
    fragments(chunks)
      .map(({ function: f }) => f.arguments)
      .join(""),
    '{"day":',
  );
  t.equal(chunks.at(-1)?.choices[0]?.finish_reason, "length");
});

void t.test("errors that come in the stream, in each of their forms", async (t) => {
  const { stream, sdk, clock, emulators } = await befallen(t, {
    kind: "streamError",
    afterTokens: 1,
    form: "data",
  });
  const data = await stream();
  t.match(data, /Behind/);
  t.match(data, /data: \{"error":\{.*"code":"tool_use_failed"/);
  t.notMatch(data, /DONE/);
  emulators.groq.faults.arm({ kind: "streamError", afterTokens: 0, form: "event", code: "overloaded" });
  t.match(await stream(), /event: error\ndata: \{"error":.*"code":"overloaded"/);
  emulators.groq.faults.arm({ kind: "streamError", afterTokens: 1, form: "xGroq", message: "lost" });
  t.equal(chunksOf(await stream()).at(-1)?.x_groq?.error, "lost");

  emulators.groq.faults.arm({ kind: "streamError", afterTokens: 1, form: "data" });
  const answered = sdk.chat.completions.create({ ...REQUEST, stream: true });
  await emulators.log.until((_entry, change) => change === "started");
  clock.advance(1_000);
  await t.rejects(
    async () => {
      for await (const chunk of await answered) void chunk;
    },
    { message: /tool_use_failed|Failed to call/ },
  );
});

void t.test("loose framing: CRLF and comments between events", async (t) => {
  const { stream, sdk, clock, emulators } = await befallen(t, { kind: "looseFraming" });
  const body = await stream();
  t.match(body, /: keep-alive\r\n\r\ndata: \{/);
  t.equal(contentOf(chunksOf(body)), "Behind the house.");
  emulators.groq.faults.arm({ kind: "looseFraming" });
  const answered = sdk.chat.completions.create({ ...REQUEST, stream: true });
  await emulators.log.until((_entry, change) => change === "started");
  clock.advance(1_000);
  let heard = "";
  for await (const chunk of await answered) heard += chunk.choices[0]?.delta.content ?? "";
  t.equal(heard, "Behind the house.");
});

void t.test("a proxy's page in place of an answer", async (t) => {
  const { post } = await befallen(t, { kind: "htmlBody" });
  const response = await post({ ...REQUEST, stream: true });
  t.match([response.status, response.headers.get("content-type")], [200, "text/html"]);
  t.match(await response.text(), /<html>/);
});

void t.test("a script's own faults befall its answers alone", async (t) => {
  const { stream, emulators } = await groqStage(t);
  emulators.groq.script(/parking/, { text: "Yes.", faults: [{ kind: "missingDone" }] });
  t.notMatch(await stream(), /DONE/);
  t.match(await stream({ messages: [{ role: "user", content: "Hello" }] }), /DONE/);
});

/** Speech over plain HTTP: raw, WAV, and as events. */
import t from "tap";
import type { Message } from "../probe.fixture.js";
import { HEADERS, MULAW, audioOf, frame, heardIn, voiceStage } from "./voice.fixture.js";

function body(fields: object = {}): string {
  const {
    context_id: _id,
    continue: _more,
    max_buffer_delay_ms: _delay,
    ...rest
  } = frame("", "Good morning, Lucia.", fields) as Record<string, unknown>;
  return JSON.stringify(rest);
}

void t.test("bytes come chunked, the first of them after its delay", async (t) => {
  const { emulators, clock } = await voiceStage(t);
  const origin = emulators.urls.cartesia.replace("ws:", "http:");
  const started = emulators.log.until((_entry, change) => change === "started");
  const answered = fetch(`${origin}/tts/bytes`, { method: "POST", headers: HEADERS, body: body() });
  const entry = await started;
  clock.advance(40);
  t.match(entry, { firstAudioSentAtMs: clock.nowMs() });
  clock.advance(1_000);
  const response = await answered;
  t.equal(response.headers.get("content-type"), "audio/pcm");
  t.equal(heardIn(Buffer.from(await response.arrayBuffer())), "Good morning, Lucia.");
});

void t.test("a WAV has its header before the same audio", async (t) => {
  const { emulators, clock } = await voiceStage(t);
  const origin = emulators.urls.cartesia.replace("ws:", "http:");
  const format = { container: "wav", encoding: "pcm_s16le", sample_rate: 16_000 };
  const started = emulators.log.until((_entry, change) => change === "started");
  const answered = fetch(`${origin}/tts/bytes`, {
    method: "POST",
    headers: HEADERS,
    body: body({ output_format: format }),
  });
  await started;
  clock.advance(1_000);
  const bytes = Buffer.from(await (await answered).arrayBuffer());
  t.equal(bytes.toString("latin1", 0, 4), "RIFF");
  t.equal(bytes.readUInt32LE(24), 16_000);
  t.equal(
    heardIn(bytes.subarray(44), { container: "raw", encoding: "pcm_s16le", sample_rate: 16_000 }),
    "Good morning, Lucia.",
  );
});

void t.test("events carry the same messages as the socket", async (t) => {
  const { emulators, clock } = await voiceStage(t);
  const origin = emulators.urls.cartesia.replace("ws:", "http:");
  const started = emulators.log.until((_entry, change) => change === "started");
  const answered = fetch(`${origin}/tts/sse`, {
    method: "POST",
    headers: HEADERS,
    body: body({ add_timestamps: true }),
  });
  await started;
  clock.advance(1_000);
  const events = (await (await answered).text()).split("\n\n").filter(Boolean);
  const messages = events.map((event) => JSON.parse(event.split("\ndata: ")[1]!) as Message);
  t.equal(heardIn(audioOf(messages), MULAW), "Good morning, Lucia.");
  t.same(new Set(messages.map((message) => message["type"])), new Set(["chunk", "timestamps", "done"]));
  t.ok(events.every((event, index) => event.startsWith(`event: ${String(messages[index]!["type"])}\n`)));
});

void t.test("what is wrong is refused: the key, the version, the body, the format", async (t) => {
  const { emulators } = await voiceStage(t);
  const origin = emulators.urls.cartesia.replace("ws:", "http:");
  const post = async (
    headers: Record<string, string>,
    content: string,
    path = "/tts/bytes",
  ): Promise<number> => (await fetch(`${origin}${path}`, { method: "POST", headers, body: content })).status;
  t.equal(await post({ ...HEADERS, "x-api-key": "other" }, body()), 401);
  t.equal(await post({ "x-api-key": HEADERS["x-api-key"] }, body()), 400);
  t.equal(await post(HEADERS, "{"), 400);
  t.equal(await post(HEADERS, body({ transcript: " " })), 400);
  t.equal(await post(HEADERS, body({ output_format: { container: "mp3", sample_rate: 44_100 } })), 400);
  t.equal(await post(HEADERS, body({ transcript: "x".repeat(300_000) })), 413);
  t.equal(await post(HEADERS, body(), "/tts/other"), 404);
});

void t.test("a client that goes away is no trouble", async (t) => {
  const { emulators, clock } = await voiceStage(t);
  const origin = emulators.urls.cartesia.replace("ws:", "http:");
  const aborter = new AbortController();
  const started = emulators.log.until((_entry, change) => change === "started");
  const answered = fetch(`${origin}/tts/bytes`, {
    method: "POST",
    headers: HEADERS,
    body: body(),
    signal: aborter.signal,
  });
  const entry = await started;
  clock.advance(45);
  aborter.abort();
  await t.rejects(
    answered.then((response) => response.arrayBuffer()),
    { name: "AbortError" },
  );
  // Another request shows that the first one's end was seen.
  t.equal((await fetch(`${origin}/tts/bytes`, { method: "POST", headers: HEADERS, body: "{" })).status, 400);
  clock.advance(1_000);
  t.match(entry, { kind: "tts", doneAtMs: null });
});

/** Batch transcription at the wire: what it hears, what it refuses as the vendors do, and what can go wrong. */
import t from "tap";
import { encodeWav, toneVoice } from "#bench/speech";
import { exactly } from "../distribution.js";
import { BEARER, startSteered } from "../control.fixture.js";

const { emulators, arm, info } = await startSteered(t, { latency: { sttFinalMs: exactly(1) } });
const url = `${emulators.urls.whisper}/v1/audio/transcriptions`;
const wav = encodeWav({
  sampleRateHz: 8_000,
  channels: [toneVoice.synthesize("Good morning, Lucia.").samples],
});

function form(
  fields: Readonly<Record<string, string>>,
  fileName = "said.wav",
  file: Uint8Array = wav,
): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("file", new Blob([Buffer.from(file)]), fileName);
  return form;
}

function ask(body: FormData | string, headers: Record<string, string> = BEARER, to = url): Promise<Response> {
  return fetch(to, { method: "POST", headers, body });
}

const VERBOSE = {
  model: "any",
  language: "en",
  response_format: "verbose_json",
  "timestamp_granularities[]": "word",
};

void t.test("what was said comes back, with times where they are asked for", async (t) => {
  const plain = await ask(form({ model: "any" }));
  t.same(await plain.json(), { text: "Good morning, Lucia." });
  const verbose = await ask(
    form(VERBOSE),
    BEARER,
    `${emulators.urls.whisper}/openai/v1/audio/transcriptions`,
  );
  const { words, segments } = (await verbose.json()) as {
    words: { word: string; end: number }[];
    segments: [];
  };
  t.same(
    words.map(({ word }) => word),
    ["Good", "morning", "Lucia"],
  );
  t.equal(segments.length, 1);
});

void t.test("wrong requests are refused as the vendors do", async (t) => {
  const statusOf = async (answer: Promise<Response>): Promise<number> => {
    const response = await answer;
    t.match(await response.json(), { error: { message: /./ } });
    return response.status;
  };
  t.equal(await statusOf(ask(form(VERBOSE), { authorization: "Bearer other" })), 401);
  t.equal(await statusOf(ask(form({}))), 400, "no model");
  t.equal(await statusOf(ask("{}")), 400, "no form");
  t.equal(await statusOf(ask(form(VERBOSE, "said.txt"))), 400, "no sound file by its name");
  t.equal(await statusOf(ask(form(VERBOSE, "said.wav", new Uint8Array(100)))), 400, "no sound file within");
  t.equal(await statusOf(fetch(url, { headers: BEARER })), 405);
  t.equal(await statusOf(ask(form(VERBOSE), BEARER, `${emulators.urls.whisper}/v1/other`)), 404);
});

void t.test("the control endpoint's faults strike, once each, and limits hold", async (t) => {
  await arm({ target: "whisper", fault: { kind: "status", status: 503, retryAfterS: 2 } });
  const refused = await ask(form(VERBOSE));
  t.equal(refused.status, 503);
  t.equal(refused.headers.get("retry-after"), "2");
  t.equal((await ask(form(VERBOSE))).status, 200);
  await arm({ target: "whisper", fault: { kind: "cut" } });
  const cut = await ask(form(VERBOSE));
  await t.rejects(cut.text());
  await arm({ target: "whisper", fault: { kind: "garbage" } });
  const garbage = await ask(form(VERBOSE));
  await t.rejects(garbage.json());
  const { whisper } = await info();
  t.match(whisper, { running: 0, requestCount: Number });
  emulators.setLimits({ whisperRequestsPerMinute: 0 });
  const limited = await ask(form(VERBOSE));
  t.equal(limited.status, 429);
  t.ok(Number(limited.headers.get("retry-after")) > 0);
});

/** Voices asked by HTTP, at the wire: OpenAI's speech and Piper, what they refuse, and what can go wrong. */
import t from "tap";
import { exactly } from "../distribution.js";
import { BEARER, startSteered } from "../control.fixture.js";

const { emulators, arm, info } = await startSteered(t, {
  ttsRealtimeFactor: 1_000,
  latency: { ttsFirstAudioMs: exactly(1) },
});
const { speech } = emulators.urls;
const OPENAI = { model: "gpt-4o-mini-tts", voice: "alloy", input: "Good morning.", response_format: "pcm" };
const PIPER = { text: "Good morning.", voice: "en_US-lessac-medium" };

function ask(
  path: string,
  body: object | string,
  headers: Record<string, string> = BEARER,
): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return fetch(`${speech}${path}`, { method: "POST", headers, body: text });
}

async function bytesOf(response: Promise<Response>): Promise<Buffer> {
  return Buffer.from(await (await response).arrayBuffer());
}

void t.test("OpenAI's form gives bare samples, Piper's a whole WAV that says its rate", async (t) => {
  const pcm = await bytesOf(ask("/v1/audio/speech", OPENAI));
  t.ok(pcm.length > 24_000, "half a second at 24 kHz and more");
  t.not(pcm.toString("latin1", 0, 4), "RIFF");
  const wav = await bytesOf(ask("/synthesize", PIPER, {}));
  t.equal(wav.toString("latin1", 0, 4), "RIFF");
  t.equal(wav.readUInt32LE(24), 22_050);
  t.equal(wav.readUInt32LE(40), wav.length - 44);
});

void t.test("wrong requests are refused as the vendors do", async (t) => {
  t.equal((await ask("/v1/audio/speech", OPENAI, {})).status, 401);
  t.equal((await fetch(`${speech}/v1/models`)).status, 401);
  t.equal((await fetch(`${speech}/voices`)).status, 200, "Piper wants no key");
  t.equal((await ask("/v1/audio/speech", { ...OPENAI, input: "" })).status, 400);
  t.equal((await ask("/v1/audio/speech", { ...OPENAI, voice: undefined })).status, 400);
  t.equal((await ask("/synthesize", { ...PIPER, speaker: "x" }, {})).status, 400);
  t.equal((await ask("/synthesize", "{")).status, 400);
  t.equal((await ask("/other", OPENAI)).status, 404);
});

void t.test(
  "the control endpoint's faults strike, of one call alone where it is named, and limits hold",
  async (t) => {
    const ofCall = (callId: string) => ({ ...BEARER, "x-client-request-id": `${callId}.1` });
    await arm({ target: "speech", fault: { kind: "status", status: 503 }, callId: "c1" });
    t.equal((await ask("/v1/audio/speech", OPENAI, ofCall("c2"))).status, 200);
    t.equal((await ask("/v1/audio/speech", OPENAI, ofCall("c1"))).status, 503);
    await arm({ target: "speech", fault: { kind: "reset" } });
    await t.rejects(ask("/synthesize", PIPER));
    await arm({ target: "speech", fault: { kind: "shortBody", afterChunks: 1 } });
    await t.rejects(
      bytesOf(ask("/synthesize", PIPER)).then((wav) => {
        if (wav.readUInt32LE(40) !== wav.length - 44) throw new Error("it promised more");
      }),
    );
    t.match((await info())["speech"], { activeRequests: Number, requestCount: Number });
    emulators.setLimits({ speechRequests: 0 });
    t.equal((await ask("/v1/audio/speech", OPENAI)).status, 429);
  },
);

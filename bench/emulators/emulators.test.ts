/** All three servers through the clients a node uses: one caller's sentence heard, answered and spoken. */
import { on, once } from "node:events";
import { DeepgramClient } from "@deepgram/sdk";
import Groq from "groq-sdk";
import t from "tap";
import { WebSocket } from "ws";
import { ToneDecoder, toneVoice } from "#bench/speech";
import { SystemClock } from "#runtime/actor";
import { EMULATOR_API_KEY, exactly, startEmulators } from "#bench/emulators";
import { frame } from "./cartesia/voice.fixture.js";
import { OwnedClock } from "./owned-clock.js";
import { Probe } from "./probe.fixture.js";

void t.test("a sentence is heard, answered and spoken through the vendors' own clients", async (t) => {
  const emulators = await startEmulators({
    latency: {
      sttInterimMs: exactly(5),
      sttFinalMs: exactly(10),
      llmFirstTokenMs: exactly(5),
      ttsFirstAudioMs: exactly(5),
    },
  });
  t.teardown(() => emulators.close());
  const heard = await hear(emulators.urls.deepgram, "Is there parking?");
  t.equal(heard, "Is there parking?");
  const answer = await ask(emulators.urls.groq, heard);
  t.equal(answer, "Behind the house.");
  t.equal(await speak(emulators.urls.cartesia, answer), "Behind the house.");
  t.match(emulators.log.stt("call-1")[0], { final: { text: "Is there parking?" } });
  t.match(emulators.log.llm("call-1")[0], { reply: "Behind the house.", aborted: false });
  t.match(emulators.log.tts("call-1")[0], { text: "Behind the house." });
});

void t.test("closing leaves no socket and no timer behind, whatever was going on", async (t) => {
  // Its own count of timers, beneath the emulators' one.
  const clock = new OwnedClock(new SystemClock());
  const emulators = await startEmulators({ clock });
  const { deepgram, groq, cartesia, log } = emulators;
  deepgram.faults.arm({ kind: "stall", forMs: 60_000, afterAudioMs: 10 });
  groq.faults.arm({ kind: "firstToken", delayMs: 60_000 });
  cartesia.contextFaults.arm({ kind: "stallContext", afterChunks: 0, forMs: 60_000 });
  const stt = await Probe.open(
    `${emulators.urls.deepgram}/v1/listen?model=nova-3&encoding=linear16&sample_rate=8000`,
    { authorization: `Token ${EMULATOR_API_KEY}` },
  );
  stt.socket.send(toneVoice.synthesize("hello").samples);
  stt.send({ type: "Finalize" });
  await stt.roundTrip();
  const tts = await Probe.open(
    `${emulators.urls.cartesia}/tts/websocket?api_key=${EMULATOR_API_KEY}&cartesia_version=2026-03-01`,
  );
  tts.send(frame("call-1/1", "One two. "));
  await tts.roundTrip();
  const started = log.until((entry, change) => entry.kind === "llm" && change === "started");
  const asking = t.rejects(ask(emulators.urls.groq, "hello"));
  await started;
  t.same([deepgram.live.length, groq.live.length, cartesia.live.length], [1, 1, 1]);
  t.ok(clock.pendingCount > 0);
  await emulators.close();
  await emulators.close();
  t.equal(clock.pendingCount, 0);
  t.same([deepgram.live.length, groq.live.length, cartesia.live.length], [0, 0, 0]);
  t.equal((await stt.closed).code, 1001);
  t.equal((await tts.closed).code, 1001);
  await asking;
  await t.rejects(Probe.open(emulators.urls.deepgram), { code: "ECONNREFUSED" });
});

void t.test("a port that is taken fails the start, and leaves nothing listening", async (t) => {
  const first = await startEmulators();
  t.teardown(() => first.close());
  const port = (url: string): number => Number(new URL(url).port);
  const taken = {
    deepgram: port(first.urls.deepgram),
    groq: port(first.urls.groq),
    cartesia: port(first.urls.cartesia),
    elevenlabs: port(first.urls.elevenlabs),
    speech: port(first.urls.speech),
  };
  for (const [name, value] of Object.entries(taken)) {
    const clock = new OwnedClock(new SystemClock());
    await t.rejects(startEmulators({ ports: { [name]: value }, clock }), name);
    t.equal(clock.pendingCount, 0);
  }
});

async function hear(baseUrl: string, text: string): Promise<string> {
  const client = new DeepgramClient({ apiKey: EMULATOR_API_KEY, baseUrl });
  const socket = await client.listen.v1.connect({
    model: "nova-3",
    encoding: "linear16",
    sample_rate: 8000,
    smart_format: "true",
    interim_results: "true",
    extra: "call_id:call-1",
    reconnectAttempts: 0,
  });
  const final = new Promise<string>((resolve, reject) => {
    socket.on("message", (message) => {
      if (message.type === "Results" && message.speech_final === true) {
        resolve(message.channel.alternatives[0]!.transcript);
      }
    });
    socket.on("error", reject);
  });
  socket.connect();
  await socket.waitForOpen();
  socket.sendMedia(toneVoice.synthesize(text).samples);
  socket.sendMedia(new Int16Array(8 * 400));
  const heard = await final;
  socket.close();
  return heard;
}

async function ask(baseURL: string, text: string): Promise<string> {
  const client = new Groq({ apiKey: EMULATOR_API_KEY, baseURL, maxRetries: 0 });
  const stream = await client.chat.completions.create({
    model: "llama-3.3-70b-versatile",
    stream: true,
    user: "call-1",
    messages: [
      { role: "system", content: "You answer the phone.\nParking: Behind the house." },
      { role: "user", content: text },
    ],
  });
  let answer = "";
  for await (const chunk of stream) answer += chunk.choices[0]?.delta.content ?? "";
  return answer;
}

async function speak(baseUrl: string, text: string): Promise<string> {
  const socket = new WebSocket(`${baseUrl}/tts/websocket`, {
    headers: { "x-api-key": EMULATOR_API_KEY, "cartesia-version": "2026-03-01" },
  });
  await once(socket, "open");
  const messages = on(socket, "message");
  socket.send(
    JSON.stringify({
      model_id: "sonic-3",
      context_id: "call-1/1",
      transcript: text,
      continue: false,
      max_buffer_delay_ms: 0,
      voice: { mode: "id", id: "any" },
      language: "en",
      output_format: { container: "raw", encoding: "pcm_s16le", sample_rate: 8000 },
    }),
  );
  const words: string[] = [];
  const decoder = new ToneDecoder((word) => words.push(word.word));
  for await (const [data] of messages as AsyncIterable<[Buffer]>) {
    const message = JSON.parse(data.toString("utf8")) as { type: string; data?: string };
    if (message.type === "done") break;
    if (message.data === undefined) continue;
    const bytes = Buffer.from(message.data, "base64");
    decoder.push(new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)));
  }
  socket.close();
  await once(socket, "close");
  return words.join(" ");
}

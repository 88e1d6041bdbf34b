/** What goes over the wire to voices by HTTP, and what of a broken answer was delivered: on a bare server. */
import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import t, { type Test } from "tap";
import { toneVoice } from "#bench/speech";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { MULAW_8K } from "#runtime/media";
import { KeptLog, eventually, quietTurns } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { type HttpPcmSettings, providerDefaults } from "../settings.js";
import type { TtsProvider } from "./provider.js";
import { listen } from "./voice-wire.fixture.js";
import { estimateWords } from "./word-estimates.js";

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: Record<string, unknown>;
}

async function rig(
  t: Test,
  name: "openai-tts" | "piper",
  fields: Partial<HttpPcmSettings> = {},
): Promise<{ readonly asked: Asked[]; readonly tts: TtsProvider; readonly clock: VirtualClock }> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (piece: Buffer) => (text += piece.toString()));
    request.on("end", () => asked.push({ request, response, body: JSON.parse(text) as Asked["body"] }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const account = name === "piper" ? "piper" : "openaiSpeech";
  const clock = new VirtualClock();
  const settings = { [account]: { ...providerDefaults[account], apiKey: "a-key", url, ...fields } };
  const providers = createProviders(settings, { clock, random: seededRandom(1), log: new KeptLog() });
  t.teardown(async () => {
    await providers.close();
    server.closeAllConnections();
    server.close();
  });
  return { asked, tts: providers.tts(name), clock };
}

const request = { callId: "call-1", model: "tts-1", voice: "alloy", language: "en", format: MULAW_8K };
/** So many milliseconds of quiet at 24 kHz. */
const pcm = (ms: number): Buffer => Buffer.alloc(ms * 48, 1);

function wav(rateHz: number, dataBytes: number, saysBytes = dataBytes): Buffer {
  const header = Buffer.alloc(52);
  header.write("RIFF....WAVELIST", 0, "latin1");
  header.write("fmt ", 20, "latin1");
  header.writeUInt32LE(16, 24);
  header.writeUInt16LE(1, 28);
  header.writeUInt16LE(1, 30);
  header.writeUInt32LE(rateHz, 32);
  header.writeUInt32LE(rateHz * 2, 36);
  header.writeUInt16LE(2, 40);
  header.writeUInt16LE(16, 42);
  header.write("data", 44, "latin1");
  header.writeUInt32LE(saysBytes, 48);
  return Buffer.concat([header, Buffer.alloc(dataBytes, 1)]);
}

void t.test("a clause is a request, and one is asked ahead, not two", async (t) => {
  const { asked, tts } = await rig(t, "openai-tts");
  const { lines, events } = listen();
  const reply = tts.speak(request, events);
  for (const piece of ["Sure,", " we are open. ", "From nine, ", "every day."]) reply.push(piece);
  reply.finish();
  await eventually(() => asked.length === 2);
  await quietTurns();
  t.equal(asked.length, 2);
  const fields = { model: "tts-1", voice: "alloy", response_format: "pcm" };
  t.same(asked[0]?.body, { ...fields, input: "Sure," });
  t.same(asked[1]?.body, { ...fields, input: " we are open." });
  t.match(asked[0]?.request.headers, { authorization: "Bearer a-key", "x-client-request-id": "call-1.1" });
  asked[1]!.response.end(pcm(200)); // ahead of its turn: kept
  await quietTurns();
  t.same(lines, []);
  asked[0]!.response.end(pcm(100));
  await eventually(() => asked.length === 3);
  t.equal(asked[2]?.body["input"], " From nine, every day.", "what has gathered goes in one");
  asked[2]!.response.end(pcm(100));
  await eventually(() => lines.at(-1) === "done");
  const heard = lines.filter((line) => !line.startsWith("audio")).map((line) => line.split(" ")[0]);
  t.same(heard, ["Sure,", "we", "are", "open.", "From", "nine,", "every", "day.", "done"]);
});

void t.test("an answer of which more came ahead than is kept is heard in its order", async (t) => {
  const { asked, tts } = await rig(t, "openai-tts");
  const { lines, events } = listen();
  const heard: Uint8Array[] = [];
  const onAudio = (audio: Uint8Array) => void heard.push(new Uint8Array(audio));
  const reply = tts.speak({ ...request, callId: "call-3" }, { ...events, onAudio });
  reply.push("One, ");
  reply.push("two.");
  reply.finish();
  await eventually(() => asked.length === 2);
  // Silence, then loud: where the one ends and the other begins tells the order.
  const silence = Buffer.alloc(1024 * 1024 + 200_000);
  const loud = Buffer.alloc(200_000);
  for (let at = 0; at < loud.length; at += 2) loud.writeInt16LE(8_000, at);
  asked[1]!.response.end(Buffer.concat([silence, loud]));
  // As much as is kept, and then what the kernel takes of the rest: its socket is not read any more.
  let readBytes = -1;
  const socket = asked[1]!.response.socket!;
  while (readBytes !== socket.bytesWritten - socket.writableLength) {
    readBytes = socket.bytesWritten - socket.writableLength;
    await quietTurns();
  }
  asked[0]!.response.end(pcm(100));
  await eventually(() => lines.at(-1) === "done");
  const audio = Buffer.concat(heard);
  const perByte = (24_000 / 8_000) * 2;
  const all = 100 * 8 + (silence.length + loud.length) / perByte;
  t.ok(Math.abs(audio.length - all) < 50, "all of it, but for what the resampler adds");
  const firstLoud = audio.indexOf(audio.at(-100)!, 100 * 8 + 100);
  const due = 100 * 8 + silence.length / perByte;
  t.ok(Math.abs(firstLoud - due) < 50, `loud from ${firstLoud} on, due at ${due}`);
});

void t.test("what was whole before an answer broke off is told, and nothing of what was not", async (t) => {
  const { asked, tts } = await rig(t, "openai-tts");
  const second = listen();
  const broken = tts.speak({ ...request, callId: "call-2" }, second.events);
  broken.push("One, ");
  broken.push("two.");
  broken.finish();
  await eventually(() => asked.some(({ body }) => body["input"] === " two."));
  const [one, two] = asked.slice(-2);
  two!.response.write(pcm(40));
  await quietTurns();
  two!.response.destroy();
  one!.response.write(pcm(50));
  await eventually(() => second.lines.length > 0);
  t.notOk(second.lines.includes("TTS_STREAM_BROKEN"), "not before its turn");
  one!.response.end(pcm(50));
  await eventually(() => second.lines.at(-1) === "TTS_STREAM_BROKEN");
  const told = second.lines.filter((line) => !line.startsWith("audio")).map((line) => line.split(" ")[0]);
  t.same(told, ["One,", "TTS_STREAM_BROKEN"]);
});

void t.test("a WAV's header decides the rate, however it is cut", async (t) => {
  const { asked, tts } = await rig(t, "piper");
  const { lines, events } = listen();
  const reply = tts.speak(request, events);
  reply.push("Yes.");
  reply.finish();
  await eventually(() => asked.length === 1);
  t.same(asked[0]?.body, { text: "Yes.", voice: "alloy" });
  const answer = wav(22_050, 44_100);
  for (const [from, to] of [
    [0, 7],
    [7, 30],
    [30, 51],
    [51, 1_000],
    [1_000, answer.length],
  ] as const) {
    asked[0]!.response.write(answer.subarray(from, to));
    await quietTurns();
  }
  asked[0]!.response.end();
  await eventually(() => lines.at(-1) === "done");
  const bytes = lines
    .filter((line) => line.startsWith("audio"))
    .reduce((sum, line) => sum + Number(line.slice(6)), 0);
  t.ok(Math.abs(bytes - 8_000) <= 20, `a second at 8 kHz (${bytes})`);
});

const bad = [
  ["shorter than it says", wav(22_050, 4_000, 8_000)],
  ["half a sample", wav(22_050, 4_001)],
  ["a rate nobody has", wav(12_345, 4_000)],
  ["no audio", wav(22_050, 0)],
  ["no WAV", Buffer.from("<html><body>busy</body></html>")],
] as const;
for (const [what, body] of bad) {
  void t.test(`an answer with ${what} is TTS_PROTOCOL_ERROR, not an end`, async (t) => {
    const { asked, tts } = await rig(t, "piper");
    const { lines, events } = listen();
    tts.speak(request, events).push("Yes.");
    await eventually(() => asked.length === 1);
    asked[0]!.response.end(body);
    await eventually(() => lines.at(-1) === "TTS_PROTOCOL_ERROR");
    t.notOk(lines.includes("done"));
  });
}

void t.test("text without a clause's end is spoken after a moment, up to its last whole word", async (t) => {
  const { asked, tts, clock } = await rig(t, "openai-tts");
  const reply = tts.speak(request, listen().events);
  reply.push("We are op");
  await quietTurns();
  t.equal(asked.length, 0);
  clock.advance(400);
  await eventually(() => asked.length === 1);
  t.equal(asked[0]?.body["input"], "We are");
  reply.cancel();
});

void t.test("past so many replies the next is refused", async (t) => {
  const { tts } = await rig(t, "openai-tts", { repliesMax: 1 });
  const first = tts.speak(request, listen().events);
  const { lines, events } = listen();
  tts.speak(request, events);
  await eventually(() => lines.length === 1);
  t.same(lines, ["TTS_OVERFLOW"]);
  t.equal(tts.usage, 1);
  first.cancel();
  t.equal(tts.usage, 0);
});

void t.test("estimated word times are late rather than early", async (t) => {
  const text = "Certainly, the table for two is free on Tuesday at seven, shall I book it?";
  const { samples, words } = toneVoice.synthesize(text);
  const estimated = estimateWords(text, 1_000, samples.length / 8);
  t.equal(estimated.length, words.length);
  for (const [index, { endMs }] of words.entries()) {
    const lateMs = estimated[index]!.endMs - 1_000 - endMs;
    t.ok(lateMs >= 0 && lateMs < 600, `${words[index]!.word} ${lateMs}`);
  }
});

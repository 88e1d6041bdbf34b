/** What `/v1/listen` hears: encodings, backlogs, noise and loss, on virtual time over a real socket. */
import t from "tap";
import { mixNoise, toneVoice } from "#bench/speech";
import { seededRandom } from "#runtime/actor";
import { Probe } from "../probe.fixture.js";
import { AUTHORISED, mulaw, silence, speech, stage, transcript } from "./speech.fixture.js";

const isFinal = (message: Readonly<Record<string, unknown>>): boolean => message["is_final"] === true;
const isSpeechFinal = (message: Readonly<Record<string, unknown>>): boolean =>
  message["speech_final"] === true;

void t.test("every encoding and rate is heard, however it is cut into pieces", async (t) => {
  const { emulators, clock } = await stage(t);
  const { samples } = toneVoice.synthesize("Good morning.");
  const linear = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
  const forms = [
    { query: "encoding=linear16&sample_rate=8000", bytes: linear, piece: 333 },
    { query: "encoding=linear16&sample_rate=16000", bytes: upsampled(samples, 2), piece: 1_001 },
    { query: "encoding=linear16&sample_rate=48000", bytes: upsampled(samples, 6), piece: 4_000 },
    { query: "encoding=mulaw&sample_rate=8000", bytes: mulaw(samples), piece: 7 },
  ];
  for (const { query, bytes, piece } of forms) {
    const url = `${emulators.urls.deepgram}/v1/listen?model=nova-3&punctuate=true&endpointing=10&${query}`;
    const probe = await Probe.open(url, AUTHORISED);
    for (let at = 0; at < bytes.length; at += piece) probe.socket.send(bytes.subarray(at, at + piece));
    await probe.roundTrip();
    clock.advance(200);
    await probe.roundTrip();
    t.same(probe.messages.filter(isFinal).map(transcript), ["Good morning."], query);
    await probe.close();
  }
});

/** Each sample so many times over: crude, but its images lie above what the telephone carries. */
function upsampled(samples: Int16Array, factor: number): Uint8Array {
  const wide = Int16Array.from(
    { length: samples.length * factor },
    (_, index) => samples[Math.floor(index / factor)]!,
  );
  return new Uint8Array(wide.buffer);
}

void t.test("a replayed backlog is worked through at the allowed pace", async (t) => {
  const { open, hear, advance } = await stage(t, { sttMaxRealtimeFactor: 1.25 });
  const probe = await open();
  const { bytes, durationMs } = speech("one two three");
  await hear(probe, silence(1_000));
  await hear(probe, bytes);
  await hear(probe, silence(100));
  // The last word's audio is done after (1000 + its own length) / 1.25, and shown 100 ms later.
  const doneAfterMs = (1_000 + durationMs) / 1.25 + 100;
  await advance(probe, Math.floor(doneAfterMs) - 1);
  t.not(transcript(probe.messages.at(-1)), "one two three");
  await advance(probe, 2);
  t.equal(transcript(probe.messages.at(-1)), "one two three");
});

void t.test("a noisy line is understood, and ends as a quiet one does", async (t) => {
  const seed = 11;
  const { open, hear, advance } = await stage(t);
  const probe = await open();
  const { samples, words } = toneVoice.synthesize("Do you have a table for two?");
  const line = new Int16Array(8 * (1_000 + 1_000) + samples.length);
  line.set(samples, 8_000);
  mixNoise(line, 20, seededRandom(seed));
  const bytes = mulaw(line);
  const endByte = 8_000 + Math.ceil(words.at(-1)!.endMs) * 8;
  for (let at = 0; at < endByte; at += 320)
    await hear(probe, bytes.subarray(at, Math.min(at + 320, endByte)));
  await hear(probe, bytes.subarray(endByte, endByte + 800));
  await advance(probe, 149);
  t.notOk(probe.messages.some(isFinal), `seed ${seed}`);
  await advance(probe, 2);
  const finals = probe.messages.filter(isFinal);
  t.same(finals.map(transcript), ["Do you have a table for two?"], `seed ${seed}`);
  t.ok(finals.every(isSpeechFinal));
});

void t.test("lost frames cost the word they were in, and no other", async (t) => {
  const { open, hear, advance } = await stage(t);
  const probe = await open();
  const { bytes, words } = speech("where is your restaurant please");
  const lostAt = Math.round(words[3]!.startMs + 200) * 8;
  await hear(probe, bytes.subarray(0, lostAt));
  await hear(probe, silence(60));
  await hear(probe, bytes.subarray(lostAt + 480));
  await hear(probe, silence(100));
  await advance(probe, 200);
  const final = probe.messages.find(isFinal);
  const heard = transcript(final)!.split(" ");
  t.same([...heard.slice(0, 3), heard.at(-1)], ["where", "is", "your", "please"]);
  t.equal(heard.length, 5);
  const alternatives = (final!["channel"] as { alternatives: { words: { confidence: number }[] }[] })
    .alternatives;
  t.ok(alternatives[0]!.words[3]!.confidence < 0.5);
});

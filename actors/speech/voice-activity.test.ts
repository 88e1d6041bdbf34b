import t from "tap";
import { seededRandom } from "#runtime/actor";
import { type AudioFormat, MULAW_8K, bytesPerMs } from "#runtime/media";
import { NOISE_COLOURS, encodeForLeg, mixAt, noise, syllables, toneVoice } from "#bench/speech";
import { VadEvent, VoiceActivity } from "./index.js";
import { STEADY_NOISE_BOUND_MS } from "./noise-floor.js";

interface Heard {
  readonly starts: number[];
  readonly ends: number[];
  readonly voice: VoiceActivity;
}

/** What is told when `samples` arrive in real time, 20 ms at a time, the first sample at instant 0. */
function listen(samples: Int16Array, format: AudioFormat = MULAW_8K): Heard {
  const voice = new VoiceActivity(format);
  const heard: Heard = { starts: [], ends: [], voice };
  const bytes = encodeForLeg(samples, format);
  const frameBytes = 20 * bytesPerMs(format);
  for (let offset = 0; offset + frameBytes <= bytes.length; offset += frameBytes) {
    const atMs = (offset + frameBytes) / bytesPerMs(format);
    const event = voice.push(bytes, offset, frameBytes, atMs);
    if (event === VadEvent.speechStart) heard.starts.push(atMs);
    if (event === VadEvent.speechEnd) heard.ends.push(atMs);
  }
  return heard;
}

void t.test("speech is told within 50 ms of its first sample, from 10 to 40 dB over any noise", async (t) => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = seededRandom(seed);
    const snrDb = 10 + 30 * random.next();
    const colour = NOISE_COLOURS[seed % NOISE_COLOURS.length]!;
    const line = noise(2_500, -25 - snrDb, colour, random);
    const onsetMs = 1_500 + 20 * random.next();
    mixAt(line, syllables(600, -25, random), onsetMs);
    const { starts } = listen(line);
    const what = `seed ${seed}: ${colour} noise, ${snrDb.toFixed(1)} dB, onset at ${onsetMs.toFixed(1)}, told at ${starts.join(" ")}`;
    t.ok(starts.length >= 1 && starts[0]! >= onsetMs && starts[0]! - onsetMs < 50, what);
  }
});

void t.test("every format a leg can have is heard alike", async (t) => {
  for (const encoding of ["mulaw", "alaw", "l16le", "l16be"] as const) {
    const random = seededRandom(5);
    const line = noise(3_000, -50, "white", random);
    mixAt(line, syllables(800, -20, random), 1_005);
    const { starts, ends } = listen(line, {
      encoding,
      sampleRateHz: encoding.startsWith("l16") ? 16000 : 8000,
    });
    t.same([starts, ends], [[1_040], [1_900]], encoding);
  }
});

void t.test("ten minutes of noise of any colour start no speech", async (t) => {
  for (const colour of NOISE_COLOURS) {
    const { starts } = listen(noise(600_000, -40, colour, seededRandom(11)));
    t.same(starts, [], colour);
  }
});

void t.test(
  "a noise that sets in 25 dB louder is learned within a bound, and speech above it is heard",
  async (t) => {
    for (const colour of NOISE_COLOURS) {
      const random = seededRandom(21);
      const line = noise(12_000, -60, colour, random);
      mixAt(line, noise(9_000, -35, colour, random), 3_000);
      mixAt(line, syllables(1_000, -20, random), 8_000);
      const { starts, ends } = listen(line);
      t.equal(starts.length, 2, `${colour}: ${starts.join(" ")}`);
      t.ok(
        ends[0]! - 3_000 <= STEADY_NOISE_BOUND_MS + 100,
        `${colour}: learned after ${ends[0]! - 3_000} ms`,
      );
      t.ok(starts[1]! - 8_000 < 50, `${colour}: ${starts[1]}`);
    }
  },
);

void t.test("a crowd's babble stops counting after four seconds, a single talker never does", async (t) => {
  for (let seed = 1; seed <= 6; seed += 1) {
    const random = seededRandom(seed);
    const babble = noise(14_000, -65, "white", random);
    const talker = babble.slice();
    for (let voice = 0; voice < 8; voice += 1) mixAt(babble, syllables(12_000, -40, random), 2_000);
    mixAt(talker, syllables(12_000, -40, random), 2_000);
    const ofBabble = speechShare(babble, 6_500, 12_000);
    const ofTalk = speechShare(talker, 6_500, 12_000);
    t.ok(ofBabble < 0.3 && ofTalk > 0.9, `seed ${seed}: ${ofBabble} of the babble, ${ofTalk} of the talk`);
  }
});

void t.test("noise that swells and ebbs, as traffic does, cannot hold speech on for ever", async (t) => {
  const traffic = noise(16_000, -40, "white", seededRandom(1)).map((sample, index) => {
    const swellDb = index < 16_000 ? -25 : 8 * Math.sin((2 * Math.PI * index) / 8_000 / 1.2);
    return sample * 10 ** (swellDb / 20);
  });
  t.equal(speechShare(traffic, 2_500, 5_000), 1, "at first it passes for speech");
  t.ok(speechShare(traffic, 7_000, 16_000) < 0.6, "later only its swells do");
});

/** Which part of the frames between two instants counts as speech. */
function speechShare(samples: Int16Array, fromMs: number, toMs: number): number {
  const voice = new VoiceActivity(MULAW_8K);
  const bytes = encodeForLeg(samples, MULAW_8K);
  let speechFrames = 0;
  for (let atMs = 20; atMs <= toMs; atMs += 20) {
    voice.push(bytes, (atMs - 20) * 8, 160, atMs);
    if (atMs > fromMs && voice.isSpeech) speechFrames += 1;
  }
  return (speechFrames * 20) / (toMs - fromMs);
}

void t.test("a noise that stops leaves no deafness behind", async (t) => {
  const random = seededRandom(31);
  const line = noise(6_000, -65, "white", random);
  mixAt(line, noise(3_000, -35, "white", random), 0);
  // 300 ms later somebody speaks 10 dB below the noise that was.
  mixAt(line, syllables(1_000, -45, random), 3_300);
  const { starts } = listen(line);
  t.ok(
    starts.some((atMs) => atMs >= 3_300 && atMs < 3_350),
    starts.join(" "),
  );
});

void t.test("a click is not speech", async (t) => {
  const line = noise(4_000, -60, "white", seededRandom(41));
  for (let atMs = 1_000; atMs < 4_000; atMs += 200)
    mixAt(line, noise(10, -10, "white", seededRandom(atMs)), atMs);
  t.same(listen(line).starts, []);
});

void t.test(
  "words in a row are one stretch of speech, and its end is the end of the last of them",
  async (t) => {
    const speech = toneVoice.synthesize("Do you have a table for two tomorrow?");
    const line = noise(4_000, -60, "white", seededRandom(51));
    mixAt(line, speech.samples, 400);
    const { starts, ends, voice } = listen(line);
    const lastWordEndMs = 400 + speech.words.at(-1)!.endMs;
    t.same(starts, [440]);
    t.same(ends, [lastWordEndMs + 80], "80 ms of hangover after the last word");
    t.equal(voice.speechStartedAtMs, 400);
    t.equal(voice.lastSpeechAtMs, lastWordEndMs);
    t.equal(voice.lastSpeechPositionMs, lastWordEndMs);
    t.equal(voice.silenceMs, voice.positionMs - lastWordEndMs);
  },
);

void t.test(
  "nine seconds of tone speech without a pause are not taken for noise, in step with frames or not",
  async (t) => {
    const words = Array.from({ length: 28 }, (_, index) => `word${index}`).join(" ");
    const { samples } = toneVoice.synthesize(words);
    for (const shiftMs of [0, 5, 10, 13]) {
      for (const snrDb of [40, 20]) {
        const line = noise(samples.length / 8 + 2_000, -18 - snrDb, "white", seededRandom(61));
        mixAt(line, samples, 1_000 + shiftMs);
        const { starts, ends } = listen(line);
        const what = `${shiftMs} ms off, ${snrDb} dB: ${starts.join(" ")} to ${ends.join(" ")}`;
        t.ok(starts.length === 1 && ends.length === 1 && ends[0]! > 1_000 + samples.length / 8, what);
      }
    }
  },
);

void t.test("the first silent frame shows at once, the end of speech after the hangover", async (t) => {
  const voice = new VoiceActivity(MULAW_8K, { hangoverMs: 60 });
  const bytes = encodeForLeg(syllables(100, -20, seededRandom(71)), MULAW_8K);
  for (let frame = 0; frame < 5; frame += 1) voice.push(bytes, frame * 160, 160, (frame + 1) * 20);
  t.same([voice.isSpeech, voice.isFrameSpeech], [true, true]);
  const silence = new Uint8Array(160).fill(0xff);
  const seen = [120, 140, 160].map((atMs) => [
    voice.push(silence, 0, 160, atMs),
    voice.isSpeech,
    voice.isFrameSpeech,
  ]);
  t.same(seen, [
    [VadEvent.none, true, false],
    [VadEvent.none, true, false],
    [VadEvent.speechEnd, false, false],
  ]);
});

void t.test("records of any length give the same answer as frames", async (t) => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = seededRandom(seed);
    const line = noise(3_000, -55, "car", random);
    mixAt(line, syllables(700, -22, random), 900);
    const frames = listen(line).voice;
    const bytes = encodeForLeg(line, MULAW_8K);
    const voice = new VoiceActivity(MULAW_8K);
    for (let offset = 0; offset < bytes.length; ) {
      const length = Math.min(bytes.length - offset, 1 + Math.floor(random.next() * 900));
      offset += length;
      voice.push(bytes, offset - length, length, offset / 8);
    }
    t.equal(voice.speechStartedAtMs, frames.speechStartedAtMs, `seed ${seed}`);
    t.equal(voice.lastSpeechAtMs, frames.lastSpeechAtMs, `seed ${seed}`);
    t.equal(voice.noiseDb, frames.noiseDb, `seed ${seed}`);
  }
});

void t.test("the frame in which speech ends fades, those before it do not", async (t) => {
  const tone = Int16Array.from({ length: 8 * 20 * 5 }, (_, at) => 8_000 * Math.sin(at * 0.6));
  tone.fill(0, tone.length - 80);
  const voice = new VoiceActivity(MULAW_8K);
  const bytes = encodeForLeg(tone, MULAW_8K);
  const fading: boolean[] = [];
  for (let at = 0; at < bytes.length; at += 160) {
    voice.push(bytes, at, 160, at / 8 + 20);
    fading.push(voice.isFrameFading);
  }
  t.same(fading, [false, false, false, false, true]);
  voice.push(new Uint8Array(160).fill(0xff), 0, 160, 120);
  t.notOk(voice.isFrameFading, "silence is not speech that fades");
});

import loadFvad from "@echogarden/fvad-wasm";
import t from "tap";
import { seededRandom } from "#runtime/actor";
import { normalizeWords } from "./alphabet.js";
import { EnergyDetector } from "./energy-detector.js";
import { FRAME_SAMPLES, SENTENCES, hear, throughMulaw, understood } from "./line.fixture.js";
import { addNoise, mixNoise } from "./noise.js";
import { SPOKEN_LEVEL_DBFS, WATERMARK_LEVEL_DBFS, loadSpokenVoice } from "./spoken-voice.js";
import { toneVoice } from "./tone-voice.js";

const voice = await loadSpokenVoice();
const fvad = await loadFvad();

/** Share of 20 ms frames in which the WebRTC detector hears speech; mode 3 is its strictest. */
function speechShare(samples: Int16Array, mode = 3): number {
  const detector = fvad._fvad_new();
  fvad._fvad_set_mode(detector, mode);
  fvad._fvad_set_sample_rate(detector, 8000);
  const buffer = fvad._malloc(2 * FRAME_SAMPLES);
  let speech = 0;
  let frames = 0;
  for (let at = 0; at + FRAME_SAMPLES <= samples.length; at += FRAME_SAMPLES) {
    fvad.HEAP16.set(samples.subarray(at, at + FRAME_SAMPLES), buffer / 2);
    speech += fvad._fvad_process(detector, buffer, FRAME_SAMPLES);
    frames++;
  }
  fvad._free(buffer);
  fvad._fvad_free(detector);
  return speech / frames;
}

void t.test("the same decoder understands every word, through mu-law and 20 dB of noise", async (t) => {
  const seed = 8;
  const random = seededRandom(seed);
  let said = 0;
  let right = 0;
  for (const text of SENTENCES) {
    const speech = voice.synthesize(text);
    t.same(
      speech.words.map((word) => word.word),
      normalizeWords(text),
    );
    t.same(understood(hear(throughMulaw(speech.samples))), normalizeWords(text));
    const line = new Int16Array(speech.samples.length + 1_600);
    line.set(speech.samples, Math.floor(random.next() * 320));
    mixNoise(line, 20, random);
    const heard = understood(hear(throughMulaw(line)));
    said += speech.words.length;
    right += speech.words.filter((word, index) => heard[index] === word.word).length;
  }
  t.ok(right >= 0.99 * said, `${right} of ${said} words, seed ${seed}`);
});

void t.test("a third-party detector hears speech in it, and none in silence or hiss", async (t) => {
  for (const text of SENTENCES) t.ok(speechShare(voice.synthesize(text).samples) > 0.9, text);
  t.equal(speechShare(new Int16Array(16_000), 0), 0);
  const hiss = new Int16Array(16_000);
  addNoise(hiss, 20, seededRandom(1));
  t.ok(speechShare(hiss) < 0.1);
});

void t.test("to a detector that knows energy alone, a sentence is one stretch of speech", async (t) => {
  for (const text of SENTENCES) {
    const { samples, words } = voice.synthesize(text);
    const line = new Int16Array(samples.length + 8_000);
    line.set(samples);
    const seen: string[] = [];
    const detector = new EnergyDetector({
      onSpeechStart: () => seen.push("start"),
      onSpeechEnd: (atMs) => seen.push(Math.abs(atMs - words.at(-1)!.endMs) <= 30 ? "end" : `end at ${atMs}`),
    });
    detector.push(throughMulaw(line));
    t.same(seen, ["start", "end"], text);
  }
});

void t.test("words end in voice and tones together, in whole frames", async (t) => {
  for (const text of SENTENCES) {
    const { samples, words } = voice.synthesize(text);
    t.equal(samples.length % FRAME_SAMPLES, 0);
    const wrong = words.filter((word, index) => {
      const afterTheOther = word.startMs >= (words[index - 1]?.endMs ?? 0);
      // After the end of a word there is silence: neither voice nor tones reach beyond it.
      const after = samples.subarray(word.endMs * 8, word.endMs * 8 + 150);
      return word.endMs % 20 !== 0 || !afterTheOther || after.some((sample) => sample !== 0);
    });
    t.same(wrong, [], text);
  }
});

void t.test("cut anywhere, exactly the words are understood whose end was reached", async (t) => {
  const { samples, words } = voice.synthesize(SENTENCES[5]);
  const wrong: string[] = [];
  for (let cutMs = 20; cutMs <= samples.length / 8; cutMs += 20) {
    const line = new Int16Array(samples.length + 1_600);
    line.set(samples.subarray(0, cutMs * 8));
    const reached = words.filter((word) => word.endMs <= cutMs).map((word) => word.word);
    const heard = understood(hear(throughMulaw(line)));
    if (heard.join(" ") !== reached.join(" ")) wrong.push(`at ${cutMs} ms: ${heard.join(" ")}`);
  }
  t.same(wrong, []);
});

void t.test("it speaks about as fast as the bare tones, and at the level it says", async (t) => {
  let words = 0;
  let samples = 0;
  let bare = 0;
  for (const text of SENTENCES) {
    const speech = voice.synthesize(text);
    words += speech.words.length;
    samples += speech.samples.length;
    bare += toneVoice.synthesize(text).samples.length;
    const levelDb = rmsDbfs(speech.samples);
    t.ok(Math.abs(levelDb - SPOKEN_LEVEL_DBFS) < 2, `${levelDb.toFixed(1)} dBFS: ${text}`);
    t.ok(hear(speech.samples).every((word) => Math.abs(word.levelDb - WATERMARK_LEVEL_DBFS) < 2));
  }
  t.comment(`${((8000 * words) / samples).toFixed(2)} words a second`);
  t.ok(samples / bare > 0.95 && samples / bare < 1.4, `${samples / bare} times as long`);
});

void t.test("the voice itself leaves the band of the tones alone", async (t) => {
  // Hissing sounds are loudest there; confidence is the share of the band's energy that the tones hold.
  const text = "Sixty-six success stories, said she.";
  const { samples, words } = voice.synthesize(text);
  for (const word of hear(samples)) t.ok(word.confidence > 0.97, `${word.word} ${word.confidence}`);
  t.equal(hear(samples).length, words.length);
});

void t.test("a phrase said again is the same, and not the same array", async (t) => {
  const first = voice.synthesize("Hello there.");
  const before = first.samples.slice();
  first.samples.fill(0);
  t.ok(equal(voice.synthesize("Hello there.").samples, before));
});

void t.test("odd texts are spoken as far as they can be, and always in tones", async (t) => {
  const texts = [
    "...",
    "-",
    "-w /etc/passwd",
    "[[h@l'oU]]",
    "<b>x</b>",
    "日本語",
    "😀",
    "a".repeat(150),
    "$1,299.95",
  ];
  for (const text of ["", ...texts]) {
    t.same(understood(hear(voice.synthesize(text).samples)), normalizeWords(text), text);
  }
});

void t.test("another voice sounds different, and an unknown one is refused by name", async (t) => {
  const other = await loadSpokenVoice({ voice: "es+m2" });
  const text = "¿Dónde está la señora?";
  t.notOk(equal(other.synthesize(text).samples, voice.synthesize(text).samples));
  t.same(understood(hear(other.synthesize(text).samples)), normalizeWords(text));
  await t.rejects(loadSpokenVoice({ voice: "nobody" }), /nobody/);
  t.equal(process.exitCode, undefined, "its failure does not become this process's");
});

function equal(a: Int16Array, b: Int16Array): boolean {
  return a.length === b.length && a.every((sample, index) => sample === b[index]);
}

function rmsDbfs(samples: Int16Array): number {
  let energy = 0;
  for (const sample of samples) energy += sample * sample;
  return 10 * Math.log10(energy / samples.length / 32768 ** 2 + 1e-12);
}

import t from "tap";
import { type AudioFormat, MULAW_8K, bytesPerMs, decodeInto, encodeInto } from "#runtime/media";
import { mulawTo } from "./mulaw-to.js";

const TONE_HZ = 500;
const TONE_MS = 400;
const AMPLITUDE = 8_000;

function tone(): Uint8Array {
  const samples = Int16Array.from({ length: TONE_MS * 8 }, (_, n) =>
    Math.round(AMPLITUDE * Math.sin((2 * Math.PI * TONE_HZ * n) / 8_000)),
  );
  const bytes = new Uint8Array(samples.length);
  encodeInto("mulaw", samples, 0, samples.length, bytes, 0);
  return bytes;
}

/** How strong `TONE_HZ` is in the audio when it is read as `format` says; AMPLITUDE for the tone itself. */
function toneIn(audio: Uint8Array, { encoding, sampleRateHz }: AudioFormat): number {
  const samples = new Int16Array(audio.length);
  const count = decodeInto(encoding, audio, 0, audio.length, samples, 0);
  let sine = 0;
  let cosine = 0;
  for (let n = 0; n < count; n++) {
    const angle = (2 * Math.PI * TONE_HZ * n) / sampleRateHz;
    sine += samples[n]! * Math.sin(angle);
    cosine += samples[n]! * Math.cos(angle);
  }
  return (2 * Math.hypot(sine, cosine)) / count;
}

void t.test("an apology sounds the same, and is as long, in every format a leg may carry", async (t) => {
  for (const format of [
    { encoding: "alaw", sampleRateHz: 8_000 },
    { encoding: "l16le", sampleRateHz: 8_000 },
    { encoding: "l16be", sampleRateHz: 16_000 },
    { encoding: "l16le", sampleRateHz: 24_000 },
    { encoding: "mulaw", sampleRateHz: 16_000 },
  ] as const) {
    const converted = mulawTo(format, tone());
    const name = `${format.encoding} at ${format.sampleRateHz} Hz`;
    const lengthMs = converted.length / bytesPerMs(format);
    t.ok(lengthMs >= TONE_MS && lengthMs <= TONE_MS + 3, `${name}: ${lengthMs} ms`);
    const strength = toneIn(converted, format);
    t.ok(Math.abs(strength / AMPLITUDE - 1) < 0.05, `${name}: ${strength}`);
  }
});

void t.test("what is in the leg's format already is handed on as it is", async (t) => {
  const audio = tone();
  t.equal(mulawTo(MULAW_8K, audio), audio);
});

import t from "tap";
import { seededRandom } from "#runtime/actor";
import { type AudioFormat, MULAW_8K } from "#runtime/media";
import { encodeForLeg, noise } from "#bench/speech";
import { FrameMeter, SILENCE_DB } from "./index.js";

const FORMATS: readonly AudioFormat[] = [
  MULAW_8K,
  { encoding: "alaw", sampleRateHz: 8000 },
  { encoding: "l16le", sampleRateHz: 8000 },
  { encoding: "l16be", sampleRateHz: 16000 },
  { encoding: "l16le", sampleRateHz: 24000 },
  { encoding: "l16le", sampleRateHz: 48000 },
];

function levelOf(samples: Int16Array, format: AudioFormat): number {
  const meter = new FrameMeter(format);
  const bytes = encodeForLeg(samples, format);
  t.equal(meter.feed(bytes, 0, bytes.length), meter.frameBytes);
  t.equal(meter.frameDone, true);
  return meter.levelDb;
}

void t.test("noise of a level reads as that level in every format", async (t) => {
  for (const format of FORMATS) {
    for (const levelDb of [-10, -30, -50]) {
      const read = levelOf(noise(20, levelDb, "white", seededRandom(1)), format);
      t.ok(
        Math.abs(read - levelDb) < 0.3,
        `${format.encoding} ${format.sampleRateHz}: ${levelDb} read as ${read}`,
      );
    }
  }
});

void t.test("the carriers' bytes of silence read as silence", async (t) => {
  const meter = new FrameMeter(MULAW_8K);
  meter.feed(new Uint8Array(160).fill(0xff), 0, 160);
  t.equal(meter.levelDb, SILENCE_DB);
});

void t.test("a constant offset is not sound", async (t) => {
  t.ok(levelOf(new Int16Array(160).fill(5_000), { encoding: "l16le", sampleRateHz: 8000 }) === SILENCE_DB);
});

void t.test("a pure tone crosses zero twice a period", async (t) => {
  const meter = new FrameMeter({ encoding: "l16le", sampleRateHz: 8000 });
  const tone = Int16Array.from(
    { length: 160 },
    (_, i) => 8_000 * Math.sin((2 * Math.PI * 1_000 * (i + 0.5)) / 8_000),
  );
  meter.feed(encodeForLeg(tone, { encoding: "l16le", sampleRateHz: 8000 }), 0, 320);
  t.ok(Math.abs(meter.crossings - 40) <= 1, `${meter.crossings} crossings`);
});

void t.test("frames read the same however the bytes are cut into records", async (t) => {
  const random = seededRandom(7);
  for (const format of FORMATS) {
    const bytes = encodeForLeg(noise(400, -25, "car", random), format);
    const whole = framesOf(bytes, format, () => bytes.length);
    const even = (length: number) => Math.max(2, length - (length % 2));
    const cut = framesOf(bytes, format, () => even(Math.floor(random.next() * 500)));
    t.equal(whole.length, 20);
    t.same(cut, whole, `${format.encoding} ${format.sampleRateHz}`);
  }
});

void t.test("a gap of 20 ms shows in a half frame wherever it falls", async (t) => {
  for (let shiftMs = 0; shiftMs < 20; shiftMs += 1) {
    const samples = noise(100, -20, "white", seededRandom(3));
    samples.fill(0, (40 + shiftMs) * 8, (60 + shiftMs) * 8);
    const quietest = Math.min(
      ...framesOf(encodeForLeg(samples, MULAW_8K), MULAW_8K, () => 160).map(([, half]) => half!),
    );
    t.equal(quietest, SILENCE_DB, `gap ${shiftMs} ms into the frame`);
  }
});

function framesOf(bytes: Uint8Array, format: AudioFormat, recordBytes: () => number): number[][] {
  const meter = new FrameMeter(format);
  const frames: number[][] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const end = Math.min(bytes.length, offset + recordBytes());
    while (offset < end) {
      offset = meter.feed(bytes, offset, end);
      if (meter.frameDone) frames.push([meter.levelDb, meter.quietHalfDb, meter.crossings]);
    }
  }
  return frames;
}

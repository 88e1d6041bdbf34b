import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { decodeWav, encodeWav, writeStereoWav } from "./wav.js";

void t.test("what was written is read back, the shorter channel filled with silence", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "wav-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const left = Int16Array.of(1, -2, 32767, -32768);
  const right = Int16Array.of(7, 8);
  await writeStereoWav(join(folder, "stereo.wav"), left, right, 8000);
  t.same(decodeWav(await readFile(join(folder, "stereo.wav"))), {
    sampleRateHz: 8000,
    channels: [left, Int16Array.of(7, 8, 0, 0)],
  });
  const mono = { sampleRateHz: 24_000, channels: [left] };
  t.same(decodeWav(encodeWav(mono)), mono);
});

void t.test("the header is the canonical one, byte for byte", async (t) => {
  const bytes = encodeWav({ sampleRateHz: 8000, channels: [Int16Array.of(0x0102), Int16Array.of(-1)] });
  t.equal(
    Buffer.from(bytes).toString("hex"),
    "52494646" +
      "28000000" +
      "57415645" +
      "666d7420" +
      "10000000" +
      "0100" +
      "0200" +
      "401f0000" +
      "007d0000" +
      "0400" +
      "1000" +
      "64617461" +
      "04000000" +
      "0201" +
      "ffff",
  );
});

void t.test(
  "other chunks are skipped, and a data chunk that promises too much is read as far as it goes",
  async (t) => {
    const plain = encodeWav({ sampleRateHz: 8000, channels: [Int16Array.of(5, 6)] });
    const list = Buffer.from("LIST\u0003\u0000\u0000\u0000abc\u0000", "latin1");
    const bytes = Buffer.concat([plain.subarray(0, 36), list, plain.subarray(36)]);
    bytes.writeUInt32LE(0xffffffff, 36 + list.length + 4);
    t.same(decodeWav(bytes).channels, [Int16Array.of(5, 6)]);
  },
);

void t.test("µ-law is read as what it decodes to, per channel", async (t) => {
  const bytes = encodeWav({ sampleRateHz: 8000, channels: [Int16Array.of(0x00ff), Int16Array.of(0x0080)] });
  bytes[20] = 7;
  bytes[34] = 8;
  // Four bytes of data: 0xff, 0x00, 0x80, 0x00 in turn for left and right.
  const lowest = -32_124;
  t.same(decodeWav(bytes).channels, [Int16Array.of(0, 32_124), Int16Array.of(lowest, lowest)]);
});

void t.test("what is neither 16-bit PCM nor µ-law is refused with a reason", async (t) => {
  t.throws(() => decodeWav(new Uint8Array(3)), /RIFF/);
  const bytes = encodeWav({ sampleRateHz: 8000, channels: [Int16Array.of(1)] });
  t.throws(() => decodeWav(bytes.subarray(0, 36)), /no data/);
  bytes[20] = 6;
  t.throws(() => decodeWav(bytes), /format 6/);
});

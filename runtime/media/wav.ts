/** The header of a WAV file in a format we carry; the audio follows as it is, but for `l16be`, which WAV has not. */
import { type AudioFormat, bytesPerSample } from "./format.js";

/** `fmt ` of 18 bytes and a `fact` chunk: what the compressed formats want, and PCM does not mind. */
export const WAV_HEADER_BYTES = 58;

const FORMAT_TAG = { mulaw: 7, alaw: 6, l16le: 1 } as const;

/**
 * ```
 * RIFF size WAVE | fmt  18 (tag, 1 channel, rate, bytes/s, bytes/sample, bits, 0) | fact 4 n | data n …
 * ```
 */
export function wavHeader({ encoding, sampleRateHz }: AudioFormat, dataBytes: number): Uint8Array {
  const sampleBytes = bytesPerSample(encoding);
  const header = Buffer.alloc(WAV_HEADER_BYTES);
  header.write("RIFF", 0, "latin1");
  header.writeUInt32LE(WAV_HEADER_BYTES - 8 + dataBytes + (dataBytes % 2), 4);
  header.write("WAVEfmt ", 8, "latin1");
  header.writeUInt32LE(18, 16);
  header.writeUInt16LE(FORMAT_TAG[encoding === "l16be" ? "l16le" : encoding], 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(sampleRateHz, 24);
  header.writeUInt32LE(sampleRateHz * sampleBytes, 28);
  header.writeUInt16LE(sampleBytes, 32);
  header.writeUInt16LE(sampleBytes * 8, 34);
  header.write("fact", 38, "latin1");
  header.writeUInt32LE(4, 42);
  header.writeUInt32LE(dataBytes / sampleBytes, 46);
  header.write("data", 50, "latin1");
  header.writeUInt32LE(dataBytes, 54);
  return header;
}

/**
 * WAV files: 16-bit PCM for people to listen to and for tests to read back, and µ-law to read what a carrier is
 * given to play. Chunks other than `fmt ` and `data` are skipped.
 */
import { writeFile } from "node:fs/promises";
import { TextDecoder } from "node:util";
import { decodeInto } from "#runtime/media";

const HEADER_BYTES = 44;
const PCM = 1;
const MULAW = 7;
const BYTES_PER_SAMPLE = 2;

export interface WavAudio {
  readonly sampleRateHz: number;
  /** One array per channel, equally long. */
  readonly channels: readonly Int16Array[];
}

/** The shorter side is filled up with silence. */
export async function writeStereoWav(
  path: string,
  left: Int16Array,
  right: Int16Array,
  sampleRateHz: number,
): Promise<void> {
  await writeFile(path, encodeWav({ sampleRateHz, channels: [left, right] }));
}

export function encodeWav(audio: WavAudio): Uint8Array {
  const channelCount = audio.channels.length;
  const frameCount = Math.max(0, ...audio.channels.map((channel) => channel.length));
  const blockBytes = channelCount * BYTES_PER_SAMPLE;
  const dataBytes = frameCount * blockBytes;
  const bytes = new Uint8Array(HEADER_BYTES + dataBytes);
  const view = new DataView(bytes.buffer);
  writeTag(bytes, 0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + dataBytes, true);
  writeTag(bytes, 8, "WAVE");
  writeTag(bytes, 12, "fmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, PCM, true);
  view.setUint16(22, channelCount, true);
  view.setUint32(24, audio.sampleRateHz, true);
  view.setUint32(28, audio.sampleRateHz * blockBytes, true);
  view.setUint16(32, blockBytes, true);
  view.setUint16(34, BYTES_PER_SAMPLE * 8, true);
  writeTag(bytes, 36, "data");
  view.setUint32(40, dataBytes, true);
  audio.channels.forEach((channel, channelIndex) => {
    let at = HEADER_BYTES + channelIndex * BYTES_PER_SAMPLE;
    for (let i = 0; i < channel.length; i++) {
      view.setInt16(at, channel[i]!, true);
      at += blockBytes;
    }
  });
  return bytes;
}

/** A RangeError or Error says what is wrong with a file that is neither 16-bit PCM nor µ-law. */
export function decodeWav(bytes: Uint8Array): WavAudio {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || readTag(bytes, 0) !== "RIFF" || readTag(bytes, 8) !== "WAVE") {
    throw new Error("not a WAV file: it does not begin with a RIFF/WAVE header");
  }
  let channelCount = 0;
  let sampleRateHz = 0;
  let isMulaw = false;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const tag = readTag(bytes, at);
    const body = at + 8;
    const size = Math.min(view.getUint32(at + 4, true), bytes.length - body);
    if (tag === "fmt ") {
      const format = view.getUint16(body, true);
      const bits = view.getUint16(body + 14, true);
      isMulaw = format === MULAW && bits === 8;
      if (!isMulaw && (format !== PCM || bits !== 16)) {
        throw new Error(
          `only 16-bit PCM and µ-law are read; this file has format ${format} with ${bits} bits`,
        );
      }
      channelCount = view.getUint16(body + 2, true);
      sampleRateHz = view.getUint32(body + 4, true);
    } else if (tag === "data" && channelCount > 0) {
      const data = isMulaw
        ? mulawToPcm(bytes.subarray(body, body + size))
        : bytes.subarray(body, body + size);
      return { sampleRateHz, channels: deinterleave(data, channelCount) };
    }
    // Chunks are padded to an even length.
    at = body + size + (size % 2);
  }
  throw new Error("not a complete WAV file: it has no data after its format");
}

function mulawToPcm(data: Uint8Array): Uint8Array {
  const samples = new Int16Array(data.length);
  decodeInto("mulaw", data, 0, data.length, samples, 0);
  const pcm = Buffer.alloc(data.length * BYTES_PER_SAMPLE);
  samples.forEach((sample, index) => pcm.writeInt16LE(sample, index * BYTES_PER_SAMPLE));
  return pcm;
}

function deinterleave(data: Uint8Array, channelCount: number): Int16Array[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const blockBytes = channelCount * BYTES_PER_SAMPLE;
  const frameCount = Math.floor(data.length / blockBytes);
  return Array.from({ length: channelCount }, (_, channelIndex) => {
    const channel = new Int16Array(frameCount);
    for (let i = 0; i < frameCount; i++) {
      channel[i] = view.getInt16(i * blockBytes + channelIndex * BYTES_PER_SAMPLE, true);
    }
    return channel;
  });
}

function writeTag(bytes: Uint8Array, at: number, tag: string): void {
  for (let i = 0; i < 4; i++) bytes[at + i] = tag.charCodeAt(i);
}

function readTag(bytes: Uint8Array, at: number): string {
  return new TextDecoder("latin1").decode(bytes.subarray(at, at + 4));
}

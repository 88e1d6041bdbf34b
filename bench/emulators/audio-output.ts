/** Speech at 8 kHz as bytes of whatever encoding and rate was asked for. */
import { type AudioEncoding, Resampler, type SampleRateHz, encodeInto } from "#runtime/media";

export const TTS_ENCODINGS = ["pcm_mulaw", "pcm_alaw", "pcm_s16le", "pcm_f32le"] as const;
export type TtsEncoding = (typeof TTS_ENCODINGS)[number];

export interface OutputFormat {
  readonly encoding: TtsEncoding;
  readonly sample_rate: number;
}

const SPOKEN_RATE_HZ = 8000;

export const BYTES_PER_SAMPLE: Readonly<Record<TtsEncoding, number>> = {
  pcm_mulaw: 1,
  pcm_alaw: 1,
  pcm_s16le: 2,
  pcm_f32le: 4,
};

const ENCODINGS: Readonly<Record<Exclude<TtsEncoding, "pcm_f32le">, AudioEncoding>> = {
  pcm_mulaw: "mulaw",
  pcm_alaw: "alaw",
  pcm_s16le: "l16le",
};

export function encodeSpeech(samples: Int16Array, format: OutputFormat): Buffer {
  const resampled = atRate(samples, format.sample_rate);
  const bytes = Buffer.alloc(resampled.length * BYTES_PER_SAMPLE[format.encoding]);
  if (format.encoding !== "pcm_f32le") {
    encodeInto(ENCODINGS[format.encoding], resampled, 0, resampled.length, bytes, 0);
    return bytes;
  }
  for (let n = 0; n < resampled.length; n++) bytes.writeFloatLE(resampled[n]! / 32768, n * 4);
  return bytes;
}

function atRate(samples: Int16Array, rateHz: number): Int16Array {
  switch (rateHz) {
    case SPOKEN_RATE_HZ:
      return samples;
    case 16_000:
    case 24_000:
    case 48_000:
      return resample(samples, rateHz);
    default:
      // 44.1 and 22.05 kHz: straight lines between samples at 48 kHz, which are twelve times denser than speech needs.
      return interpolate(resample(samples, 48_000), rateHz / 48_000);
  }
}

/** The filter's tail is let out, so that as much comes out as went in and the words keep their place. */
function resample(samples: Int16Array, rateHz: SampleRateHz): Int16Array {
  const resampler = new Resampler(SPOKEN_RATE_HZ, rateHz);
  const tail = Math.ceil((resampler.delayMs * SPOKEN_RATE_HZ) / 1000);
  const padded = new Int16Array(samples.length + tail);
  padded.set(samples);
  const resampled = new Int16Array(resampler.outputCount(padded.length));
  resampler.process(padded, 0, padded.length, resampled, 0);
  const lead = Math.round((resampler.delayMs * rateHz) / 1000);
  return resampled.subarray(lead, lead + (samples.length * rateHz) / SPOKEN_RATE_HZ);
}

function interpolate(samples: Int16Array, factor: number): Int16Array {
  return Int16Array.from({ length: Math.floor(samples.length * factor) }, (_, index) => {
    const at = index / factor;
    const before = Math.floor(at);
    const share = at - before;
    return Math.round(samples[before]! * (1 - share) + (samples[before + 1] ?? 0) * share);
  });
}

/** A header that says "as long as it lasts" unless the length of the audio is known. */
export function wavHeader(format: OutputFormat, dataBytes = 0xffff_ffff): Buffer {
  const bytesPerSample = BYTES_PER_SAMPLE[format.encoding];
  const header = Buffer.alloc(44);
  header.write("RIFF", 0, "latin1");
  header.writeUInt32LE(Math.min(0xffff_ffff, dataBytes + 36), 4);
  header.write("WAVEfmt ", 8, "latin1");
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(WAV_FORMAT_TAGS[format.encoding], 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(format.sample_rate, 24);
  header.writeUInt32LE(format.sample_rate * bytesPerSample, 28);
  header.writeUInt16LE(bytesPerSample, 32);
  header.writeUInt16LE(bytesPerSample * 8, 34);
  header.write("data", 36, "latin1");
  header.writeUInt32LE(dataBytes, 40);
  return header;
}

const WAV_FORMAT_TAGS: Readonly<Record<TtsEncoding, number>> = {
  pcm_mulaw: 7,
  pcm_alaw: 6,
  pcm_s16le: 1,
  pcm_f32le: 3,
};

/**
 * What a 20 ms frame costs in codecs and resamplers, beside doing nothing and a plain copy of its bytes.
 */
import {
  type AudioEncoding,
  bytesPerSample,
  decodeInto,
  encodeInto,
  Resampler,
  type SampleRateHz,
  type VoiceRateHz,
} from "#runtime/media";
import { type Batch, threeFigures, timeBatches } from "./stopwatch.js";
import type { SuiteOptions, SuiteResult } from "./suite.js";

const ENCODINGS: readonly AudioEncoding[] = ["mulaw", "alaw", "l16le", "l16be"];
const RATES: readonly SampleRateHz[] = [8_000, 16_000, 24_000, 48_000];
const VOICE_RATES: readonly VoiceRateHz[] = [...RATES, 22_050, 44_100];
const FRAMES_PER_SECOND = 50;
/** 20 ms at 8 kHz. */
const FRAME_SAMPLES = 160;
const LONGEST_FRAME_SAMPLES = 960;

interface Measurement {
  readonly what: string;
  readonly batch: Batch;
}

/** Two tones of a speech-like level: no codec or filter is quicker on them than on speech. */
function twoTones(rateHz: number): Int16Array {
  const step = (2 * Math.PI) / rateHz;
  return Int16Array.from({ length: rateHz / FRAMES_PER_SECOND }, (_, n) =>
    Math.round(4_000 * Math.sin(440 * step * n) + 2_500 * Math.sin(1_850 * step * n)),
  );
}

function baselines(): Measurement[] {
  const source = new Uint8Array(FRAME_SAMPLES).fill(0x55);
  const target = new Uint8Array(FRAME_SAMPLES);
  const nothing: Batch = (count) => {
    let sum = 0;
    for (let n = 0; n < count; n++) sum = (sum + n) | 0;
    return sum;
  };
  const copy: Batch = (count) => {
    for (let n = 0; n < count; n++) {
      source[n % FRAME_SAMPLES] = n;
      target.set(source);
    }
    return target[count % FRAME_SAMPLES]!;
  };
  return [
    { what: "nothing", batch: nothing },
    { what: "copy of 160 bytes", batch: copy },
  ];
}

function codecs(): Measurement[] {
  const samples = twoTones(8_000);
  return ENCODINGS.flatMap((encoding) => {
    const bytes = new Uint8Array(FRAME_SAMPLES * bytesPerSample(encoding));
    const target = new Int16Array(FRAME_SAMPLES);
    const encode: Batch = (count) => {
      for (let n = 0; n < count; n++) encodeInto(encoding, samples, 0, FRAME_SAMPLES, bytes, 0);
      return bytes[count % bytes.length]!;
    };
    const decode: Batch = (count) => {
      for (let n = 0; n < count; n++) decodeInto(encoding, bytes, 0, bytes.length, target, 0);
      return target[count % FRAME_SAMPLES]!;
    };
    return [
      { what: `encode ${encoding}, 8 kHz`, batch: encode },
      { what: `decode ${encoding}, 8 kHz`, batch: decode },
    ];
  });
}

function resamplers(): Measurement[] {
  return VOICE_RATES.flatMap((fromHz) =>
    RATES.filter((toHz) => toHz !== fromHz).map((toHz) => {
      const source = twoTones(fromHz);
      const target = new Int16Array(LONGEST_FRAME_SAMPLES);
      const resampler = new Resampler(fromHz, toHz);
      const batch: Batch = (count) => {
        for (let n = 0; n < count; n++) resampler.process(source, 0, source.length, target, 0);
        return target[count % 160]!;
      };
      return { what: `resample ${fromHz / 1_000} to ${toHz / 1_000} kHz`, batch };
    }),
  );
}

export async function run(options: SuiteOptions): Promise<SuiteResult> {
  const measurements = [...baselines(), ...codecs(), ...resamplers()];
  let digest = 0;
  const rows = measurements.map(({ what, batch }) => {
    const timing = timeBatches(options.seconds / measurements.length, batch);
    digest = (digest + timing.digest) | 0;
    return {
      what,
      nsPerFrame: threeFigures(timing.medianNs),
      bestNsPerFrame: threeFigures(timing.bestNs),
      // One stream of frames per call.
      corePctAt1000Calls: threeFigures((timing.medianNs * FRAMES_PER_SECOND * 1_000 * 100) / 1e9),
    };
  });
  const notes = ["a frame is 20 ms; median of batches of 0.2 ms", `digest ${digest >>> 0}`];
  return { name: "codec", rows, notes };
}

/** An apology is kept once, as µ-law at 8 kHz; a leg that carries something else gets it made over. */
import {
  type AudioFormat,
  MULAW_8K,
  Resampler,
  bytesPerSample,
  decodeInto,
  encodeInto,
} from "#runtime/media";

/** The same array when `format` is µ-law at 8 kHz. A few milliseconds of work for an apology: not per frame. */
export function mulawTo(format: AudioFormat, audio: Uint8Array): Uint8Array {
  const { encoding, sampleRateHz } = format;
  if (encoding === MULAW_8K.encoding && sampleRateHz === MULAW_8K.sampleRateHz) return audio;
  const resampler = new Resampler(MULAW_8K.sampleRateHz, sampleRateHz);
  // The filter holds the last sound back: so much silence after it brings it out.
  const tailCount = Math.ceil((resampler.delayMs * MULAW_8K.sampleRateHz) / 1_000);
  const narrow = new Int16Array(audio.length + tailCount);
  decodeInto(MULAW_8K.encoding, audio, 0, audio.length, narrow, 0);
  const wide = new Int16Array(resampler.outputCount(narrow.length));
  const sampleCount = resampler.process(narrow, 0, narrow.length, wide, 0);
  const converted = new Uint8Array(sampleCount * bytesPerSample(encoding));
  encodeInto(encoding, wide, 0, sampleCount, converted, 0);
  return converted;
}

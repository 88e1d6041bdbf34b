/**
 * The audio a leg carries. Rings hold the carrier's own bytes in this format: no transcoding happens
 * on the way unless a provider cannot speak it.
 */

/** G.711 or signed 16-bit linear PCM; `le`/`be` is the byte order on the wire. */
export type AudioEncoding = "mulaw" | "alaw" | "l16le" | "l16be";
export type SampleRateHz = 8000 | 16000 | 24000 | 48000;
/** What the resampler takes beside them: rates of voices that run on one's own machines. */
export type VoiceRateHz = SampleRateHz | 22050 | 44100;

/** Always one channel. */
export interface AudioFormat {
  readonly encoding: AudioEncoding;
  readonly sampleRateHz: SampleRateHz;
}

/** A frame is 20 ms everywhere. */
export const FRAME_MS = 20;

export const MULAW_8K: AudioFormat = { encoding: "mulaw", sampleRateHz: 8000 };

export function bytesPerSample(encoding: AudioEncoding): 1 | 2 {
  return encoding === "mulaw" || encoding === "alaw" ? 1 : 2;
}

/** Bytes of one millisecond; whole for every format we carry. */
export function bytesPerMs(format: AudioFormat): number {
  return (format.sampleRateHz / 1000) * bytesPerSample(format.encoding);
}

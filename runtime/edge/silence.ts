/** Silence as bytes, to put where a carrier lost audio. */
import { type AudioFormat, bytesPerMs, FRAME_MS, silenceByte } from "#runtime/media";

const frames = new Map<string, Uint8Array>();

/** One frame of it, shared by all legs of the format: only to be read. */
export function silenceOf(format: AudioFormat): Uint8Array {
  const key = `${format.encoding}/${format.sampleRateHz}`;
  let frame = frames.get(key);
  if (frame === undefined) {
    frame = new Uint8Array(FRAME_MS * bytesPerMs(format)).fill(silenceByte(format.encoding));
    frames.set(key, frame);
  }
  return frame;
}

/**
 * The detectors the VAD suite compares, behind one interface: ours, WebRTC's (a third party's opinion, from
 * npm, WebAssembly) and the floor below which no detector can cost: adding up the bytes.
 */
import { AudioLevels, EchoGuard, VadEvent, VoiceActivity } from "#actors/speech";
import { type AudioFormat, FRAME_MS, MULAW_8K, bytesPerMs, decodeInto } from "#runtime/media";

export interface Detector {
  readonly name: string;
  /** Forgets the line it was on. */
  reset(): void;
  /** One frame of the leg's bytes, the `index`th; whether it holds speech by the detector's own hangover. */
  push(bytes: Uint8Array, offset: number, index: number): boolean;
  close(): void;
}

export function lumentraDetector(format: AudioFormat = MULAW_8K): Detector {
  const frameBytes = bytesPerMs(format) * FRAME_MS;
  let voice = new VoiceActivity(format);
  return {
    name: "lumentra",
    reset: () => {
      voice = new VoiceActivity(format);
    },
    push: (bytes, offset, index) => {
      const event = voice.push(bytes, offset, frameBytes, (index + 1) * FRAME_MS);
      return event === VadEvent.speechStart || voice.isSpeech;
    },
    close: () => undefined,
  };
}

/** With the echo guard at work: the agent speaks all the while. */
export function guardedDetector(): Detector {
  const frameBytes = bytesPerMs(MULAW_8K) * FRAME_MS;
  const levels = new AudioLevels(MULAW_8K);
  let guard = new EchoGuard();
  let voice = new VoiceActivity(MULAW_8K, { echoGuard: guard });
  return {
    name: "lumentra while the agent speaks",
    reset: () => {
      guard = new EchoGuard();
      voice = new VoiceActivity(MULAW_8K, { echoGuard: guard });
    },
    push: (bytes, offset, index) => {
      levels.reset();
      levels.push(bytes.subarray(offset, offset + frameBytes));
      guard.noteSentLevel(levels.at(0), index * FRAME_MS);
      voice.push(bytes, offset, frameBytes, (index + 1) * FRAME_MS);
      return voice.isSpeech;
    },
    close: () => undefined,
  };
}

/** 2 of 0 to 3: what telephony products ship with. */
const WEBRTC_MODE = 2;

/** µ-law at 8 kHz only: it wants samples, so decoding is part of its cost, as it would be of ours. */
export async function webrtcDetector(): Promise<Detector> {
  const { default: load } = await import("@echogarden/fvad-wasm");
  const wasm = await load();
  const sampleCount = 8 * FRAME_MS;
  const pointer = wasm._malloc(sampleCount * 2);
  let detector = 0;
  const open = (): void => {
    detector = wasm._fvad_new();
    wasm._fvad_set_mode(detector, WEBRTC_MODE);
    wasm._fvad_set_sample_rate(detector, MULAW_8K.sampleRateHz);
  };
  open();
  return {
    name: `webrtc, mode ${WEBRTC_MODE}`,
    reset: () => {
      wasm._fvad_free(detector);
      open();
    },
    push: (bytes, offset) => {
      decodeInto(MULAW_8K.encoding, bytes, offset, sampleCount, wasm.HEAP16, pointer / 2);
      return wasm._fvad_process(detector, pointer, sampleCount) === 1;
    },
    close: () => {
      wasm._fvad_free(detector);
      wasm._free(pointer);
    },
  };
}

/** The cost of doing nothing but look at each byte once. */
export function summingDetector(format: AudioFormat = MULAW_8K): Detector {
  const frameBytes = bytesPerMs(format) * FRAME_MS;
  return {
    name: "adding up the bytes",
    reset: () => undefined,
    push: (bytes, offset) => {
      let sum = 0;
      for (let index = offset; index < offset + frameBytes; index += 1) sum += bytes[index]!;
      return sum > 0;
    },
    close: () => undefined,
  };
}

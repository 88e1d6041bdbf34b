/** What the compliance suite of voices sees of one reply: every event in its order, and what a suite asks of them. */
import type { VirtualClock } from "#runtime/actor";
import { type AudioFormat, bytesPerMs } from "#runtime/media";
import { Recorder } from "../compliance-kit.js";
import type { TtsEvents, TtsProvider, TtsRequest, TtsStream, TtsWord } from "./provider.js";

/** One reply under test with the record of its events. */
export class Speaking implements TtsEvents {
  readonly recorder: Recorder;
  readonly callId: string;
  readonly stream: TtsStream;
  readonly words: TtsWord[] = [];
  readonly chunkBytes: number[] = [];
  onEachEvent: () => void = () => undefined;
  readonly #format: AudioFormat;
  readonly #chunks: Buffer[] = [];

  constructor(provider: TtsProvider, request: TtsRequest, clock: VirtualClock) {
    this.recorder = new Recorder(clock);
    this.callId = request.callId;
    this.#format = request.format;
    this.stream = this.recorder.calling(() => provider.speak(request, this));
  }

  push(text: string): void {
    this.recorder.calling(() => this.stream.push(text));
  }

  finish(): void {
    this.recorder.calling(() => this.stream.finish());
  }

  cancel(): void {
    this.recorder.end();
    this.recorder.calling(() => this.stream.cancel());
  }

  audio(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Until the audio of the first so many words has come. */
  untilAudioOf(wordCount: number): Promise<void> {
    return this.recorder.until(() => {
      const last = this.words[wordCount - 1];
      return last !== undefined && this.audio().length / bytesPerMs(this.#format) >= last.endMs;
    });
  }

  onAudio(audio: Uint8Array): void {
    this.chunkBytes.push(audio.length);
    this.#chunks.push(Buffer.from(audio)); // the view is valid only now
    this.recorder.record("onAudio", audio.length);
    this.onEachEvent();
  }

  onWords(words: readonly TtsWord[]): void {
    this.words.push(...words);
    this.recorder.record("onWords", words);
    this.onEachEvent();
  }

  onDone(): void {
    this.recorder.record("onDone", null, true);
    this.onEachEvent();
  }

  onError(error: Parameters<TtsEvents["onError"]>[0]): void {
    this.recorder.fail(error);
    this.onEachEvent();
  }
}

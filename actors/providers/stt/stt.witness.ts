/** What the compliance suite of recognisers sees of one stream: every event in its order, and what a suite asks of them. */
import type { VirtualClock } from "#runtime/actor";
import { Recorder } from "../compliance-kit.js";
import type { SttEvents, SttProvider, SttRequest, SttStream, SttTranscript } from "./provider.js";

export const SILENCE = Buffer.alloc(160, 0xff);
/** Audio after a sentence: enough for any endpointing. */
export const PAUSE_FRAMES = 60;

/** One stream under test with the record of its events. */
export class Listening implements SttEvents {
  readonly recorder: Recorder;
  readonly stream: SttStream;
  onEachEvent: () => void = () => undefined;
  writtenMs = 0;

  constructor(provider: SttProvider, request: SttRequest, clock: VirtualClock) {
    this.recorder = new Recorder(clock);
    this.stream = this.recorder.calling(() => provider.open(request, this));
  }

  write(audio: Uint8Array, speech?: boolean): void {
    this.writtenMs += audio.length / 8;
    this.recorder.calling(() => this.stream.write(audio, speech));
  }

  /** In frames, as a call does. */
  say(audio: Uint8Array, pauseFrames = PAUSE_FRAMES): void {
    for (let at = 0; at < audio.length; at += 160) this.write(audio.subarray(at, at + 160));
    for (let frame = 0; frame < pauseFrames; frame++) this.write(SILENCE, false);
  }

  pause(): void {
    this.say(new Uint8Array(0));
  }

  finalize(): void {
    this.recorder.calling(() => this.stream.finalize());
  }

  close(): void {
    this.recorder.calling(() => this.stream.close());
    this.recorder.end();
  }

  untilPause(count = 1): Promise<void> {
    return this.recorder.untilEvent("pause", count);
  }

  finals(): readonly SttTranscript[] {
    return this.recorder.values("onFinal") as readonly SttTranscript[];
  }

  words() {
    return this.finals().flatMap((final) => final.words);
  }

  /** All finals, without case and punctuation. */
  heard(): string {
    const text = this.finals().map((final) => final.text);
    return text
      .filter((part) => part !== "")
      .join(" ")
      .toLowerCase()
      .replace(/[.,?!]/g, "");
  }

  onReady(): void {
    this.recorder.record("onReady", null);
    this.onEachEvent();
  }

  onInterim(transcript: SttTranscript): void {
    this.recorder.record("onInterim", transcript);
    this.onEachEvent();
  }

  onFinal(transcript: SttTranscript, endOfSpeech: boolean): void {
    this.recorder.record("onFinal", transcript);
    const spoken = this.finals().some(({ text }) => text !== "");
    if (endOfSpeech && spoken) this.recorder.record("pause", transcript.endMs);
    this.onEachEvent();
  }

  onSpeechStarted(atMs: number): void {
    this.recorder.record("onSpeechStarted", atMs);
    this.onEachEvent();
  }

  onEagerEndOfTurn(transcript: SttTranscript): void {
    this.recorder.record("onEagerEndOfTurn", transcript);
    this.onEachEvent();
  }

  onTurnResumed(): void {
    this.recorder.record("onTurnResumed", null);
    this.onEachEvent();
  }

  onError(error: Parameters<SttEvents["onError"]>[0]): void {
    this.recorder.fail(error);
    this.onEachEvent();
  }
}

/** What the compliance suite of language models sees of one reply: every event in its order, and what a suite asks of them. */
import type { VirtualClock } from "#runtime/actor";
import { Recorder } from "../compliance-kit.js";
import type { LlmEvents, LlmProvider, LlmRequest, LlmStream, LlmToolCall, LlmUsage } from "./provider.js";

/** One reply under test with the record of its events. */
export class Reading implements LlmEvents {
  readonly recorder: Recorder;
  readonly callId: string;
  readonly stream: LlmStream;
  onEachEvent: (event: string) => void = () => undefined;
  finish: string | null = null;
  usage: LlmUsage | null = null;

  constructor(provider: LlmProvider, request: LlmRequest, clock: VirtualClock) {
    this.recorder = new Recorder(clock);
    this.callId = request.callId;
    this.stream = this.recorder.calling(() => provider.generate(request, this));
  }

  cancel(): void {
    this.recorder.end();
    this.recorder.calling(() => this.stream.cancel());
  }

  text(): string {
    return this.recorder.values("onText").join("");
  }

  calls(): readonly LlmToolCall[] {
    return this.recorder.values("onToolCall") as readonly LlmToolCall[];
  }

  onText(delta: string): void {
    this.recorder.record("onText", delta);
    this.onEachEvent("onText");
  }

  onToolCall(call: LlmToolCall): void {
    this.recorder.record("onToolCall", call);
    this.onEachEvent("onToolCall");
  }

  onDone(finish: string, usage: LlmUsage | null): void {
    this.finish = finish;
    this.usage = usage;
    this.recorder.record("onDone", finish, true);
    this.onEachEvent("onDone");
  }

  onError(error: Parameters<LlmEvents["onError"]>[0]): void {
    this.recorder.fail(error);
    this.onEachEvent("onError");
  }
}

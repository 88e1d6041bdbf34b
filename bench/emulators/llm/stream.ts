/**
 * One streamed answer: its steps go out as server-sent events in its vendor's form, each at its instant.
 *
 * Phases: waiting (for the first token) -> streaming -> ended. Ended is reached once, by the last step, a
 * fault, or the client going away.
 *
 * S1: tokens are due at first token + n / rate, whenever the timer woke: lateness does not add up.
 * S2: everything due at a wake-up is written in one piece.
 */
import type { ServerResponse } from "node:http";
import type { TimerHandle } from "#runtime/actor";
import { faultOf } from "../faults.js";
import type { LlmRequestEntry } from "../log.js";
import type { EmulatorSettings } from "../options.js";
import type { LiveReply } from "./control.js";
import type { ModelFault } from "./faults.js";
import { type ReplyStep, completionTokens } from "./reply.js";
import type { Finish, StreamWriter } from "./wire.js";

export interface StreamPlan {
  readonly requestId: string;
  readonly writer: StreamWriter;
  readonly steps: readonly ReplyStep[];
  readonly finish: Finish;
  readonly firstTokenMs: number;
  readonly tokenDelayMs: number;
  readonly faults: readonly ModelFault[];
  readonly headers: Readonly<Record<string, string>>;
}

export class ReplyStream implements LiveReply {
  readonly #response: ServerResponse;
  readonly #settings: EmulatorSettings;
  readonly #plan: StreamPlan;
  readonly #entry: LlmRequestEntry;
  readonly #onEnd: (tokenCount: number) => void;
  #timer: TimerHandle | null = null;
  /** With `splitUtf8`: the second piece of the last write, which follows a moment later. */
  #carry: Buffer = Buffer.alloc(0);
  #nextStep = 0;
  #tokenCount = 0;
  #dueAtMs: number;
  #begun = false;
  #ended = false;
  #stalled = false;
  /** The armed stall was served. */
  #stallServed = false;

  /** `onEnd` is called once, with the completion tokens that were sent. */
  constructor(
    response: ServerResponse,
    settings: EmulatorSettings,
    plan: StreamPlan,
    entry: LlmRequestEntry,
    onEnd: (tokenCount: number) => void,
  ) {
    this.#response = response;
    this.#settings = settings;
    this.#plan = plan;
    this.#entry = entry;
    this.#onEnd = onEnd;
    this.#dueAtMs = entry.receivedAtMs + plan.firstTokenMs;
    response.on("close", () => this.abandon());
    this.#sleepUntilDue();
  }

  get callId(): string | null {
    return this.#entry.callId;
  }

  get requestId(): string {
    return this.#entry.requestId;
  }

  /** Resets the connection now. */
  cut(): void {
    this.#response.socket?.resetAndDestroy();
  }

  /** Sends nothing more, and leaves the connection open. */
  stall(): void {
    this.#stalled = true;
    this.#timer?.cancel();
  }

  /** Ends a stall. */
  resume(): void {
    if (!this.#stalled) return;
    this.#stalled = false;
    this.#sleepUntilDue();
  }

  /** The connection is gone. */
  abandon(): void {
    this.#end("aborted");
  }

  #sleepUntilDue(): void {
    if (this.#ended || this.#stalled) return;
    const delayMs = Math.max(0, this.#dueAtMs - this.#settings.clock.nowMs());
    this.#timer = this.#settings.clock.setTimer(delayMs, () => this.#pump());
  }

  /** Writes every step that is due, then sleeps until the next. */
  #pump(): void {
    const nowMs = this.#settings.clock.nowMs();
    const { steps, tokenDelayMs } = this.#plan;
    let batch = "";
    while (this.#dueAtMs <= nowMs) {
      const step = steps[this.#nextStep] ?? null;
      const fault = this.#dueFault(step);
      if (fault !== null) {
        this.#write(batch);
        this.#befall(fault);
        return;
      }
      if (step === null) {
        this.#finish(batch + this.#begin());
        return;
      }
      this.#nextStep += 1;
      if (step.kind === "pause") this.#dueAtMs = Math.max(this.#dueAtMs, nowMs) + step.ms;
      else if (step.kind === "gate") {
        this.#write(batch);
        this.#waitFor(step.opened);
        return;
      } else {
        batch += this.#begin() + this.#stepEvent(step);
        this.#tokenCount += 1;
        // S1. The finish is due with the last token.
        if (this.#nextStep < steps.length) this.#dueAtMs += tokenDelayMs;
      }
    }
    this.#write(batch);
    this.#sleepUntilDue();
  }

  /** What comes before the first token; also the instant the headers go. */
  #begin(): string {
    if (this.#begun) return "";
    this.#begun = true;
    this.#response.writeHead(200, {
      "content-type": "text/event-stream",
      "cache-control": "no-cache",
      ...this.#plan.headers,
    });
    this.#entry.status = 200;
    return this.#framed(this.#plan.writer.begin());
  }

  #stepEvent(step: Extract<ReplyStep, { kind: "token" | "toolFragment" }>): string {
    if (step.kind === "token") {
      this.#entry.reply += step.text;
      return this.#framed(this.#plan.writer.text(step.text));
    }
    if (step.begins !== null) this.#entry.toolCalls.push(step.begins);
    return this.#framed(this.#plan.writer.toolFragment(step.delta));
  }

  #finish(batch: string): void {
    const { faults, writer, steps, finish } = this.#plan;
    const last = writer.finish(finish, completionTokens(steps));
    const isWhole = faultOf(faults, "missingDone") === undefined;
    this.#write(batch + this.#framed(isWhole ? [...last, ...writer.lastWord()] : last));
    this.#end("done");
  }

  /** The fault that stands before this step (null: before the finish), if its instant has come. */
  #dueFault(step: ReplyStep | null): MidStreamFault | null {
    if (step?.kind === "pause" || step?.kind === "gate") return null;
    for (const fault of this.#plan.faults) {
      if (!isMidStream(fault) || this.#tokenCount < fault.afterTokens) continue;
      if (fault.kind === "stall" && this.#stallServed) continue;
      return fault;
    }
    return null;
  }

  #befall(fault: MidStreamFault): void {
    switch (fault.kind) {
      case "cut":
        // A reset discards what the kernel still holds, and what was written belongs to the client.
        this.#timer = this.#settings.clock.setTimer(CUT_AFTER_MS, () => this.cut());
        return;
      case "endEarly":
        this.#write(this.#begin());
        this.#end("failed");
        return;
      case "garbage":
        this.#write(this.#begin() + this.#framed(['data: {"cho\u0000']));
        this.stall();
        return;
      case "streamError":
        this.#write(this.#begin() + this.#framed(this.#plan.writer.error(fault)));
        this.#end("failed");
        return;
      case "stall":
        this.#stallServed = true;
        if (fault.forMs === undefined) this.stall();
        else this.#dueAtMs = this.#settings.clock.nowMs() + fault.forMs;
        this.#sleepUntilDue();
        return;
    }
  }

  #waitFor(opened: Promise<unknown>): void {
    const goOn = (): void => {
      this.#dueAtMs = Math.max(this.#dueAtMs, this.#settings.clock.nowMs());
      if (!this.#ended && !this.#stalled) this.#sleepUntilDue();
    };
    opened.then(goOn, goOn);
  }

  #framed(events: readonly string[]): string {
    const isLoose = faultOf(this.#plan.faults, "looseFraming") !== undefined;
    return events
      .map((lines) =>
        isLoose ? `: keep-alive\r\n\r\n${lines.replaceAll("\n", "\r\n")}\r\n\r\n` : `${lines}\n\n`,
      )
      .join("");
  }

  #write(batch: string): void {
    if (batch === "" || this.#ended) return;
    if (faultOf(this.#plan.faults, "splitUtf8") === undefined)
      this.#response.write(batch); // S2
    else this.#writeSplit(batch);
    if (this.#entry.firstTokenSentAtMs === null && this.#tokenCount > 0) {
      this.#entry.firstTokenSentAtMs = this.#settings.clock.nowMs();
      this.#settings.log.changed(this.#entry, "firstToken");
    }
  }

  /** In two pieces, cut inside a multi-byte character where there is one; the second comes a moment later. */
  #writeSplit(batch: string): void {
    const bytes = Buffer.concat([this.#carry, Buffer.from(batch, "utf8")]);
    const inside = bytes.findLastIndex((byte) => (byte & 0xc0) === 0x80);
    const cutAt = inside === -1 ? bytes.length >> 1 : inside;
    this.#response.write(bytes.subarray(0, cutAt));
    this.#carry = bytes.subarray(cutAt);
    this.#settings.clock.setTimer(SPLIT_GAP_MS, () => this.#flushCarry());
  }

  #flushCarry(): void {
    if (this.#carry.length > 0 && !this.#response.writableEnded) this.#response.write(this.#carry);
    this.#carry = Buffer.alloc(0);
  }

  /** Ends the stream once; with `aborted` the connection is gone already. */
  #end(how: "done" | "failed" | "aborted"): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#timer?.cancel();
    this.#entry.aborted = how === "aborted";
    this.#entry.doneAtMs = this.#settings.clock.nowMs();
    if (how !== "aborted") this.#response.end(this.#carry);
    this.#settings.log.changed(this.#entry, how);
    this.#onEnd(this.#tokenCount);
  }
}

type MidStreamFault = Extract<ModelFault, { readonly afterTokens: number }>;

function isMidStream(fault: ModelFault): fault is MidStreamFault {
  return "afterTokens" in fault;
}

/** Long enough for what was written to leave the kernel on loopback, short beside any timer under test. */
const CUT_AFTER_MS = 5;

/** Apart enough to be two reads at the client. */
const SPLIT_GAP_MS = 2;

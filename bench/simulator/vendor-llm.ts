/**
 * A language model at message level: reads the request's messages and streams an answer as server-sent events, in the words of
 * whichever API is asked (llm-wires.ts).
 *
 * An answer names the questions that were asked and not answered yet (`q7`), and is told from every other by its words
 * (`r3a r3b …`), so that an answer heard twice, or never, shows.
 */
import type { NetworkPool } from "#actors/providers";
import { type AnswerPart, type Asked, type AskedMessage, type LlmWire, wireOf } from "./llm-wires.js";
import type { LlmFault } from "./script.js";
import type { Seams } from "./seams.js";
import type { SimThread, SimTime } from "./sim-time.js";

type Options = Parameters<NetworkPool["dispatch"]>[0];
type Handler = Parameters<NetworkPool["dispatch"]>[1];
type Controller = Parameters<NonNullable<Handler["onRequestStart"]>>[0];

export interface LlmWorld {
  readonly time: SimTime;
  readonly seams: Seams;
  /** The fault of this call's n-th request, if any. */
  fault(callId: string): LlmFault | null;
  onFault(kind: string): void;
  isOut(vendor: "llm", isFirst: boolean): boolean;
  /** Length of the next answer, in words. */
  answerWords(): number;
  /** Told of each request as it arrives. */
  onAsked(callId: string, messages: readonly AskedMessage[]): void;
  /** A number that no other answer has. */
  nextAnswer(): number;
}

const FIRST_TOKEN_MS = [80, 400] as const;
const BETWEEN_TOKENS_MS = [2, 12] as const;
const QUESTION = /q\d+/g;
/** As actors/call/continuation.ts asks for it. */
const ANCHOR = /Begin with the last of them, exactly: "([^"]*)"/;
const LETTERS = "abcdefghijklmnopqrstuvwxyz";

export class LlmVendor implements NetworkPool {
  readonly #world: LlmWorld;
  readonly #thread: SimThread;
  readonly #isFirst: boolean;
  readonly #streams = new Set<AnswerStream>();

  constructor(world: LlmWorld, thread: SimThread, isFirst: boolean) {
    this.#world = world;
    this.#thread = thread;
    this.#isFirst = isFirst;
  }

  get openCount(): number {
    return this.#streams.size;
  }

  dispatch(options: Options, handler: Handler): boolean {
    const wire = wireOf(options.path);
    const stream = new AnswerStream(this.#world, wire, this.#thread, handler, () =>
      this.#streams.delete(stream),
    );
    this.#streams.add(stream);
    if (this.#isOut) stream.refuse();
    else stream.start(options.method === "GET" ? null : wire.asked(options.body as string));
    return true;
  }

  /** If it is gone, what is under way breaks off. */
  breakOut(): void {
    if (this.#isOut) for (const stream of this.#streams) stream.break();
  }

  get #isOut(): boolean {
    return this.#world.isOut("llm", this.#isFirst);
  }

  destroy(): Promise<void> {
    this.drop();
    return Promise.resolve();
  }

  /** The client's thread is gone. */
  drop(): void {
    this.#streams.clear();
  }
}

class AnswerStream {
  readonly #world: LlmWorld;
  readonly #wire: LlmWire;
  readonly #thread: SimThread;
  readonly #handler: Handler;
  readonly #onGone: () => void;
  #isOver = false;
  #dueAtMs = 0;

  constructor(world: LlmWorld, wire: LlmWire, thread: SimThread, handler: Handler, onGone: () => void) {
    this.#world = world;
    this.#wire = wire;
    this.#thread = thread;
    this.#handler = handler;
    this.#onGone = onGone;
  }

  get #controller(): Controller {
    const controller = {
      aborted: false,
      paused: false,
      reason: null,
      pause: () => {},
      resume: () => {},
      abort: (error: Error) => {
        if (this.#isOver) return;
        this.#leave();
        this.#thread.after(0, () => this.#handler.onResponseError?.(controller, error));
      },
    };
    return controller;
  }

  start(asked: Asked | null): void {
    const { time } = this.#world;
    this.#dueAtMs = time.nowMs() + time.between(4, 20);
    const controller = this.#controller;
    this.#later(0, () => this.#handler.onRequestStart?.(controller, null));
    if (asked === null) return this.#whole(controller, 200, { object: "list", data: [] });
    this.#world.onAsked(asked.user, asked.messages);
    const fault = this.#world.fault(asked.user);
    if (fault !== null) this.#world.onFault(`llm${fault.kind[0]!.toUpperCase()}${fault.kind.slice(1)}`);
    if (fault?.kind === "tooMany")
      return this.#whole(controller, 429, { error: { message: "slow down", type: "rate_limit" } }, fault.ms);
    this.#answer(controller, asked, fault);
  }

  refuse(): void {
    const { time } = this.#world;
    this.#dueAtMs = time.nowMs() + time.between(4, 20);
    const controller = this.#controller;
    this.#later(0, () => this.#handler.onRequestStart?.(controller, null));
    this.#whole(controller, 503, { error: { message: "down" } });
  }

  break(): void {
    const error = Object.assign(new Error("reset"), { code: "ECONNRESET" });
    this.#end(() => this.#handler.onResponseError?.(this.#controller, error));
  }

  #answer(controller: Controller, asked: Asked, fault: LlmFault | null): void {
    const { time } = this.#world;
    this.#later(4, () => this.#handler.onResponseStart?.(controller, 200, {}, "OK"));
    if (fault?.kind === "stall") return; // the client's deadline ends it
    const { opening, done } = this.#wire;
    const parts = this.#parts(asked);
    const slowMs = fault?.kind === "slow" ? fault.ms : 0;
    const breakAt = fault?.kind === "reset" || fault?.kind === "stallMid" ? fault.afterTokens : Infinity;
    for (const [index, part] of parts.entries()) {
      if (index >= breakAt) break;
      const delayMs = index === 0 ? time.between(...FIRST_TOKEN_MS) : time.between(...BETWEEN_TOKENS_MS);
      this.#later(delayMs + (index === 0 ? slowMs : 0), () =>
        this.#data(controller, (index === 0 ? opening : "") + this.#wire.part(part)),
      );
    }
    if (fault?.kind === "stallMid") return;
    if (fault?.kind === "reset") {
      const error = Object.assign(new Error("reset"), { code: "ECONNRESET" });
      return this.#later(1, () => this.#end(() => this.#handler.onResponseError?.(controller, error)));
    }
    if (fault?.kind !== "noDone") this.#later(1, () => this.#data(controller, done));
    this.#later(1, () => this.#end(() => this.#handler.onResponseEnd?.(controller, {})));
  }

  /** The parts of an answer, in order. */
  #parts(asked: Asked): readonly AnswerPart[] {
    const { messages } = asked;
    const last = messages.at(-1)!;
    const said = messages.findLast(({ role }) => role === "user")?.content ?? "";
    const wantsTool = last.role === "user" && said.includes("hours") && asked.hasTools;
    if (wantsTool)
      return [
        { kind: "tool", name: "check_opening_hours" },
        { kind: "stop", forTool: true },
      ];
    const number = this.#world.nextAnswer();
    const questions = unanswered(messages);
    const about = questions.length === 0 ? "So" : `About ${questions.join(" and ")}`;
    const answer = Array.from({ length: this.#world.answerWords() }, (_, index) => {
      const word = `r${number}${LETTERS[index % LETTERS.length]}`;
      return index % 5 === 4 ? `${word}.` : word;
    });
    const whole = `${this.#anchor(last)}${about}, ${answer.join(" ")} done.`;
    const text = this.#world.seams.answer?.(whole) ?? whole;
    const words = text.split(/(?<= )/);
    return [
      ...words.map((word) => ({ kind: "text", text: word }) as const),
      { kind: "stop", forTool: false },
    ];
  }

  /** Told to begin with words that were said, to go on after another, it does, or not. */
  #anchor({ content }: AskedMessage): string {
    const words = ANCHOR.exec(content ?? "")?.[1];
    return words === undefined || this.#world.time.random.next() < 0.5 ? "" : `${words} `;
  }

  #whole(controller: Controller, status: number, body: object, retryAfterMs = 0): void {
    const headers = retryAfterMs > 0 ? { "retry-after": String(Math.ceil(retryAfterMs / 1_000)) } : {};
    this.#later(2, () => this.#handler.onResponseStart?.(controller, status, headers, ""));
    this.#later(0, () => this.#handler.onResponseData?.(controller, Buffer.from(JSON.stringify(body))));
    this.#later(0, () => this.#end(() => this.#handler.onResponseEnd?.(controller, {})));
  }

  #data(controller: Controller, data: string): void {
    this.#handler.onResponseData?.(controller, Buffer.from(data));
  }

  /** In order: one instant each. */
  #later(delayMs: number, body: () => void): void {
    this.#dueAtMs = Math.max(this.#dueAtMs + 1, this.#dueAtMs + delayMs);
    this.#thread.after(this.#dueAtMs - this.#world.time.nowMs(), () => {
      if (!this.#isOver) body();
    });
  }

  #end(tell: () => void): void {
    this.#leave();
    tell();
  }

  #leave(): void {
    this.#isOver = true;
    this.#onGone();
  }
}

/** What the caller asked and no answer has named yet. */
function unanswered(messages: readonly AskedMessage[]): readonly string[] {
  const open = new Set<string>();
  for (const { role, content } of messages) {
    for (const question of (content ?? "").match(QUESTION) ?? []) {
      if (role === "user") open.add(question);
      else if (role === "assistant") open.delete(question);
    }
  }
  return [...open];
}

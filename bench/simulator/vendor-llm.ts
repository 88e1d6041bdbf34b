/**
 * A language model at message level: reads the request's messages and streams an answer as server-sent events, in the words of
 * whichever API is asked (llm-wires.ts).
 *
 * An answer names the questions that were asked and not answered yet (`q7`), and is told from every other by its words
 * (`r3a r3b …`), so that an answer heard twice, or never, shows.
 */
import { type AnswerPart, type Asked, type AskedMessage, type LlmWire, wireOf } from "./llm-wires.js";
import type { LlmFault } from "./script.js";
import type { Seams } from "./seams.js";
import type { PoolRequest, SimExchange } from "./sim-exchange.js";
import type { SimTime } from "./sim-time.js";

export interface LlmWorld {
  readonly time: SimTime;
  readonly seams: Seams;
  /** The fault of this call's n-th request, if any. */
  fault(callId: string): LlmFault | null;
  onFault(kind: string): void;
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

export class LlmVendor {
  readonly #world: LlmWorld;

  constructor(world: LlmWorld) {
    this.#world = world;
  }

  answer(exchange: SimExchange, options: PoolRequest): void {
    const wire = wireOf(options.path);
    if (options.method === "GET") return exchange.whole(200, { object: "list", data: [] });
    const asked = wire.asked(options.body as string);
    this.#world.onAsked(asked.user, asked.messages);
    const fault = this.#world.fault(asked.user);
    if (fault !== null) this.#world.onFault(`llm${fault.kind[0]!.toUpperCase()}${fault.kind.slice(1)}`);
    if (fault?.kind === "tooMany")
      return exchange.whole(429, { error: { message: "slow down", type: "rate_limit" } }, fault.ms);
    this.#answer(exchange, wire, asked, fault);
  }

  #answer(exchange: SimExchange, wire: LlmWire, asked: Asked, fault: LlmFault | null): void {
    const { time } = this.#world;
    const { opening, done } = wire;
    exchange.answers(4);
    if (fault?.kind === "stall") return; // the client's deadline ends it
    const parts = this.#parts(asked);
    const slowMs = fault?.kind === "slow" ? fault.ms : 0;
    const breakAt = fault?.kind === "reset" || fault?.kind === "stallMid" ? fault.afterTokens : Infinity;
    for (const [index, part] of parts.entries()) {
      if (index >= breakAt) break;
      const delayMs = index === 0 ? time.between(...FIRST_TOKEN_MS) : time.between(...BETWEEN_TOKENS_MS);
      exchange.data(delayMs + (index === 0 ? slowMs : 0), (index === 0 ? opening : "") + wire.part(part));
    }
    if (fault?.kind === "stallMid") return;
    if (fault?.kind === "reset") return exchange.breakLater(1);
    if (fault?.kind !== "noDone") exchange.data(1, done);
    exchange.done(1);
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

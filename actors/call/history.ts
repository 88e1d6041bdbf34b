/**
 * The conversation as the model sees it.
 *
 * Invariants
 * H1 an assistant message holds the words the caller heard, and no others.
 * H2 a tool call and its results stand together: neither is trimmed without the other.
 * H3 two user messages never stand side by side; what the caller adds is joined to what was said before.
 */
import type { LlmMessage, LlmToolCall } from "#actors/providers";

/** Older messages are dropped from the front: about fifteen minutes of talk, and a bound on tokens per request. */
export const HISTORY_MAX_MESSAGES = 60;

export interface ToolAnswer {
  readonly call: LlmToolCall;
  readonly text: string;
}

export class History {
  readonly #system: string;
  readonly #messages: LlmMessage[] = [];

  constructor(system: string) {
    this.#system = system;
  }

  addCaller(text: string): void {
    const last = this.#messages.at(-1);
    if (last?.role === "user") this.#messages.pop();
    this.#messages.push({
      role: "user",
      content: last?.role === "user" ? `${last.content} ${text}` : text, // H3
    });
    this.#trim();
  }

  /** `heard` may be empty: then the caller heard nothing and nothing is added (H1). */
  addAgent(heard: string): void {
    if (heard === "") return;
    this.#messages.push({ role: "assistant", content: heard });
    this.#trim();
  }

  /** A round of tool calls. What was spoken along with it is added when the reply ends, by `addAgent`. */
  addToolRound(answers: readonly ToolAnswer[]): void {
    this.#messages.push({ role: "assistant", content: "", toolCalls: answers.map(({ call }) => call) });
    for (const { call, text } of answers) {
      this.#messages.push({ role: "tool", toolCallId: call.id, content: text });
    }
    this.#trim();
  }

  /** What to send: everything so far, and `callerText` as what was said last. */
  messages(callerText: string): LlmMessage[] {
    const last = this.#messages.at(-1);
    const earlier = last?.role === "user" ? this.#messages.slice(0, -1) : this.#messages;
    const said = last?.role === "user" ? `${last.content} ${callerText}`.trim() : callerText;
    const system: LlmMessage = { role: "system", content: this.#system };
    return said === "" ? [system, ...earlier] : [system, ...earlier, { role: "user", content: said }];
  }

  #trim(): void {
    if (this.#messages.length <= HISTORY_MAX_MESSAGES) return;
    let cut = this.#messages.length - HISTORY_MAX_MESSAGES;
    while (this.#messages[cut]?.role === "tool") cut += 1; // H2: its calls go too
    this.#messages.splice(0, cut);
  }
}

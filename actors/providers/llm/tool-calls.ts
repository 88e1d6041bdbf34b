/**
 * Puts tool calls together from the fragments of a stream.
 *
 * Servers differ: Groq often sends a whole call in one fragment, others a few characters at a time; some
 * repeat id and name on every fragment, some leave `index` out (then a new id begins a new call), Ollama's
 * arguments are an object. All of these come out the same.
 */
import type { LlmToolCall } from "./provider.js";

/** More calls in one reply than any tool round of ours would run. */
const CALLS_MAX = 32;
/** Arguments are a form's worth of text; a model stuck in a loop writes on. */
const ARGUMENTS_MAX_CHARS = 64 * 1024;

interface Draft {
  id: string;
  name: string;
  argumentsJson: string;
}

export class ToolCallAssembler {
  readonly #drafts = new Map<number, Draft>();
  #lastIndex = -1;

  get isEmpty(): boolean {
    return this.#drafts.size === 0;
  }

  /** One entry of `delta.tool_calls`. False when a bound is passed. */
  add(fragment: unknown): boolean {
    if (typeof fragment !== "object" || fragment === null) return true;
    const { index, id, function: call } = fragment as Readonly<Record<string, unknown>>;
    const fields = (typeof call === "object" && call !== null ? call : {}) as Readonly<
      Record<string, unknown>
    >;
    const draft = this.#draftFor(index, id);
    if (draft === null) return false;
    if (draft.id === "" && typeof id === "string") draft.id = id;
    if (draft.name === "" && typeof fields["name"] === "string") draft.name = fields["name"];
    const args = fields["arguments"];
    if (typeof args === "string") draft.argumentsJson += args;
    else if (typeof args === "object" && args !== null) draft.argumentsJson = JSON.stringify(args);
    return draft.argumentsJson.length <= ARGUMENTS_MAX_CHARS;
  }

  /**
   * The calls in the order of their index. `cut` says that the reply ended at its length limit: a call
   * whose arguments are not whole is left out then. `idPrefix` names calls whose server gave them no id.
   */
  finish(cut: boolean, idPrefix: string): readonly LlmToolCall[] {
    const calls: LlmToolCall[] = [];
    for (const [index, draft] of [...this.#drafts].sort(([a], [b]) => a - b)) {
      const argumentsJson = draft.argumentsJson.trim() === "" ? "{}" : draft.argumentsJson;
      if (draft.name === "" || (cut && !isJson(argumentsJson))) continue;
      calls.push({ id: draft.id || `${idPrefix}${index}`, name: draft.name, argumentsJson });
    }
    return calls;
  }

  #draftFor(index: unknown, id: unknown): Draft | null {
    const at = typeof index === "number" ? index : this.#indexWithout(id);
    this.#lastIndex = at;
    const known = this.#drafts.get(at);
    if (known !== undefined) return known;
    if (this.#drafts.size >= CALLS_MAX) return null;
    const draft = { id: "", name: "", argumentsJson: "" };
    this.#drafts.set(at, draft);
    return draft;
  }

  #indexWithout(id: unknown): number {
    const last = this.#drafts.get(this.#lastIndex);
    if (last === undefined) return 0;
    return typeof id === "string" && id !== "" && last.id !== "" && id !== last.id
      ? this.#lastIndex + 1
      : this.#lastIndex;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

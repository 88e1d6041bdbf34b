/**
 * Replies: what a script or the rules want said, and the wire steps it becomes. A step is a delta to
 * send, a pause, or a gate that a test opens.
 */
import type { Random } from "#runtime/actor";
import type { ModelFault } from "./faults.js";
import { faultOf } from "../faults.js";

export interface ScriptedToolCall {
  readonly name: string;
  /** A string is sent as it stands, valid JSON or not. */
  readonly arguments: string | Readonly<Record<string, unknown>>;
  /** @default drawn */
  readonly id?: string;
}

export type ScriptedPart =
  | { readonly text: string }
  | { readonly toolCall: ScriptedToolCall }
  | { readonly pauseMs: number }
  /** Nothing more is sent until it resolves. Before any text it holds back the first token. */
  | { readonly gate: Promise<unknown> };

/** What a test wants answered. `parts`, or the short form `text` and then `toolCalls`. */
export interface Scripted {
  readonly text?: string;
  readonly toolCalls?: readonly ScriptedToolCall[];
  readonly parts?: readonly ScriptedPart[];
  /** In place of the drawn latency. */
  readonly firstTokenMs?: number;
  /** In place of the token rate. */
  readonly tokenDelayMs?: number;
  readonly finish?: "stop" | "length" | "tool_calls";
  readonly faults?: readonly ModelFault[];
}

export type ReplyStep =
  | { readonly kind: "token"; readonly text: string }
  | { readonly kind: "toolFragment"; readonly delta: ToolCallDelta; readonly begins: string | null }
  | { readonly kind: "pause"; readonly ms: number }
  | { readonly kind: "gate"; readonly opened: Promise<unknown> };

export interface ToolCallDelta {
  readonly index?: number;
  readonly id?: string;
  readonly type?: "function";
  readonly function: { readonly name?: string; readonly arguments?: string };
}

export interface WholeToolCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

/** Longest argument fragment, in characters. */
const FRAGMENT_MAX_CHARS = 20;

/** Pieces as a tokenizer would cut them: a word with the space before it, long words in parts, punctuation alone. */
export function tokensOf(text: string): readonly string[] {
  return text.match(/\s*[\p{L}\p{M}\p{N}']{1,9}|\s*[^\s\p{L}\p{M}\p{N}']|\s+/gu) ?? [];
}

export function partsOf(scripted: Scripted): readonly ScriptedPart[] {
  if (scripted.parts !== undefined) return scripted.parts;
  const text: ScriptedPart[] = scripted.text ? [{ text: scripted.text }] : [];
  return [...text, ...(scripted.toolCalls ?? []).map((toolCall): ScriptedPart => ({ toolCall }))];
}

export function wholeToolCalls(scripted: Scripted, random: Random): readonly WholeToolCall[] {
  return partsOf(scripted).flatMap((part) =>
    "toolCall" in part ? [wholeToolCall(part.toolCall, random)] : [],
  );
}

function wholeToolCall(call: ScriptedToolCall, random: Random): WholeToolCall {
  const id =
    call.id ??
    `call_${Math.floor(random.next() * 36 ** 8)
      .toString(36)
      .padStart(8, "0")}`;
  const text = typeof call.arguments === "string" ? call.arguments : JSON.stringify(call.arguments);
  return { id, type: "function", function: { name: call.name, arguments: text } };
}

/** The steps of a streamed reply, with those faults that change what is sent. */
export function stepsOf(
  scripted: Scripted,
  faults: readonly ModelFault[],
  random: Random,
): readonly ReplyStep[] {
  const steps: ReplyStep[] = [];
  let toolIndex = 0;
  for (const part of partsOf(scripted)) {
    if ("text" in part) for (const text of tokensOf(part.text)) steps.push({ kind: "token", text });
    else if ("pauseMs" in part) steps.push({ kind: "pause", ms: part.pauseMs });
    else if ("gate" in part) steps.push({ kind: "gate", opened: part.gate });
    else {
      const cutAt = toolIndex === 0 ? faultOf(faults, "lengthInArguments")?.afterChars : undefined;
      pushToolCall(steps, wholeToolCall(part.toolCall, random), toolIndex, cutAt, faults, random);
      toolIndex += 1;
      if (cutAt !== undefined) break;
    }
  }
  return steps;
}

function pushToolCall(
  steps: ReplyStep[],
  call: WholeToolCall,
  index: number,
  cutAt: number | undefined,
  faults: readonly ModelFault[],
  random: Random,
): void {
  const { id, type } = call;
  const { name } = call.function;
  const text = call.function.arguments.slice(0, cutAt);
  const at = faultOf(faults, "noToolIndex") === undefined ? { index } : {};
  if (faultOf(faults, "wholeToolCalls") !== undefined) {
    const delta = { ...at, id, type, function: { name, arguments: text } };
    steps.push({ kind: "toolFragment", delta, begins: name });
    return;
  }
  steps.push({
    kind: "toolFragment",
    delta: { ...at, id, type, function: { name, arguments: "" } },
    begins: name,
  });
  const repeated = faultOf(faults, "repeatedNames") !== undefined;
  const oneChar = faultOf(faults, "oneCharArguments") !== undefined;
  for (let offset = 0; offset < text.length; ) {
    const length = oneChar ? 1 : 1 + Math.floor(random.next() * FRAGMENT_MAX_CHARS);
    const piece = text.slice(offset, offset + length);
    const fragment = repeated
      ? { ...at, id, type, function: { name, arguments: piece } }
      : { ...at, function: { arguments: piece } };
    steps.push({ kind: "toolFragment", delta: fragment, begins: null });
    offset += length;
  }
}

/** What the usage block counts as completion tokens. */
export function completionTokens(steps: readonly ReplyStep[]): number {
  return steps.filter((step) => step.kind === "token" || step.kind === "toolFragment").length;
}

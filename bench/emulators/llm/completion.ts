/** How an answer ends, how much of it fits, and its form when it is not streamed. */
import { randomUUID } from "node:crypto";
import { faultOf } from "../faults.js";
import type { ModelFault } from "./faults.js";
import { type ReplyStep, type Scripted, type WholeToolCall, partsOf, tokensOf } from "./reply.js";
import type { ChatRequest } from "./request.js";

/** The steps that fit into the tokens the client allows. */
export function limited(steps: readonly ReplyStep[], request: ChatRequest): readonly ReplyStep[] {
  const allowed = request.max_completion_tokens ?? request.max_tokens ?? Infinity;
  let tokenCount = 0;
  const cutAt = steps.findIndex((step) => {
    if (step.kind === "token" || step.kind === "toolFragment") tokenCount += 1;
    return tokenCount > allowed;
  });
  return cutAt === -1 ? steps : steps.slice(0, cutAt);
}

export function finishOf(
  request: ChatRequest,
  scripted: Scripted,
  faults: readonly ModelFault[],
): "stop" | "length" | "tool_calls" {
  if (faultOf(faults, "lengthInArguments") !== undefined) return "length";
  if (scripted.finish !== undefined) return scripted.finish;
  const parts = partsOf(scripted);
  const allowed = request.max_completion_tokens ?? request.max_tokens ?? Infinity;
  const tokenCount = parts.reduce((sum, part) => sum + ("text" in part ? tokensOf(part.text).length : 0), 0);
  if (tokenCount > allowed) return "length";
  const calls = parts.some((part) => "toolCall" in part);
  return calls && faultOf(faults, "stopDespiteTools") === undefined ? "tool_calls" : "stop";
}

export function completionMessage(
  about: { readonly requestId: string; readonly model: string; readonly unixMs: number },
  text: string,
  calls: readonly WholeToolCall[],
  finish: string,
  usage: object,
): object {
  const message = {
    role: "assistant",
    content: text === "" && calls.length > 0 ? null : text,
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
  return {
    id: `chatcmpl-${randomUUID()}`,
    object: "chat.completion",
    created: Math.floor(about.unixMs / 1000),
    model: about.model,
    system_fingerprint: "fp_emulated",
    choices: [{ index: 0, message, logprobs: null, finish_reason: finish }],
    usage,
    x_groq: { id: about.requestId },
  };
}

/** `GET …/models` */
export function modelList(models: readonly string[]): object {
  return {
    object: "list",
    data: models.map((id) => ({
      id,
      object: "model",
      created: 1_700_000_000,
      owned_by: id.includes("/") ? id.split("/")[0] : "Meta",
      active: true,
      context_window: 131_072,
      max_completion_tokens: 32_768,
      public_apps: null,
    })),
  };
}

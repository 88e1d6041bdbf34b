/**
 * Running what the model asked for. Whatever goes wrong comes back as words the model can act on: an
 * unknown name, arguments that are not JSON or do not fit, a body that throws or does not answer in time.
 */
import { z } from "zod";
import type { LlmTool, LlmToolCall } from "#actors/providers";
import { checkOpeningHours } from "./check-opening-hours.js";
import { endCall } from "./end-call.js";
import { type Tool, type ToolContext, type ToolResult, toLlmTool } from "./tool.js";

/** A caller waits on the line: after this the model is told that the tool did not answer. */
export const TOOL_DEADLINE_MS = 8_000;

/** More text than this would crowd out the conversation in the model's context. */
const TOOL_RESULT_MAX_CHARS = 4_000;

export interface ToolOutcome extends ToolResult {
  readonly ok: boolean;
}

export class ToolRegistry {
  readonly #tools: ReadonlyMap<string, Tool>;
  /** Made once: a JSON Schema costs more than the request it goes into. */
  readonly #offered: ReadonlyMap<string, LlmTool>;

  constructor(tools: readonly Tool[] = [endCall, checkOpeningHours]) {
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]));
    this.#offered = new Map(tools.map((tool) => [tool.name, toLlmTool(tool)]));
  }

  /** Those of `names` that exist, as the model is offered them. */
  offered(names: readonly string[]): readonly LlmTool[] {
    return names.flatMap((name) => {
      const tool = this.#offered.get(name);
      return tool === undefined ? [] : [tool];
    });
  }

  /** Never rejects. `allowed` are the names this call's model was offered. */
  async run(call: LlmToolCall, allowed: readonly string[], context: ToolContext): Promise<ToolOutcome> {
    const tool = allowed.includes(call.name) ? this.#tools.get(call.name) : undefined;
    if (tool === undefined) {
      return refusal(`There is no tool named ${call.name}. Tools: ${allowed.join(", ") || "none"}.`);
    }
    let json: unknown;
    try {
      json = JSON.parse(call.argumentsJson || "{}");
    } catch {
      return refusal(`The arguments of ${call.name} were not valid JSON. Call it again with a JSON object.`);
    }
    const parsed = tool.parameters.safeParse(json);
    if (!parsed.success) {
      return refusal(`The arguments of ${call.name} do not fit: ${z.prettifyError(parsed.error)}`);
    }
    return withDeadline(tool, parsed.data, context);
  }
}

function refusal(text: string): ToolOutcome {
  return { ok: false, text };
}

async function withDeadline(
  tool: Tool,
  args: Record<string, unknown>,
  context: ToolContext,
): Promise<ToolOutcome> {
  return new Promise((resolve) => {
    const timer = context.clock.setTimer(TOOL_DEADLINE_MS, () =>
      resolve(refusal(`${tool.name} did not answer in time. Tell the caller and offer another way.`)),
    );
    const settle = (outcome: ToolOutcome): void => {
      timer.cancel();
      resolve(outcome);
    };
    Promise.resolve()
      .then(() => tool.run(args, context))
      .then(
        (result) => settle({ ...result, ok: true, text: result.text.slice(0, TOOL_RESULT_MAX_CHARS) }),
        (error: unknown) =>
          settle(
            refusal(`${tool.name} failed: ${error instanceof Error ? error.message : "unknown reason"}`),
          ),
      );
  });
}

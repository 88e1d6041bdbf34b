/**
 * What an agent may do: a tool has a name the model sees, a schema that yields both the JSON Schema it is
 * offered with and the check of what it sends, and a body that returns words for the model.
 */
import { z } from "zod";
import type { Clock } from "#runtime/actor";
import type { LlmTool } from "#actors/providers";
import type { TenantConfig } from "#actors/tenants";

export interface ToolContext {
  readonly tenant: TenantConfig;
  readonly clock: Clock;
  readonly callId: string;
}

/** What a tool did. `text` goes back to the model; `endCall` has the call ended after the agent's last words. */
export interface ToolResult {
  readonly text: string;
  readonly endCall?: boolean;
}

export interface Tool<Schema extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  /** For the model: when to use it. */
  readonly description: string;
  readonly parameters: Schema;
  run(args: z.infer<Schema>, context: ToolContext): ToolResult | Promise<ToolResult>;
}

/** Keeps the schema's type with the body's argument. */
export function defineTool<Schema extends z.ZodObject>(tool: Tool<Schema>): Tool {
  return tool;
}

/** The form in which a tool is offered to a model. */
export function toLlmTool(tool: Tool): LlmTool {
  const { $schema: _dialect, ...parameters } = z.toJSONSchema(tool.parameters) as Record<string, unknown>;
  return { name: tool.name, description: tool.description, parameters };
}

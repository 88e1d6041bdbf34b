/**
 * What an agent may do.
 *
 * ```ts
 * const tools = new ToolRegistry();
 * const offered = tools.offered(tenant.tools); // into LlmRequest.tools
 * const outcome = await tools.run(call, tenant.tools, { tenant, clock, callId });
 * // outcome.text goes back to the model as the tool message; outcome.endCall ends the call
 * ```
 */
export { type ToolOutcome, ToolRegistry } from "./registry.js";
export { type Tool, type ToolContext, type ToolResult, defineTool } from "./tool.js";

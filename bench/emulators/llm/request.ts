/** A chat completion request, checked the way Groq checks it, but for what sets another vendor apart. */
import { z } from "zod";
import { type ModelRefusal, refusal } from "./errors.js";

/** As in the vendor's reference: more functions than this are refused. */
const TOOLS_MAX = 128;
const STOPS_MAX = 4;
/** A conversation longer than this is a client that forgot to cut its history. */
const MESSAGES_MAX = 2_000;

const toolCallSchema = z.object({
  id: z.string().min(1),
  type: z.literal("function"),
  function: z.object({ name: z.string().min(1), arguments: z.string() }),
});

const textPart = z.object({ type: z.literal("text"), text: z.string() });
const textContent = z.union([z.string(), z.array(textPart)]);

const messageSchema = z.discriminatedUnion("role", [
  z.strictObject({ role: z.literal("system"), content: textContent, name: z.string().optional() }),
  z.strictObject({ role: z.literal("developer"), content: textContent, name: z.string().optional() }),
  z.strictObject({ role: z.literal("user"), content: textContent, name: z.string().optional() }),
  z.strictObject({
    role: z.literal("assistant"),
    content: textContent.nullish(),
    name: z.string().optional(),
    reasoning: z.string().nullish(),
    tool_calls: z.array(toolCallSchema).optional(),
  }),
  z.strictObject({ role: z.literal("tool"), content: textContent, tool_call_id: z.string().min(1) }),
]);

const toolSchema = z.strictObject({
  type: z.literal("function"),
  function: z.strictObject({
    name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/, "must be 1 to 64 letters, digits, _ or -"),
    description: z.string().optional(),
    parameters: z.record(z.string(), z.unknown()).optional(),
    strict: z.boolean().nullish(),
  }),
});

const count = z.int().min(1).nullish();

const requestSchema = z.strictObject({
  model: z.string().min(1),
  messages: z.array(messageSchema).min(1).max(MESSAGES_MAX),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() })
    .nullish(),
  tools: z.array(toolSchema).max(TOOLS_MAX).nullish(),
  tool_choice: z
    .union([
      z.enum(["none", "auto", "required"]),
      z.strictObject({ type: z.literal("function"), function: z.strictObject({ name: z.string() }) }),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  disable_tool_validation: z.boolean().optional(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  max_tokens: count,
  max_completion_tokens: count,
  n: z.literal(1, { error: "must be at most 1" }).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(STOPS_MAX)]).nullish(),
  user: z.string().nullish(),
  seed: z.int().nullish(),
  response_format: z.looseObject({ type: z.enum(["text", "json_object", "json_schema"]) }).nullish(),
  reasoning_effort: z.enum(["none", "default", "low", "medium", "high"]).nullish(),
  reasoning_format: z.enum(["parsed", "raw", "hidden"]).nullish(),
  include_reasoning: z.boolean().nullish(),
  service_tier: z.enum(["on_demand", "auto", "flex", "performance"]).nullish(),
  // Accepted and without effect, as on the real server.
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().nullish(),
  logit_bias: z.record(z.string(), z.number()).nullish(),
  frequency_penalty: z.number().nullish(),
  presence_penalty: z.number().nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  store: z.boolean().nullish(),
});

export type ChatMessage = z.infer<typeof messageSchema>;
export type ChatTool = z.infer<typeof toolSchema>["function"];
export type ChatRequest = z.infer<typeof requestSchema>;

/** Groq's; `GET /openai/v1/models` lists them. */
export const MODELS: readonly string[] = [
  "openai/gpt-oss-120b",
  "openai/gpt-oss-20b",
  "llama-3.3-70b-versatile",
  "llama-3.1-8b-instant",
  "qwen/qwen3-32b",
  "meta-llama/llama-4-scout-17b-16e-instruct",
  "meta-llama/llama-4-maverick-17b-128e-instruct",
  "moonshotai/kimi-k2-instruct",
];

/** Asked for by old clients; the real server names them in its refusal. */
const DECOMMISSIONED: readonly string[] = ["gemma2-9b-it", "llama3-70b-8192", "mixtral-8x7b-32768"];

/** What sets a vendor's checks apart. */
export interface RequestRules {
  readonly models: readonly string[];
  readonly refuses?: readonly string[];
  readonly refusesWith?: (request: ChatRequest) => string | null;
  readonly ignoresUnknown?: boolean;
}

const lenientSchema = z.object(requestSchema.shape);

/** The request, or why it is refused. */
export function parseChatRequest(body: string, vendor: RequestRules): ChatRequest | ModelRefusal {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return refusal(400, { message: "request body is not valid JSON" });
  }
  const result = (vendor.ignoresUnknown === true ? lenientSchema : requestSchema).safeParse(json);
  if (!result.success) return refusal(400, { message: firstIssue(result.error) });
  const request = result.data;
  const refused = vendor.refuses?.find((name) => name in request);
  if (refused !== undefined) return refusal(400, { message: `property '${refused}' is unsupported` });
  const problem = vendor.refusesWith?.(request) ?? null;
  if (problem !== null) return refusal(400, { message: problem });
  if (DECOMMISSIONED.includes(request.model)) {
    return refusal(400, {
      code: "model_decommissioned",
      message: `The model \`${request.model}\` has been decommissioned and is no longer supported.`,
    });
  }
  if (!vendor.models.includes(request.model)) {
    return refusal(404, {
      message: `The model \`${request.model}\` does not exist or you do not have access to it.`,
    });
  }
  return crossFieldProblem(request) ?? request;
}

/** Rules that span fields. */
function crossFieldProblem(request: ChatRequest): ModelRefusal | null {
  if (request.reasoning_format != null && request.include_reasoning != null) {
    return refusal(400, { message: "cannot specify both `reasoning_format` and `include_reasoning`" });
  }
  if (request.stream_options != null && request.stream !== true) {
    return refusal(400, { message: "'stream_options' is only allowed when 'stream' is true" });
  }
  const choice = request.tool_choice;
  if (choice != null && choice !== "none" && choice !== "auto" && (request.tools ?? []).length === 0) {
    return refusal(400, { message: "'tool_choice' is only allowed when 'tools' are specified" });
  }
  if (typeof choice === "object" && choice !== null) {
    const named = choice.function.name;
    if (!(request.tools ?? []).some((tool) => tool.function.name === named)) {
      return refusal(400, { message: `'tool_choice' names the tool ${named}, which is not in 'tools'` });
    }
  }
  return toolMessageProblem(request.messages);
}

/** Every tool message answers a call of the assistant message before it, and every call is answered. */
function toolMessageProblem(messages: readonly ChatMessage[]): ModelRefusal | null {
  let open = new Set<string>();
  for (const [index, message] of messages.entries()) {
    if (message.role === "tool") {
      if (!open.delete(message.tool_call_id)) {
        return refusal(400, {
          message: `'messages.${index}' : 'tool_call_id' ${message.tool_call_id} answers no call of the assistant message before it`,
        });
      }
      continue;
    }
    if (open.size > 0) {
      return refusal(400, {
        message: `'messages.${index}' : tool calls without an answer: ${[...open].join(", ")}`,
      });
    }
    if (message.role === "assistant") {
      open = new Set((message.tool_calls ?? []).map((call) => call.id));
      if (message.content == null && open.size === 0) {
        return refusal(400, { message: `'messages.${index}' : content or tool_calls is required` });
      }
    }
  }
  if (open.size > 0)
    return refusal(400, { message: `tool calls without an answer: ${[...open].join(", ")}` });
  return null;
}

function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0]!;
  if (issue.code === "unrecognized_keys") return `property '${issue.keys[0]}' is unsupported`;
  return `'${issue.path.join(".")}' : ${issue.message}`;
}

/** A message's text, whichever way it was written. */
export function textOf(message: ChatMessage): string {
  const { content } = message;
  if (content == null) return "";
  return typeof content === "string" ? content : content.map((part) => part.text).join("");
}

/** What the caller said last, or "". */
export function lastUserText(request: ChatRequest): string {
  const message = request.messages.findLast((candidate) => candidate.role === "user");
  return message === undefined ? "" : textOf(message);
}

/** About four characters a token, as everybody counts. */
export function promptTokens(request: ChatRequest): number {
  let characters = 0;
  for (const message of request.messages) characters += textOf(message).length + 16;
  for (const tool of request.tools ?? []) characters += JSON.stringify(tool).length;
  return Math.ceil(characters / 4);
}

/** A request for a message, checked the way Anthropic checks it, and as the engine takes it. */
import { z } from "zod";
import { type ModelRefusal, refusal } from "./errors.js";
import type { ChatMessage, ChatRequest } from "./request.js";

const text = z
  .string()
  .refine((value) => value.trim() !== "", { error: "text content blocks must be non-empty" });

const block = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text"), text }),
  z.strictObject({
    type: z.literal("tool_use"),
    id: z.string().regex(/^[\w-]+$/),
    name: z.string().min(1),
    input: z.record(z.string(), z.unknown()),
  }),
  z.strictObject({
    type: z.literal("tool_result"),
    tool_use_id: z.string().min(1),
    content: z.string().optional(),
    is_error: z.boolean().optional(),
  }),
]);
type Block = z.infer<typeof block>;

const requestSchema = z.strictObject({
  model: z.string().min(1),
  max_tokens: z.int().min(1),
  messages: z
    .array(
      z.strictObject({
        role: z.enum(["user", "assistant"]),
        content: z.union([text, z.array(block).min(1)]),
      }),
    )
    .min(1)
    .max(100_000),
  system: z.string().optional(),
  stream: z.boolean().optional(),
  thinking: z.strictObject({ type: z.enum(["disabled", "adaptive"]) }).optional(),
  metadata: z.strictObject({ user_id: z.string().max(256).nullish() }).optional(),
  stop_sequences: z.array(z.string()).optional(),
  tools: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[a-zA-Z0-9_-]{1,128}$/),
        description: z.string().optional(),
        input_schema: z.looseObject({ type: z.literal("object") }),
      }),
    )
    .optional(),
  tool_choice: z.looseObject({ type: z.enum(["auto", "any", "tool", "none"]) }).optional(),
});

export function parseMessagesRequest(body: string, models: readonly string[]): ChatRequest | ModelRefusal {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return refusal(400, { message: "The request body is not valid JSON" });
  }
  const result = requestSchema.safeParse(json);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    const extra = issue.code === "unrecognized_keys" ? [issue.keys[0]!] : [];
    const what = extra.length > 0 ? "Extra inputs are not permitted" : issue.message;
    return refusal(400, { message: `${[...issue.path, ...extra].join(".")}: ${what}` });
  }
  const { model, max_tokens, messages, system, stream, metadata, tools } = result.data;
  if (!models.includes(model)) return refusal(404, { message: `model: ${model}` });
  if (messages[0]!.role !== "user") {
    return refusal(400, { message: 'messages: first message must use the "user" role' });
  }
  if (messages.at(-1)!.role === "assistant") {
    return refusal(400, {
      message:
        "This model does not support assistant message prefill. The conversation must end with a user message.",
    });
  }
  const turns = messages.map(({ role, content }) => ({
    role,
    blocks: typeof content === "string" ? [{ type: "text" as const, text: content }] : content,
  }));
  const problem = toolProblem(turns);
  if (problem !== null) return refusal(400, { message: problem });
  return {
    model,
    max_tokens,
    messages: [
      ...(system === undefined ? [] : [{ role: "system" as const, content: system }]),
      ...turns.flatMap(({ role, blocks }) => messagesOf(role, blocks)),
    ],
    ...(stream !== undefined && { stream }),
    ...(metadata?.user_id != null && { user: metadata.user_id }),
    ...(tools !== undefined && {
      tools: tools.map(({ name, description, input_schema }) => ({
        type: "function" as const,
        function: { name, parameters: input_schema, ...(description !== undefined && { description }) },
      })),
    }),
  };
}

interface Turn {
  readonly role: "user" | "assistant";
  readonly blocks: readonly Block[];
}

/** Results stand first in the turn after their uses, each once, and none is missing. */
function toolProblem(turns: readonly Turn[]): string | null {
  let open = new Set<string>();
  for (const [index, { role, blocks }] of turns.entries()) {
    for (const [at, { type }] of blocks.entries()) {
      const isOut = type === "tool_result" && at > 0 && blocks[at - 1]!.type !== "tool_result";
      if (isOut) return `messages.${index}: \`tool_result\` blocks must come first in a turn`;
    }
    for (const result of blocks.filter((candidate) => candidate.type === "tool_result")) {
      if (!open.delete(result.tool_use_id)) {
        return `messages.${index}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${result.tool_use_id}`;
      }
    }
    if (open.size > 0) {
      return `messages.${index}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${[...open].join(", ")}`;
    }
    const uses = blocks.filter((candidate) => candidate.type === "tool_use");
    if (role === "user" && uses.length > 0) return `messages.${index}: \`tool_use\` is the assistant's`;
    open = new Set(uses.map(({ id }) => id));
  }
  return null;
}

function messagesOf(role: "user" | "assistant", blocks: readonly Block[]): readonly ChatMessage[] {
  const content = blocks.flatMap((each) => (each.type === "text" ? [each.text] : [])).join("\n");
  if (role === "assistant") {
    const calls = blocks.flatMap((each) =>
      each.type === "tool_use"
        ? [
            {
              id: each.id,
              type: "function" as const,
              function: { name: each.name, arguments: JSON.stringify(each.input) },
            },
          ]
        : [],
    );
    return [{ role, content, ...(calls.length > 0 && { tool_calls: calls }) }];
  }
  const results = blocks.flatMap((each) =>
    each.type === "tool_result"
      ? [{ role: "tool" as const, tool_call_id: each.tool_use_id, content: each.content ?? "" }]
      : [],
  );
  return content === "" ? results : [...results, { role, content }];
}

/** How a model's answer is asked for and told: the chat API of Groq and others, and Anthropic's Messages. */

export interface AskedMessage {
  readonly role: string;
  readonly content: string | null;
}

export interface Asked {
  /** The call's id. */
  readonly user: string;
  readonly messages: readonly AskedMessage[];
  readonly hasTools: boolean;
}

export type AnswerPart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "tool"; readonly name: string }
  /** It is whole: what follows is for the protocol. */
  | { readonly kind: "stop"; readonly forTool: boolean };

export interface LlmWire {
  asked(body: string): Asked;
  /** What begins the stream; empty where nothing does. */
  readonly opening: string;
  part(part: AnswerPart): string;
  /** The stream's last word. */
  readonly done: string;
}

/** By the path that is asked. */
export function wireOf(path: string): LlmWire {
  return path.endsWith("/messages") ? anthropicWire : chatWire;
}

const chatWire: LlmWire = {
  asked: (body) => {
    const asked = JSON.parse(body) as {
      readonly user: string;
      readonly messages: readonly AskedMessage[];
      readonly tools?: readonly unknown[];
    };
    return { ...asked, hasTools: asked.tools !== undefined };
  },
  opening: "",
  part: (part) => {
    switch (part.kind) {
      case "text":
        return chunk({ content: part.text });
      case "tool": {
        const call = { index: 0, id: "call_1", type: "function" };
        return chunk({ tool_calls: [{ ...call, function: { name: part.name, arguments: "{}" } }] });
      }
      case "stop":
        return chunk({}, part.forTool ? "tool_calls" : "stop");
      default:
        return part satisfies never;
    }
  },
  done: "data: [DONE]\n\n",
};

function chunk(delta: object, finishReason: string | null = null): string {
  const choices = [{ index: 0, delta, finish_reason: finishReason }];
  return `data: ${JSON.stringify({ id: "sim", object: "chat.completion.chunk", choices })}\n\n`;
}

interface Block {
  readonly type: string;
  readonly text?: string;
  readonly content?: string;
}

const anthropicWire: LlmWire = {
  asked: (body) => {
    const { metadata, messages, tools } = JSON.parse(body) as {
      readonly metadata: { readonly user_id: string };
      readonly messages: readonly { readonly role: string; readonly content: readonly Block[] }[];
      readonly tools?: readonly unknown[];
    };
    return {
      user: metadata.user_id,
      messages: messages.flatMap(({ role, content }) => content.flatMap((block) => messagesOf(role, block))),
      hasTools: tools !== undefined,
    };
  },
  opening: event("message_start", { message: { usage: { input_tokens: 1 } } }),
  part: (part) => {
    switch (part.kind) {
      case "text":
        return event("content_block_delta", { index: 0, delta: { type: "text_delta", text: part.text } });
      case "tool":
        return event("content_block_start", {
          index: 0,
          content_block: { type: "tool_use", id: "call_1", name: part.name, input: {} },
        });
      case "stop":
        return (
          event("content_block_stop", { index: 0 }) +
          event("message_delta", {
            delta: { stop_reason: part.forTool ? "tool_use" : "end_turn" },
            usage: { output_tokens: 1 },
          })
        );
      default:
        return part satisfies never;
    }
  },
  done: event("message_stop", {}),
};

function messagesOf(role: string, { type, text, content }: Block): readonly AskedMessage[] {
  if (type === "tool_result") return [{ role: "tool", content: content ?? "" }];
  return text === undefined ? [] : [{ role, content: text }];
}

function event(type: string, fields: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

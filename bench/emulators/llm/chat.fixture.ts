/** Requests to the Groq emulator on virtual time, raw and through the SDK. */
import Groq from "groq-sdk";
import type { Test } from "tap";
import { VirtualClock } from "#runtime/actor";
import { exactly } from "../distribution.js";
import { type Emulators, startEmulators } from "../emulators.js";
import { EMULATOR_API_KEY, type EmulatorOptions } from "../options.js";

export interface Chunk {
  readonly id: string;
  readonly choices: readonly {
    readonly delta: {
      readonly role?: string;
      readonly content?: string;
      readonly tool_calls?: readonly {
        readonly index?: number;
        readonly id?: string;
        readonly function: { readonly name?: string; readonly arguments?: string };
      }[];
    };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: object | null;
  readonly x_groq?: { readonly id?: string; readonly usage?: object; readonly error?: string };
}

export interface GroqStage {
  readonly clock: VirtualClock;
  readonly emulators: Emulators;
  readonly sdk: Groq;
  readonly url: string;
  /** A raw request; resolves when its headers are there. */
  readonly post: (body: object | string, headers?: Record<string, string>) => Promise<Response>;
  /** As `post`, streamed: waits until the server has the request, then moves time on, and reads to the end. */
  readonly stream: (fields?: object, advanceMs?: number) => Promise<string>;
}

export const REQUEST = {
  model: "openai/gpt-oss-20b",
  user: "call-1",
  messages: [
    { role: "system" as const, content: "You are Ava.\nParking: Behind the house." },
    { role: "user" as const, content: "Is there parking?" },
  ],
};

export async function groqStage(t: Test, options: EmulatorOptions = {}): Promise<GroqStage> {
  const clock = new VirtualClock();
  const emulators = await startEmulators({ clock, latency: { llmFirstTokenMs: exactly(200) }, ...options });
  t.teardown(() => emulators.close());
  const url = `${emulators.urls.groq}/openai/v1/chat/completions`;
  const post = (body: object | string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(url, {
      method: "POST",
      headers: { authorization: `Bearer ${EMULATOR_API_KEY}`, ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  return {
    clock,
    emulators,
    url,
    sdk: new Groq({ apiKey: EMULATOR_API_KEY, baseURL: emulators.urls.groq, maxRetries: 0 }),
    post,
    async stream(fields = {}, advanceMs = 10_000) {
      const received = emulators.log.until((entry, change) => entry.kind === "llm" && change === "started");
      const answered = post({ ...REQUEST, stream: true, ...fields });
      await received;
      clock.advance(advanceMs);
      return (await answered).text();
    },
  };
}

/** The chunks of a stream, without `[DONE]`. */
export function chunksOf(body: string): Chunk[] {
  return body
    .split(/\r?\n\r?\n/)
    .filter((event) => event.startsWith("data: {"))
    .map((event) => JSON.parse(event.slice("data: ".length)) as Chunk);
}

export function contentOf(chunks: readonly Chunk[]): string {
  return chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
}

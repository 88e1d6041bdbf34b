/** A server that answers as a test says, and a real client of it on virtual time. */
import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Test } from "tap";
import { VirtualClock, seededRandom } from "#runtime/actor";
import type { LlmName } from "#actors/tenants";
import { KeptLog, eventually } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { providerDefaults } from "../settings.js";
import type { LlmEvents, LlmProvider, LlmRequest } from "./provider.js";

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export interface Rig {
  readonly clock: VirtualClock;
  readonly llm: LlmProvider;
  readonly bodies: Record<string, unknown>[];
  readonly headers: IncomingMessage["headers"][];
  readonly paths: readonly (string | undefined)[];
  readonly counts: { connections: number; requests: number };
}

export async function rig(t: Test, answer: Answer, name: LlmName = "groq", path = "/"): Promise<Rig> {
  const bodies: Record<string, unknown>[] = [];
  const paths: (string | undefined)[] = [];
  const headers: IncomingMessage["headers"][] = [];
  const counts = { connections: 0, requests: 0 };
  const server = createServer((request, response) => {
    counts.requests += 1;
    headers.push(request.headers);
    paths.push(request.url);
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      if (body !== "") bodies.push(JSON.parse(body) as Record<string, unknown>);
      answer(response, request);
    });
  });
  server.on("connection", () => (counts.connections += 1));
  server.keepAliveTimeout = 300_000;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const clock = new VirtualClock();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
  const providers = createProviders(
    {
      [name]: { ...providerDefaults[name], apiKey: name === "ollama" ? "" : "a-key", url },
    },
    { clock, random: seededRandom(1), log: new KeptLog() },
  );
  t.teardown(async () => {
    await providers.close();
    server.closeAllConnections();
    server.close();
  });
  return { clock, llm: providers.llm(name), bodies, headers, paths, counts };
}

/** Events as one line each. */
export function read(llm: LlmProvider, fields: Partial<LlmRequest> = {}): string[] {
  const lines: string[] = [];
  const events: LlmEvents = {
    onText: (delta) => lines.push(`text ${delta}`),
    onToolCall: ({ name, argumentsJson }) => lines.push(`tool ${name} ${argumentsJson}`),
    onDone: (finish, usage) => lines.push(`done ${finish} ${usage?.inputTokens}/${usage?.outputTokens}`),
    onError: ({ code }) => lines.push(code),
  };
  llm.generate(
    {
      callId: "call-1",
      model: "llama-3.3-70b-versatile",
      messages: [{ role: "user", content: "hello" }],
      tools: [],
      temperature: 0.4,
      maxOutputTokens: 300,
      ...fields,
    },
    events,
  );
  return lines;
}

export async function ended(lines: readonly string[]): Promise<void> {
  await eventually(() => /^(done|LLM_)/.test(lines.at(-1) ?? ""));
}

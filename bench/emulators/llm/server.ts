/**
 * A language model's server: the one request that asks it (streamed or whole) and the list of models, at the
 * vendor's paths and in its form.
 *
 * node:http rather than uWebSockets.js: requests are few beside audio frames, and it keeps idle
 * connections open for as long as the vendor does (uWebSockets.js closes them after ten seconds), can
 * reset one, and can answer with any status.
 */
import { randomUUID } from "node:crypto";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { drawMs } from "../distribution.js";
import { FaultSwitch, faultOf } from "../faults.js";
import type { LlmRequestEntry } from "../log.js";
import type { EmulatorSettings } from "../options.js";
import { answer } from "./answer.js";
import {
  type ModelControl,
  type LiveReply,
  ScriptBook,
  type ScriptHandle,
  type ScriptMatch,
  type ScriptOptions,
} from "./control.js";
import { type ModelRefusal, refusal } from "./errors.js";
import type { ModelFault, ModelRequestInfo } from "./faults.js";
import { RateLimit } from "./rate-limit.js";
import { finishOf, limited } from "./completion.js";
import { type Scripted, partsOf, stepsOf, tokensOf, wholeToolCalls } from "./reply.js";
import { type ChatRequest, lastUserText, promptTokens } from "./request.js";
import { ReplyStream } from "./stream.js";
import { MODEL_WIRES, type ModelVendor } from "./vendors.js";
import type { AnswerFacts, ModelWire } from "./wire.js";

/** As on the real server, far above any conversation: more is 413. */
const BODY_MAX_BYTES = 4 * 1024 * 1024;
/** Longer than any pause in a call, so that clients which keep their connection find it open. */
const KEEP_ALIVE_MS = 300_000;
/** How much of the last user message the log keeps. */
const LOGGED_PROMPT_MAX_CHARS = 500;

export class ModelServer implements ModelControl {
  readonly #vendor: ModelVendor;
  readonly #wire: ModelWire;
  readonly #settings: EmulatorSettings;
  readonly #server: Server;
  readonly #rate: RateLimit;
  readonly #scripts = new ScriptBook();
  readonly faults = new FaultSwitch<ModelFault, ModelRequestInfo>();
  readonly #live = new Set<ReplyStream>();
  #requestCount = 0;
  #connectionCount = 0;

  constructor(vendor: ModelVendor, settings: EmulatorSettings) {
    this.#vendor = vendor;
    this.#wire = MODEL_WIRES[vendor];
    this.#settings = settings;
    this.#rate = new RateLimit(settings.clock);
    this.#server = createServer((request, response) => this.#receive(request, response));
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
    this.#server.on("connection", (socket) => {
      this.#connectionCount += 1;
      socket.setNoDelay(true);
    });
  }

  /** The port it listens on. */
  async listen(): Promise<number> {
    const { host, ports } = this.#settings;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(ports[this.#vendor], host, resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
    for (const stream of this.#live) stream.abandon();
  }

  get live(): readonly LiveReply[] {
    return [...this.#live];
  }

  get requestCount(): number {
    return this.#requestCount;
  }

  get connectionCount(): number {
    return this.#connectionCount;
  }

  script(
    match: ScriptMatch,
    reply: Scripted | ((request: ChatRequest) => Scripted),
    options?: ScriptOptions,
  ): ScriptHandle {
    return this.#scripts.add(match, reply, options);
  }

  clearScripts(): void {
    this.#scripts.clear();
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    this.#requestCount += 1;
    const path = (request.url ?? "").split("?")[0]!;
    const authorised = this.#wire.isAuthorised(request.headers, this.#settings.apiKey);
    if (request.method === "GET" && path === this.#wire.modelsPath) {
      if (authorised) this.#sendJson(response, 200, this.#wire.models());
      else this.#refuse(response, refusal(401));
      return;
    }
    if (path !== this.#wire.chatPath) {
      const message = `Unknown request URL: ${request.method} ${path}. Please check the URL for typos, or see the docs at https://console.groq.com/docs/`;
      this.#refuse(response, refusal(404, { code: "unknown_url", message }));
      return;
    }
    if (request.method !== "POST") {
      this.#refuse(response, refusal(405, { type: "invalid_request_error", message: "Method Not Allowed" }));
      return;
    }
    if (!authorised) {
      this.#refuse(response, refusal(401));
      return;
    }
    this.#collectBody(request, response);
  }

  #collectBody(request: IncomingMessage, response: ServerResponse): void {
    const pieces: Buffer[] = [];
    let byteCount = 0;
    request.on("data", (piece: Buffer) => {
      byteCount += piece.length;
      if (byteCount <= BODY_MAX_BYTES) pieces.push(piece);
    });
    request.on("end", () => {
      if (byteCount > BODY_MAX_BYTES) {
        const message = "Request Entity Too Large";
        const code = "request_too_large";
        this.#refuse(response, refusal(413, { type: "invalid_request_error", code, message }));
        return;
      }
      const parsed = this.#wire.parse(Buffer.concat(pieces).toString("utf8"), request.headers);
      if ("status" in parsed) this.#refuse(response, parsed);
      else this.#complete(parsed, response);
    });
  }

  #complete(request: ChatRequest, response: ServerResponse): void {
    const { clock, random, latency, log, limits } = this.#settings;
    const scripted = this.#scripts.replyTo(request) ?? answer(request, clock.unixMs());
    const faults = [
      ...this.faults.take({ request, callId: request.user ?? null }),
      ...(scripted.faults ?? []),
    ];
    const firstTokenMs =
      faultOf(faults, "firstToken")?.delayMs ??
      scripted.firstTokenMs ??
      drawMs(latency.llmFirstTokenMs, random);
    const entry = log.add({
      kind: "llm" as const,
      provider: this.#vendor,
      callId: request.user ?? null,
      requestId: newRequestId(),
      receivedAtMs: clock.nowMs(),
      prompt: lastUserText(request).slice(0, LOGGED_PROMPT_MAX_CHARS),
      status: 0,
      plannedFirstTokenMs: firstTokenMs,
      firstTokenSentAtMs: null,
      doneAtMs: null,
      reply: "",
      toolCalls: [],
      aborted: false,
    });
    if (this.#refusedByFault(faults, response, entry)) return;
    const tokens = promptTokens(request);
    const admitted = this.#rate.admit(tokens, limits);
    if ("status" in admitted) {
      this.#refuse(response, admitted, entry);
      return;
    }
    if (request.stream === true) {
      this.#stream(request, response, scripted, faults, entry, (sent) => admitted.settle(tokens + sent));
    } else this.#whole(request, response, scripted, faults, entry);
  }

  /** Faults that take the place of an answer. */
  #refusedByFault(faults: readonly ModelFault[], response: ServerResponse, entry: LlmRequestEntry): boolean {
    const status = faultOf(faults, "status");
    if (status !== undefined) {
      const code = status.failedGeneration === undefined ? status.code : (status.code ?? "tool_use_failed");
      this.#refuse(
        response,
        refusal(status.status, { ...status, ...(code === undefined ? {} : { code }) }),
        entry,
      );
      return true;
    }
    if (faultOf(faults, "reset") !== undefined) {
      response.socket?.resetAndDestroy();
      return true;
    }
    if (faultOf(faults, "htmlBody") !== undefined) {
      response.writeHead(200, { "content-type": "text/html" });
      response.end("<html><body>502 Bad Gateway</body></html>");
      return true;
    }
    if (faultOf(faults, "noAnswer") === undefined) return false;
    response.on("close", () => {
      entry.aborted = true;
      entry.doneAtMs = this.#settings.clock.nowMs();
      this.#settings.log.changed(entry, "aborted");
    });
    return true;
  }

  #stream(
    request: ChatRequest,
    response: ServerResponse,
    scripted: Scripted,
    faults: readonly ModelFault[],
    entry: LlmRequestEntry,
    onTokens: (sent: number) => void,
  ): void {
    const { random, rates, limits } = this.#settings;
    const tokenDelayMs = scripted.tokenDelayMs ?? 1000 / rates.llmTokensPerSecond;
    const plan = {
      requestId: entry.requestId,
      writer: this.#wire.stream(this.#factsOf(request, entry, tokenDelayMs)),
      steps: limited(stepsOf(scripted, [...faults, ...(this.#wire.habits ?? [])], random), request),
      finish: finishOf(request, scripted, faults),
      firstTokenMs: entry.plannedFirstTokenMs,
      tokenDelayMs,
      faults,
      headers: this.#wire.headers(entry.requestId, this.#rate.headers(limits)),
    };
    const stream = new ReplyStream(response, this.#settings, plan, entry, (sent) => {
      this.#live.delete(stream);
      onTokens(sent);
    });
    this.#live.add(stream);
  }

  /** Not streamed: the whole answer, when its last token would have come. */
  #whole(
    request: ChatRequest,
    response: ServerResponse,
    scripted: Scripted,
    faults: readonly ModelFault[],
    entry: LlmRequestEntry,
  ): void {
    const { clock, random, rates, log } = this.#settings;
    const text = partsOf(scripted)
      .map((part) => ("text" in part ? part.text : ""))
      .join("");
    const calls = wholeToolCalls(scripted, random);
    const tokenCount = tokensOf(text).length + calls.length;
    const delayMs = entry.plannedFirstTokenMs + (tokenCount * 1000) / rates.llmTokensPerSecond;
    const timer = clock.setTimer(delayMs, () => {
      entry.status = 200;
      entry.reply = text;
      entry.toolCalls = calls.map((call) => call.function.name);
      entry.firstTokenSentAtMs = clock.nowMs();
      entry.doneAtMs = entry.firstTokenSentAtMs;
      const finish = finishOf(request, scripted, faults);
      const facts = this.#factsOf(request, entry, 1000 / rates.llmTokensPerSecond);
      const body = this.#wire.whole(facts, text, calls, finish, tokenCount);
      this.#sendJson(response, 200, body, entry.requestId);
      log.changed(entry, "done");
    });
    response.on("close", () => {
      timer.cancel();
      if (entry.doneAtMs !== null) return;
      entry.aborted = true;
      log.changed(entry, "aborted");
    });
  }

  #factsOf(request: ChatRequest, entry: LlmRequestEntry, tokenDelayMs: number): AnswerFacts {
    return {
      id: `chatcmpl-${randomUUID()}`,
      requestId: entry.requestId,
      model: request.model,
      promptTokens: promptTokens(request),
      includeUsage: request.stream_options?.include_usage === true,
      isObfuscated: request.stream_options?.include_obfuscation !== false,
      firstTokenMs: entry.plannedFirstTokenMs,
      tokenDelayMs,
      unixMs: () => this.#settings.clock.unixMs(),
    };
  }

  #refuse(response: ServerResponse, refused: ModelRefusal, entry?: LlmRequestEntry): void {
    if (refused.retryAfterSeconds !== undefined) {
      response.setHeader("retry-after", String(refused.retryAfterSeconds));
    }
    const requestId = entry?.requestId ?? newRequestId();
    this.#sendJson(response, refused.status, this.#wire.refused(refused, requestId), requestId);
    if (entry === undefined) return;
    entry.status = refused.status;
    entry.doneAtMs = this.#settings.clock.nowMs();
    this.#settings.log.changed(entry, "refused");
  }

  #sendJson(response: ServerResponse, status: number, body: object, requestId = newRequestId()): void {
    response.writeHead(status, {
      "content-type": "application/json",
      ...this.#wire.headers(requestId, this.#rate.headers(this.#settings.limits)),
    });
    response.end(JSON.stringify(body));
  }
}

function newRequestId(): string {
  return `req_${randomUUID().replaceAll("-", "")}`;
}

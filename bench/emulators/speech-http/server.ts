/**
 * Voices asked by HTTP: OpenAI's `POST /v1/audio/speech` (24 kHz, streamed) and Piper's `POST /synthesize` (a
 * whole WAV at 22.05 kHz, one request after the other).
 *
 * The call's id is read from `x-client-request-id`, up to its last `.`.
 */
import { randomUUID } from "node:crypto";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";
import { type OutputFormat, wavHeader } from "../audio-output.js";
import { FaultSwitch, faultOf } from "../faults.js";
import type { EmulatorSettings } from "../options.js";
import { type SpeechFault, SpeechQueue, callIdOfContext } from "../speech-queue.js";
import type { SpeechHttpFault, SpeechHttpInfo } from "./faults.js";

const BODY_MAX_BYTES = 64 * 1024;
/** Longer than any pause in a call, so that clients which keep their connection find it open. */
const KEEP_ALIVE_MS = 300_000;

const OPENAI_FORMAT: OutputFormat = { encoding: "pcm_s16le", sample_rate: 24_000 };
const PIPER_FORMAT: OutputFormat = { encoding: "pcm_s16le", sample_rate: 22_050 };

const openAiSchema = z.strictObject({
  model: z.string().min(1),
  voice: z.string().min(1),
  input: z.string().min(1).max(4_096),
  response_format: z.enum(["pcm", "wav"]),
  speed: z.number().min(0.25).max(4).optional(),
  instructions: z.string().optional(),
});
const piperSchema = z.strictObject({ text: z.string().min(1), voice: z.string().optional() });

interface Asked {
  readonly text: string;
  readonly format: OutputFormat;
  readonly wav: boolean;
  /** The answer is sent when all of it is spoken. */
  readonly whole: boolean;
}

export interface SpeechHttpControl {
  readonly faults: FaultSwitch<SpeechHttpFault, SpeechHttpInfo>;
  /** Requests that are not over. */
  readonly activeRequests: number;
  readonly requestCount: number;
  /** Connections open now, and since the start. */
  readonly openConnections: number;
  readonly connectionCount: number;
}

export class SpeechHttpServer implements SpeechHttpControl {
  readonly faults = new FaultSwitch<SpeechHttpFault, SpeechHttpInfo>();
  readonly #settings: EmulatorSettings;
  readonly #server: Server;
  readonly #active = new Set<ServerResponse>();
  openConnections = 0;
  connectionCount = 0;
  requestCount = 0;

  constructor(settings: EmulatorSettings) {
    this.#settings = settings;
    this.#server = createServer((request, response) => {
      this.#receive(request, response).catch(() => response.destroy());
    });
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
    this.#server.on("connection", (socket) => {
      this.openConnections += 1;
      this.connectionCount += 1;
      socket.setNoDelay(true);
      socket.on("close", () => {
        this.openConnections -= 1;
      });
    });
  }

  get activeRequests(): number {
    return this.#active.size;
  }

  /** The port it listens on. */
  async listen(): Promise<number> {
    const { host, ports } = this.#settings;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(ports.speech, host, resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = `${request.method} ${new URL(request.url ?? "/", "http://x").pathname}`;
    if (path === "GET /v1/models" || path === "GET /voices") {
      const problem = path === "GET /voices" ? null : this.#keyProblem(request);
      answerJson(response, problem === null ? 200 : 401, problem ?? {});
      return;
    }
    const isOpenAi = path === "POST /v1/audio/speech";
    if (!isOpenAi && path !== "POST /synthesize") {
      answerJson(response, 404, errorBody("Not found.", "not_found"));
      return;
    }
    const text = await readBody(request);
    const problem = isOpenAi ? this.#keyProblem(request) : null;
    if (problem !== null) answerJson(response, 401, problem);
    else this.#answer(request, response, isOpenAi ? parseOpenAi(text) : parsePiper(text));
  }

  #answer(request: IncomingMessage, response: ServerResponse, asked: Asked | string): void {
    if (typeof asked === "string") {
      answerJson(response, 400, errorBody(asked, "invalid_request_error"));
      return;
    }
    this.requestCount += 1;
    const id = String(request.headers["x-client-request-id"] ?? randomUUID());
    const callId = callIdOfContext(id);
    const faults = this.faults.take({ contextId: id, callId, text: asked.text });
    if (faultOf(faults, "reset") !== undefined) {
      request.socket.resetAndDestroy();
      return;
    }
    const refused = faultOf(faults, "status");
    if (refused !== undefined) {
      const { status, message = `HTTP ${status}`, retryAfterS } = refused;
      if (retryAfterS !== undefined) response.setHeader("retry-after", String(retryAfterS));
      answerJson(response, status, errorBody(message, "refused"));
      return;
    }
    if (this.#active.size >= this.#settings.limits.speechRequests) {
      response.setHeader("retry-after", "1");
      answerJson(response, 429, errorBody("Rate limit reached.", "rate_limit_exceeded"));
      return;
    }
    this.#active.add(response);
    response.on("close", () => this.#active.delete(response));
    response.on("finish", () => this.#active.delete(response));
    if (faultOf(faults, "noAnswer") === undefined) this.#speak(response, asked, id, callId, faults);
  }

  #speak(
    response: ServerResponse,
    asked: Asked,
    contextId: string,
    callId: string,
    faults: readonly SpeechHttpFault[],
  ): void {
    const { format, wav, whole } = asked;
    const pieces: Buffer[] = [];
    const short = faultOf(faults, "shortBody");
    const begin = (bytes?: number): void => {
      if (response.headersSent) return;
      response.writeHead(200, { "content-type": wav ? "audio/wav" : "audio/pcm" });
      if (faultOf(faults, "garbage") !== undefined) response.write("<html>");
      if (wav) response.write(wavHeader(format, bytes));
    };
    const finish = (): void => {
      const all = Buffer.concat(pieces);
      begin(short === undefined ? all.length : all.length * 2);
      response.end(all);
      speech.end();
    };
    const speech: SpeechQueue = new SpeechQueue(
      { contextId, callId, format, faults: faults as readonly SpeechFault[] },
      this.#settings,
      {
        onChunk: ({ bytes }) => {
          if (whole) {
            pieces.push(bytes);
          } else {
            begin();
            response.write(bytes);
          }
          if (short !== undefined && speech.chunkCount >= short.afterChunks) finish();
        },
        onDrained: () => {
          if (speech.neverDone) {
            begin();
            response.write(Buffer.concat(pieces));
            return;
          }
          speech.note("done");
          finish();
        },
        onFault: () => response.destroy(),
        dropSocket: () => response.socket?.resetAndDestroy(),
      },
    );
    response.on("close", () => speech.end());
    speech.speak(asked.text);
    speech.schedule();
  }

  #keyProblem(request: IncomingMessage): object | null {
    if (request.headers.authorization === `Bearer ${this.#settings.apiKey}`) return null;
    return errorBody("Incorrect API key provided.", "invalid_api_key");
  }
}

function parseOpenAi(text: string): Asked | string {
  const body = parse(openAiSchema, text);
  if (typeof body === "string") return body;
  return { text: body.input, format: OPENAI_FORMAT, wav: body.response_format === "wav", whole: false };
}

function parsePiper(text: string): Asked | string {
  const body = parse(piperSchema, text);
  return typeof body === "string" ? body : { text: body.text, format: PIPER_FORMAT, wav: true, whole: true };
}

function parse<Body>(schema: z.ZodType<Body>, text: string): Body | string {
  try {
    const result = schema.safeParse(JSON.parse(text));
    return result.success ? result.data : z.prettifyError(result.error);
  } catch {
    return "The body is not valid JSON.";
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let byteCount = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    byteCount += piece.length;
    if (byteCount > BODY_MAX_BYTES) throw new Error("the request is too large");
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

function errorBody(message: string, code: string): object {
  return { error: { message, type: "invalid_request_error", param: null, code } };
}

function answerJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json", "x-request-id": `req_${randomUUID()}` });
  response.end(JSON.stringify(body));
}

/**
 * Batch transcription as OpenAI's and Groq's: `POST …/v1/audio/transcriptions`, multipart, a WAV of one
 * utterance in, its words out after the drawn delay of a final.
 */
import { randomUUID } from "node:crypto";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { UtteranceLog } from "../deepgram/utterance-log.js";
import { transcriptOf } from "../deepgram/v1-results.js";
import { drawMs } from "../distribution.js";
import { FaultSwitch, faultOf } from "../faults.js";
import type { EmulatorSettings } from "../options.js";
import { type TranscriptionForm, hearWav, parseForm } from "./body.js";

export type WhisperFault =
  /** Refused with this status. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly message?: string;
      readonly retryAfterS?: number;
    }
  /** The connection is reset in place of an answer. */
  | { readonly kind: "reset" }
  /** Nothing is answered and nothing closed. */
  | { readonly kind: "noAnswer" }
  /** The answer breaks off in its middle. */
  | { readonly kind: "cut" }
  /** The answer's end never comes. */
  | { readonly kind: "missingEnd" }
  /** The answer comes this much later than drawn. */
  | { readonly kind: "stall"; readonly forMs: number }
  /** An answer that is not JSON. */
  | { readonly kind: "garbage" }
  /** An error in the shape of an answer. */
  | { readonly kind: "errorBody" }
  /** No word times, as older servers. */
  | { readonly kind: "noWords" }
  /** A stretch of made-up words at the end, as Whisper writes into silence. */
  | { readonly kind: "madeUp" };

export interface WhisperRequestInfo {
  readonly model: string;
}

export interface WhisperControl {
  readonly faults: FaultSwitch<WhisperFault, WhisperRequestInfo>;
  /** Requests under way. */
  readonly runningCount: number;
  readonly requestCount: number;
  /** The fields of the latest request. */
  readonly lastFields: TranscriptionForm["fields"];
}

const PATHS: readonly string[] = ["/v1/audio/transcriptions", "/openai/v1/audio/transcriptions"];
/** The vendors take 25 MB. */
const BODY_MAX_BYTES = 25 * 1024 * 1024;
const MINUTE_MS = 60_000;
const KEEP_ALIVE_MS = 300_000;

export class WhisperServer implements WhisperControl {
  readonly faults = new FaultSwitch<WhisperFault, WhisperRequestInfo>();
  readonly #settings: EmulatorSettings;
  readonly #server: Server;
  #minuteFromMs = Number.NEGATIVE_INFINITY;
  #inMinute = 0;
  readonly #running = new Set<ServerResponse>();
  #requestCount = 0;
  #lastFields: TranscriptionForm["fields"] = [];

  constructor(settings: EmulatorSettings) {
    this.#settings = settings;
    this.#server = createServer((request, response) => this.#receive(request, response));
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
    this.#server.on("connection", (socket) => void socket.setNoDelay(true));
  }

  get runningCount(): number {
    return this.#running.size;
  }

  get requestCount(): number {
    return this.#requestCount;
  }

  get lastFields(): TranscriptionForm["fields"] {
    return this.#lastFields;
  }

  async listen(): Promise<number> {
    const { host, ports } = this.#settings;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(ports.whisper, host, resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    this.#requestCount += 1;
    this.#running.add(response);
    response.on("close", () => this.#running.delete(response));
    const pieces: Buffer[] = [];
    let bytes = 0;
    request.on("data", (piece: Buffer) => {
      bytes += piece.length;
      if (bytes <= BODY_MAX_BYTES) pieces.push(piece);
    });
    request.on("end", () => {
      if (bytes > BODY_MAX_BYTES) refuse(response, 413, "Maximum content size limit exceeded");
      else this.#answer(request, Buffer.concat(pieces), response);
    });
  }

  #answer(request: IncomingMessage, body: Buffer, response: ServerResponse): void {
    const { apiKey, clock, latency, random, limits } = this.#settings;
    if (!PATHS.includes(request.url ?? "")) return refuse(response, 404, "Unknown request URL");
    if (request.method !== "POST") return refuse(response, 405, "Method Not Allowed");
    const form = parseForm(request.headers["content-type"] ?? "", body);
    const model = form?.fields.find(([name]) => name === "model")?.[1] ?? "";
    const faults = this.faults.take({ model });
    if (faultOf(faults, "reset") !== undefined) return void request.socket.destroy();
    const refused = faultOf(faults, "status");
    if (refused !== undefined) {
      return refuse(response, refused.status, refused.message ?? "Refused.", refused.retryAfterS);
    }
    if (request.headers.authorization !== `Bearer ${apiKey}`) {
      return refuse(response, 401, "Invalid API Key");
    }
    if (form === null) return refuse(response, 400, "`file` is required");
    this.#lastFields = form.fields;
    if (model === "") return refuse(response, 400, "`model` is required");
    const nowMs = clock.nowMs();
    if (nowMs - this.#minuteFromMs >= MINUTE_MS) {
      this.#minuteFromMs = nowMs;
      this.#inMinute = 0;
    }
    if (this.#inMinute >= limits.whisperRequestsPerMinute) {
      const waitS = Math.ceil((this.#minuteFromMs + MINUTE_MS - nowMs) / 1_000);
      return refuse(response, 429, "Rate limit reached", waitS);
    }
    this.#inMinute += 1;
    const heard = /\.wav$/i.test(form.fileName) ? hearWav(form.file, clock) : null;
    if (heard === null) return refuse(response, 400, "could not process file - is it a valid media file?");
    if (faultOf(faults, "noAnswer") !== undefined) return;

    const requestId = `req_${randomUUID()}`;
    const identity = { requestId, modelUuid: requestId, callId: null };
    const log = new UtteranceLog(this.#settings.log, identity, "whisper");
    const receivedAtMs = clock.nowMs();
    for (const word of heard.words) log.heard(word);
    log.speechEnd(heard.words.at(-1)?.endMs ?? 0, receivedAtMs);
    const delayMs = drawMs(latency.sttFinalMs, random);
    const lateMs = faultOf(faults, "stall")?.forMs ?? 0;
    clock.setTimer(delayMs + lateMs, () => {
      if (response.destroyed) return;
      const text = this.#bodyOf(form, heard, faults);
      response.writeHead(200, { "content-type": "application/json", "x-request-id": requestId });
      if (faultOf(faults, "cut") !== undefined) {
        response.write(text.slice(0, text.length / 2), () => response.destroy());
        return;
      }
      response.write(text);
      if (faultOf(faults, "missingEnd") !== undefined) return;
      response.end();
      const said = transcriptOf(heard.words, true);
      log.final(said, delayMs, clock.nowMs(), receivedAtMs + delayMs + lateMs);
    });
  }

  #bodyOf(
    form: TranscriptionForm,
    heard: NonNullable<ReturnType<typeof hearWav>>,
    faults: readonly WhisperFault[],
  ): string {
    if (faultOf(faults, "garbage") !== undefined) return '{"text":"';
    if (faultOf(faults, "errorBody") !== undefined) return '{"error":{"message":"Something broke."}}';
    const field = (name: string): string | undefined => form.fields.find(([known]) => known === name)?.[1];
    const text = transcriptOf(heard.words, true);
    if (field("response_format") !== "verbose_json") return JSON.stringify({ text });
    const seconds = (ms: number): number => Math.round(ms) / 1_000;
    const endS = seconds(heard.durationMs);
    const segment = (
      id: number,
      said: string,
      startS: number,
      noSpeech: number,
      logprob: number,
    ): object => ({
      id,
      seek: 0,
      start: startS,
      end: endS,
      text: said,
      tokens: [],
      temperature: 0,
      avg_logprob: logprob,
      compression_ratio: 1,
      no_speech_prob: noSpeech,
    });
    const segments = heard.words.length === 0 ? [] : [segment(0, text, 0, 0.01, -0.2)];
    const words = heard.words.map(({ word, startMs, endMs }) => ({
      word: word.replace(/[.,!?]/g, ""),
      start: seconds(startMs),
      end: seconds(endMs),
    }));
    if (faultOf(faults, "madeUp") !== undefined) {
      segments.push(segment(1, "Thank you for watching!", endS, 0.95, -1.4));
      words.push({ word: "Thank", start: endS, end: endS }, { word: "you", start: endS, end: endS });
    }
    const wanted = form.fields.some(
      ([name, value]) => name === "timestamp_granularities[]" && value === "word",
    );
    return JSON.stringify({
      task: "transcribe",
      language: field("language") ?? "english",
      duration: endS,
      text,
      segments,
      ...(wanted && faultOf(faults, "noWords") === undefined ? { words } : {}),
      x_groq: { id: "req_emulated" },
    });
  }
}

function refuse(response: ServerResponse, status: number, message: string, retryAfterS?: number): void {
  const headers = retryAfterS === undefined ? {} : { "retry-after": String(retryAfterS) };
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify({ error: { message, type: "invalid_request_error" } }));
}

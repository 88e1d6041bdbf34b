/**
 * Voices by ElevenLabs: replies are contexts, five of them on a socket. Voice, model, language and format
 * belong to the socket, so each voice has a pool of sockets; all pools share one budget.
 *
 * A client of our own on `ws`: the vendor's package, `@elevenlabs/elevenlabs-js` 2.73, has types for these
 * messages and no client that sends them. The protocol is five messages out and three in.
 *
 * Invariants:
 * V1  At most `socketsMax` sockets over all voices. A voice that needs one when all are taken gets that of a
 *     voice nobody speaks in; when all are spoken on, its reply fails with TTS_OVERFLOW.
 * V2  A pool nobody has used for UNUSED_MAX_MS closes its sockets and is forgotten.
 */
import type { AudioFormat } from "#runtime/media";
import { type Due, NEVER } from "../due-sweep.js";
import type { Failure } from "../failures.js";
import { type ElevenLabsSettings, webSocketOrigin } from "../settings.js";
import { AudioScratch } from "./audio-scratch.js";
import type { ContextDialect } from "./context-dialect.js";
import { ContextPool, SocketBudget } from "./context-pool.js";
import { ElevenLabsScript, failureOf, isError, isFinal } from "./elevenlabs-messages.js";
import type { TtsDeps, TtsEvents, TtsProvider, TtsRequest, TtsStream, TtsVoice } from "./provider.js";

/** Asked for when a socket opens, and the most there is; without it both end after 20 s. */
const INACTIVITY_TIMEOUT_S = 180;
/** A socket without contexts is replaced before that. */
const SOCKET_IDLE_MAX_MS = 150_000;
/** A voice nobody spoke in for this long keeps no socket: a tenant's calls are minutes apart, or over for the day. */
const UNUSED_MAX_MS = 600_000;
/** Below the vendor's own 20 s, should it ignore what we asked for. */
const CONTEXT_IDLE_MS = 10_000;
/** Then the context is finished: a tool that takes longer than 40 s has failed by its own time-out. */
const KEEP_ALIVES_MAX = 3;
/** Between looks for pools nobody uses. */
const TEND_INTERVAL_MS = 60_000;

const FORMATS: Readonly<Record<string, string>> = {
  "mulaw 8000": "ulaw_8000",
  "alaw 8000": "alaw_8000",
  "l16 8000": "pcm_8000",
  "l16 16000": "pcm_16000",
  "l16 24000": "pcm_24000",
};

export class ElevenLabsProvider implements TtsProvider, Due {
  readonly name = "elevenlabs";
  dueAtMs = NEVER;
  readonly #settings: ElevenLabsSettings;
  readonly #deps: TtsDeps;
  readonly #dialect: ContextDialect;
  readonly #budget: SocketBudget;
  readonly #scratch = new AudioScratch();
  readonly #pools = new Map<string, ContextPool>();
  #contextNumber = 0;
  #closed = false;

  constructor(settings: ElevenLabsSettings, deps: TtsDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.#dialect = elevenLabsDialect(settings);
    this.#budget = new SocketBudget(settings.socketsMax, () => this.#yieldSocket());
  }

  get usage(): number {
    const { socketsMax, contextsPerSocket } = this.#settings;
    let streamCount = 0;
    for (const pool of this.#pools.values()) streamCount += pool.streamCount;
    return Math.min(1, streamCount / (socketsMax * contextsPerSocket));
  }

  speak(request: TtsRequest, events: TtsEvents): TtsStream {
    const problem = this.#problemWith(request);
    if (problem !== null) return this.#refused(problem, events);
    return this.#poolFor(request).speak(request, events);
  }

  warm(voice: TtsVoice): Promise<void> {
    return this.#problemWith(voice) === null ? this.#poolFor(voice).warm() : Promise.resolve();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.dueAtMs = NEVER;
    this.#deps.sweep.remove(this);
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
    this.#pools.clear();
  }

  /** V2. */
  onDue(nowMs: number): void {
    this.dueAtMs = nowMs + TEND_INTERVAL_MS;
    for (const [key, pool] of this.#pools) {
      if (!pool.isIdle) continue;
      this.#pools.delete(key);
      void pool.close();
    }
  }

  #poolFor(voice: TtsVoice): ContextPool {
    const key = socketPath(voice);
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    if (this.dueAtMs === NEVER) {
      this.dueAtMs = this.#deps.clock.nowMs() + TEND_INTERVAL_MS;
      this.#deps.sweep.add(this);
    }
    const pool = new ContextPool({
      ...this.#deps,
      dialect: this.#dialect,
      voice,
      budget: this.#budget,
      scratch: this.#scratch,
      nextContextId: (callId) => `${callId}.${++this.#contextNumber}`,
    });
    this.#pools.set(key, pool);
    return pool;
  }

  /** V1: the pool used longest ago is asked last to be asked again, so the first with one to spare will do. */
  #yieldSocket(): boolean {
    for (const pool of this.#pools.values()) if (pool.yieldSocket()) return true;
    return false;
  }

  #problemWith({ format }: TtsVoice): Failure | null {
    if (this.#closed) return { reason: "CLOSED", what: "is closed on this shard" };
    if (outputFormat(format) !== undefined) return null;
    return { reason: "REJECTED", what: `has no ${format.encoding} at ${format.sampleRateHz} Hz` };
  }

  #refused(failure: Failure, events: TtsEvents): TtsStream {
    let over = false;
    const error = this.#deps.failures.error(failure);
    queueMicrotask(() => {
      if (!over) events.onError(error);
    });
    const end = (): void => {
      over = true;
    };
    return { push: () => undefined, finish: () => undefined, cancel: end };
  }
}

function elevenLabsDialect(settings: ElevenLabsSettings): ContextDialect {
  return {
    name: "elevenlabs",
    settings,
    socketIdleMaxMs: SOCKET_IDLE_MAX_MS,
    unusedMaxMs: UNUSED_MAX_MS,
    contextIdleMs: CONTEXT_IDLE_MS,
    keepAlivesMax: KEEP_ALIVES_MAX,
    forgetsSilently: true,
    lingers: true,
    socketOptions: (voice) => ({
      url: webSocketOrigin(settings.url) + socketPath(voice),
      headers: { "xi-api-key": settings.apiKey },
      requestIdHeader: "request-id",
    }),
    contextIdOf: (message) => {
      const contextId = message["contextId"] ?? message["context_id"];
      return typeof contextId === "string" ? contextId : null;
    },
    isLast: (message) => isFinal(message) || isError(message),
    socketFailureOf: (message) => (isError(message) ? failureOf(message) : null),
    begin: (_request, contextId) => new ElevenLabsScript(contextId),
  };
}

/** What a socket is opened for, as the vendor wants it told. */
function socketPath({ model, voice, language, format }: TtsVoice): string {
  const query = new URLSearchParams({
    model_id: model,
    output_format: outputFormat(format) ?? "",
    inactivity_timeout: String(INACTIVITY_TIMEOUT_S),
    sync_alignment: "true",
  });
  // The older multilingual models refuse to be told; English ones know nothing else.
  if (/flash|turbo/.test(model)) query.set("language_code", language);
  return `/v1/text-to-speech/${encodeURIComponent(voice)}/multi-stream-input?${query.toString()}`;
}

function outputFormat({ encoding, sampleRateHz }: AudioFormat): string | undefined {
  return FORMATS[`${encoding.startsWith("l16") ? "l16" : encoding} ${sampleRateHz}`];
}

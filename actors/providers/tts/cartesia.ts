/**
 * Voices by Cartesia: replies are contexts, many of them on few sockets, whatever the voice.
 *
 * A thin client on `ws` rather than `@cartesia/cartesia-js` 4.2: that package's ES modules do not load on
 * Node 20, it insists on `wss:` (no emulator without a TLS certificate), and after a drop it reconnects
 * without a word, forgets every context and ends them as if they were complete. What is left of the
 * protocol is four messages out and five in.
 */
import { NEVER } from "../due-sweep.js";
import type { Failure } from "../failures.js";
import { type CartesiaSettings, webSocketOrigin } from "../settings.js";
import { AudioScratch } from "./audio-scratch.js";
import {
  cancelMessage,
  envelopeOf,
  failureOf,
  finishMessage,
  textMessage,
  wordsOf,
} from "./cartesia-messages.js";
import type { ContextDialect, ContextMessage, ContextReader, ContextScript } from "./context-dialect.js";
import { ContextPool, SocketBudget } from "./context-pool.js";
import type { TtsDeps, TtsEvents, TtsProvider, TtsRequest, TtsStream, TtsVoice } from "./provider.js";

/** Cartesia closes a socket idle for 5 minutes; ours is replaced before, so that nobody finds it closing. */
const SOCKET_IDLE_MAX_MS = 240_000;
/** Finish a context this long after its last audio: before the second at which it expires, sweep included. */
const CONTEXT_IDLE_MS = 700;

export class CartesiaProvider implements TtsProvider {
  readonly name = "cartesia";
  readonly #settings: CartesiaSettings;
  readonly #deps: TtsDeps;
  /** One for all voices: each reply names its own. Made with the first. */
  #pool: ContextPool | null = null;
  #contextNumber = 0;

  constructor(settings: CartesiaSettings, deps: TtsDeps) {
    this.#settings = settings;
    this.#deps = deps;
  }

  get usage(): number {
    const { socketsMax, contextsPerSocket } = this.#settings;
    return Math.min(1, (this.#pool?.streamCount ?? 0) / (socketsMax * contextsPerSocket));
  }

  speak(request: TtsRequest, events: TtsEvents): TtsStream {
    return this.#poolFor(request).speak(request, events);
  }

  warm(voice: TtsVoice): Promise<void> {
    return this.#poolFor(voice).warm();
  }

  async close(): Promise<void> {
    await this.#pool?.close();
  }

  #poolFor(voice: TtsVoice): ContextPool {
    this.#pool ??= new ContextPool({
      ...this.#deps,
      dialect: cartesiaDialect(this.#settings),
      voice,
      budget: new SocketBudget(this.#settings.socketsMax, () => false),
      scratch: new AudioScratch(),
      nextContextId: (callId) => `${callId}.${++this.#contextNumber}`,
    });
    return this.#pool;
  }
}

function cartesiaDialect(settings: CartesiaSettings): ContextDialect {
  return {
    name: "cartesia",
    settings,
    socketIdleMaxMs: SOCKET_IDLE_MAX_MS,
    unusedMaxMs: NEVER,
    contextIdleMs: CONTEXT_IDLE_MS,
    // It knows none: a context without new text expires.
    keepAlivesMax: 0,
    // It says that the context has expired.
    forgetsSilently: false,
    // Its bound is on contexts of the account, not of the socket.
    lingers: false,
    socketOptions: () => ({
      url: `${webSocketOrigin(settings.url)}/tts/websocket`,
      headers: { "X-API-Key": settings.apiKey, "Cartesia-Version": settings.version },
      requestIdHeader: "x-request-id",
    }),
    contextIdOf: (message) => {
      const contextId = message["context_id"];
      return typeof contextId === "string" ? contextId : null;
    },
    isLast: (message) => message["done"] === true,
    socketFailureOf: (message) => (message["type"] === "error" ? failureOf(message) : null),
    begin: (request, contextId) => new CartesiaScript(request, contextId),
  };
}

class CartesiaScript implements ContextScript {
  readonly opening = null;
  readonly heldText = "";
  readonly #contextId: string;
  /** What does not change within a context, as JSON up to the transcript. */
  readonly #envelope: string;

  constructor(request: TtsRequest, contextId: string) {
    this.#contextId = contextId;
    this.#envelope = envelopeOf(request, contextId);
  }

  text(text: string): string {
    return textMessage(this.#envelope, text);
  }

  finish(): readonly string[] {
    return [finishMessage(this.#envelope)];
  }

  cancel(): string {
    return cancelMessage(this.#contextId);
  }

  keepAlive(): string {
    return textMessage(this.#envelope, "");
  }

  read(message: ContextMessage, reader: ContextReader): void {
    switch (message["type"]) {
      case "chunk":
        reader.onChunk(message["data"]);
        return;
      case "timestamps":
        reader.onContextWords(wordsOf(message["word_timestamps"]));
        return;
      case "done":
        reader.onContextDone();
        return;
      case "error": {
        const failure = failureOf(message);
        reader.onContextError(failure, isExpiry(failure));
        return;
      }
      default: // flush_done, phoneme_timestamps and what they may add: nothing to act on
    }
  }
}

function isExpiry({ detail }: Failure): boolean {
  return /expired/i.test(`${detail?.providerCode} ${detail?.providerMessage}`);
}

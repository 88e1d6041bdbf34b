/**
 * Voices by HTTP: each clause is a request, each answer audio at the voice's own rate, brought to the leg's
 * format here.
 *
 * U1  At most `repliesMax` replies at once, and so two sockets for each: no request waits for a socket.
 */
import { HttpTransport } from "../http-transport.js";
import type { HttpPcmSettings } from "../settings.js";
import { HttpPcmStream } from "./http-pcm-stream.js";
import { type HttpVoice, authorization } from "./http-pcm-voices.js";
import type { TtsDeps, TtsEvents, TtsProvider, TtsRequest, TtsStream } from "./provider.js";

/** One answered, one asked ahead. */
const SOCKETS_PER_REPLY = 2;
/** A connection opened ahead is not waited for longer. */
const WARM_TIMEOUT_MS = 5_000;

interface Warming {
  readonly done: Promise<void>;
  readonly end: () => void;
}

export class HttpPcmProvider implements TtsProvider {
  readonly name: string;
  readonly #voice: HttpVoice;
  readonly #settings: HttpPcmSettings;
  readonly #deps: TtsDeps;
  readonly #transport: HttpTransport;
  readonly #replies = new Set<HttpPcmStream>();
  #warming: Warming | null = null;
  #closed = false;

  constructor(voice: HttpVoice, settings: HttpPcmSettings, deps: TtsDeps) {
    this.name = voice.name;
    this.#voice = voice;
    this.#settings = settings;
    this.#deps = deps;
    const origin = settings.url.replace(/\/+$/, "");
    const socketsMax = settings.repliesMax * SOCKETS_PER_REPLY;
    this.#transport = new HttpTransport(origin, socketsMax, settings.connectTimeoutMs, deps.network);
  }

  get usage(): number {
    return this.#replies.size / this.#settings.repliesMax;
  }

  speak(request: TtsRequest, events: TtsEvents): TtsStream {
    const stream = new HttpPcmStream(request, events, {
      ...this.#deps,
      voice: this.#voice,
      settings: this.#settings,
      transport: this.#transport,
      onEnded: (ended) => void this.#replies.delete(ended),
    });
    if (this.#closed) stream.failSoon({ reason: "CLOSED", what: "is closed on this shard" });
    else if (this.#replies.size >= this.#settings.repliesMax) {
      stream.failSoon({ reason: "OVERFLOW", what: "speaks as many replies as we allow" }); // U1
    } else this.#replies.add(stream);
    return stream;
  }

  warm(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#warming ??= this.#touch();
    return this.#warming.done;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#warming?.end();
    await Promise.resolve(); // no event runs inside a call of theirs
    for (const reply of this.#replies) reply.fail({ reason: "CLOSED", what: "is closed on this shard" });
    await this.#transport.close();
  }

  #touch(): Warming {
    let resolve = (): void => undefined;
    const done = new Promise<void>((settle) => {
      resolve = settle;
    });
    const end = (): void => {
      timer.cancel();
      this.#warming = null;
      resolve();
    };
    const timer = this.#deps.clock.setTimer(WARM_TIMEOUT_MS, end);
    const headers = authorization(this.#settings);
    const request = { method: "GET", path: this.#voice.touchPath, headers, body: null } as const;
    void this.#transport.touch(request).then((status) => {
      if (status !== 200 && !this.#closed) {
        this.#deps.log.warn({ provider: this.name, status }, "could not warm a connection");
      }
      end();
    });
    return { done, end };
  }
}

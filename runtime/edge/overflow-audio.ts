/**
 * What callers hear whom we refuse: each tenant's overflow message as a WAV file that the carrier fetches and
 * plays. No call, slot or shard is behind it, so that refusing costs the admitted nothing.
 *
 *   GET /overflow/<name>.wav    µ-law, 8 kHz, mono: what carriers play as it is
 *
 * O1  A name cannot be guessed: carriers do not sign these requests reliably, so the name is the key.
 * O2  Other words, or another voice, are another name. A carrier caches what it has fetched by its URL, and must not play old words.
 * O3  Memory is bounded: beyond AUDIO_MAX_BYTES the tenant refused longest ago loses his audio, and his text is
 *     spoken by the carrier's own voice instead.
 */
import { randomBytes } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { TemplatedApp } from "uWebSockets.js";
import { MULAW_8K, WAV_HEADER_BYTES, wavHeader } from "#runtime/media";
import type { Logger, Metrics } from "#runtime/telemetry";
import { route } from "./http-exchange.js";

/** Some 2,000 messages of four seconds. */
export const AUDIO_MAX_BYTES = 64 * 1024 * 1024;
/** 128 bits: O1. */
const NAME_BYTES = 16;
const PREFIX = "/overflow/";
const SUFFIX = ".wav";

interface Message {
  readonly name: string;
  readonly text: string;
  readonly wav: Uint8Array;
}

export class OverflowAudio {
  readonly #publicUrl: () => string;
  readonly #tenantIds = new Map<string, string>();
  readonly #messages = new LRUCache<string, Message>({
    maxSize: AUDIO_MAX_BYTES,
    sizeCalculation: ({ wav }) => wav.length,
    dispose: ({ name }) => this.#tenantIds.delete(name),
  });

  constructor(publicUrl: () => string) {
    this.#publicUrl = publicUrl;
  }

  /** `audio` is `text` in µ-law at 8 kHz. The same again changes nothing: every shard tells it. */
  set(tenantId: string, text: string, audio: Uint8Array): void {
    if (audio.length === 0) return;
    const wav = mulawWav(audio);
    const before = this.#messages.peek(tenantId);
    if (before?.text === text && Buffer.compare(before.wav, wav) === 0) return;
    const name = randomBytes(NAME_BYTES).toString("base64url");
    this.#messages.set(tenantId, { name, text, wav });
    // Not when it is larger than all there may be.
    if (this.#messages.has(tenantId)) this.#tenantIds.set(name, tenantId);
  }

  /** Where the carrier finds this very text; null while there is no audio of it. */
  url(tenantId: string, text: string): string | null {
    const message = this.#messages.get(tenantId);
    return message?.text === text ? `${this.#publicUrl()}${PREFIX}${message.name}${SUFFIX}` : null;
  }

  register(app: TemplatedApp, log: Logger, metrics: Metrics): void {
    const pattern = `${PREFIX}:file`;
    app.get(
      pattern,
      route(log, (exchange) => {
        exchange.onAnswered((status) =>
          metrics.edgeHttpRequests.inc({ carrier: "none", kind: "overflow", status }),
        );
        const wav = this.#find(exchange.parameter(0));
        if (wav === null)
          return exchange.respondError(404, "EDGE_REQUEST_INVALID", "there is no such message");
        exchange.respond(200, "audio/wav", wav);
      }),
    );
    app.any(
      pattern,
      route(log, (exchange) => exchange.respondMethodNotAllowed("GET")),
    );
  }

  #find(file: string): Uint8Array | null {
    if (!file.endsWith(SUFFIX)) return null;
    const tenantId = this.#tenantIds.get(file.slice(0, -SUFFIX.length));
    return tenantId === undefined ? null : (this.#messages.peek(tenantId)?.wav ?? null);
  }
}

/** As a whole file. */
export function mulawWav(audio: Uint8Array): Uint8Array {
  const wav = Buffer.alloc(WAV_HEADER_BYTES + audio.length + (audio.length % 2));
  wav.set(wavHeader(MULAW_8K, audio.length));
  wav.set(audio, WAV_HEADER_BYTES);
  return wav;
}

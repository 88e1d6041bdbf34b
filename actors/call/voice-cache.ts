/**
 * Speech that is known beforehand: greetings, quick replies, prompts, apologies. Rendered once per voice,
 * format and text, kept in memory for all calls of the shard and on disk for the next start, so that a
 * greeting's first byte needs no provider.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LRUCache } from "lru-cache";
import { z } from "zod";
import type { Clock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { bytesPerMs } from "#runtime/media";
import type { Logger } from "#runtime/telemetry";
import type { TtsProvider, TtsRequest, TtsWord } from "#actors/providers";
import { MAX_SEGMENT_AUDIO_MS } from "./limits.js";
import { TaskLane } from "./task-lane.js";

/** About two hours of µ-law: thousands of phrases. The least recently used go first. */
export const VOICE_CACHE_MAX_BYTES = 64 * 1024 * 1024;
/**
 * Phrases rendered at once per shard, for all tenants together: below the smallest plan's concurrency, so that
 * calls are not starved.
 */
export const RENDER_CONCURRENCY = 2;
/** A phrase takes well under a second; after this it is given up until asked for again. */
export const RENDER_DEADLINE_MS = 10_000;

export interface CachedSpeech {
  readonly text: string;
  /** In the format it was asked for. Shared by all calls: never written to. */
  readonly audio: Uint8Array;
  readonly words: readonly TtsWord[];
}

/** What audio depends on besides the text. */
export type VoiceKey = Omit<TtsRequest, "callId"> & { readonly provider: string };

const storedSchema = z.object({
  text: z.string(),
  audio: z.base64(),
  words: z.array(z.object({ word: z.string(), startMs: z.number(), endMs: z.number() })),
});

export interface VoiceCacheDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Folder of the disk half; created when missing. Null: memory is all there is. */
  readonly directory: string | null;
  readonly tts: (name: string) => TtsProvider;
}

export class VoiceCache {
  readonly #deps: VoiceCacheDeps;
  readonly #memory = new LRUCache<string, CachedSpeech>({
    maxSize: VOICE_CACHE_MAX_BYTES,
    sizeCalculation: (speech) => speech.audio.length + 1,
  });
  /** Waiting are at most RENDER_CONCURRENCY phrases per voice being warmed: tenants take turns. */
  readonly #rendering = new TaskLane(RENDER_CONCURRENCY);

  constructor(deps: VoiceCacheDeps) {
    this.#deps = deps;
  }

  /** What is in memory; null means: speak it live. */
  get(key: VoiceKey, text: string): CachedSpeech | null {
    return this.#memory.get(cacheName(key, text)) ?? null;
  }

  /**
   * Has every text in memory if it can: from disk, else rendered. Never rejects: what could not be rendered
   * is logged and stays missing. Returns how many are missing.
   */
  async warm(key: VoiceKey, texts: readonly string[]): Promise<number> {
    const waiting = [...new Set(texts)].filter((text) => this.get(key, text) === null);
    let missingCount = 0;
    const worker = async (): Promise<void> => {
      for (let text = waiting.shift(); text !== undefined; text = waiting.shift()) {
        try {
          await this.#load(key, text);
        } catch (error) {
          missingCount += 1;
          this.#deps.log.warn({ err: error, provider: key.provider }, "a phrase could not be rendered");
        }
      }
    };
    await Promise.all(Array.from({ length: RENDER_CONCURRENCY }, worker));
    return missingCount;
  }

  async #load(key: VoiceKey, text: string): Promise<void> {
    const name = cacheName(key, text);
    const { directory } = this.#deps;
    if (directory === null) {
      this.#memory.set(name, await this.#rendering.run(() => this.#render(key, text)));
      return;
    }
    const path = join(directory, `${name}.json`);
    const stored = await readStored(path);
    if (stored !== null) {
      this.#memory.set(name, stored);
      await touch(path, this.#deps.clock.unixMs());
      return;
    }
    const speech = await this.#rendering.run(() => this.#render(key, text));
    this.#memory.set(name, speech);
    await mkdir(directory, { recursive: true });
    const { audio, words } = speech;
    const temporary = `${path}.${randomUUID()}`; // two shards may render the same phrase: the last rename wins
    await writeFile(temporary, JSON.stringify({ text, audio: Buffer.from(audio).toString("base64"), words }));
    await rename(temporary, path);
  }

  #render(key: VoiceKey, text: string): Promise<CachedSpeech> {
    const tts = this.#deps.tts(key.provider);
    const maxBytes = MAX_SEGMENT_AUDIO_MS * bytesPerMs(key.format);
    return new Promise((resolve, reject) => {
      const chunks: Uint8Array[] = [];
      const words: TtsWord[] = [];
      let bytes = 0;
      const stream = tts.speak(
        { ...key, callId: `voice-cache` },
        {
          onAudio(audio) {
            bytes += audio.length;
            if (bytes <= maxBytes) chunks.push(new Uint8Array(audio));
          },
          onWords: (more) => words.push(...more),
          onDone() {
            deadline.cancel();
            resolve({ text, audio: Buffer.concat(chunks), words });
          },
          onError(error) {
            deadline.cancel();
            reject(error);
          },
        },
      );
      const deadline = this.#deps.clock.setTimer(RENDER_DEADLINE_MS, () => {
        stream.cancel();
        reject(new LumentraError("TTS_TIMEOUT", `a phrase was not rendered in ${RENDER_DEADLINE_MS} ms`));
      });
      stream.push(text);
      stream.finish();
    });
  }
}

function cacheName(key: VoiceKey, text: string): string {
  const { provider, model, voice, language, format } = key;
  const identity = [provider, model, voice, language, format.encoding, format.sampleRateHz, text];
  return createHash("sha256").update(JSON.stringify(identity)).digest("hex").slice(0, 40);
}

/** The time it was used last, for whoever trims the folder; only a hint, so that a failure is none. */
async function touch(path: string, unixMs: number): Promise<void> {
  await utimes(path, unixMs / 1_000, unixMs / 1_000).catch(() => undefined);
}

/** Null when it is not there or was damaged; a damaged one is rendered and written again. */
async function readStored(path: string): Promise<CachedSpeech | null> {
  try {
    const { text, audio, words } = storedSchema.parse(JSON.parse(await readFile(path, "utf8")));
    return { text, audio: new Uint8Array(Buffer.from(audio, "base64")), words };
  } catch {
    return null;
  }
}

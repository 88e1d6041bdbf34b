/**
 * Speech that is known beforehand: greetings, quick replies, prompts, apologies. Rendered once per voice,
 * format and text, kept in memory for all calls of the shard and on disk for the next start, so that a
 * greeting's first byte needs no provider.
 *
 * Invariants
 * V1 a text that its voice cannot render is held in another's, where one was named, until its own has rendered it:
 *    words in a stranger's voice are better than none. On disk every voice has what it said itself.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
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
const VOICE_CACHE_MAX_BYTES = 64 * 1024 * 1024;
/**
 * Phrases rendered at once per shard, for all tenants together: below the smallest plan's concurrency, so that
 * calls are not starved.
 */
export const RENDER_CONCURRENCY = 2;
/** A phrase takes well under a second; after this it is given up until asked for again. */
const RENDER_DEADLINE_MS = 10_000;

export interface CachedSpeech {
  readonly text: string;
  /** In the format it was asked for. Shared by all calls: never written to. */
  readonly audio: Uint8Array;
  readonly words: readonly TtsWord[];
}

/** What audio depends on besides the text. */
export type VoiceKey = Omit<TtsRequest, "callId"> & { readonly provider: string };

/** Whom to ask for what the first voice cannot render. */
export interface StandIns {
  /** In order. */
  readonly voices: readonly VoiceKey[];
  /** Of the texts, those nobody must be left without; the others are spoken live. */
  readonly texts: readonly string[];
}

const NOBODY: StandIns = { voices: [], texts: [] };

interface Entry {
  readonly speech: CachedSpeech;
  /** V1: another voice's. */
  readonly isStandIn: boolean;
}

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
  readonly tts: (key: VoiceKey) => TtsProvider;
}

export class VoiceCache {
  readonly #deps: VoiceCacheDeps;
  readonly #memory = new LRUCache<string, Entry>({
    maxSize: VOICE_CACHE_MAX_BYTES,
    sizeCalculation: ({ speech }) => speech.audio.length + 1,
  });
  /** Waiting are at most RENDER_CONCURRENCY phrases per voice being warmed: tenants take turns. */
  readonly #rendering = new TaskLane(RENDER_CONCURRENCY);

  constructor(deps: VoiceCacheDeps) {
    this.#deps = deps;
  }

  /** What is in memory; null means: speak it live. */
  get(key: VoiceKey, text: string): CachedSpeech | null {
    return this.#memory.get(cacheName(key, text))?.speech ?? null;
  }

  /**
   * Has every text in memory if it can: from disk, else rendered, else in the voice of a stand-in (V1). Never
   * rejects. Returns how many are missing in their own voice: ask again for those later.
   */
  async warm(key: VoiceKey, texts: readonly string[], standIns: StandIns = NOBODY): Promise<number> {
    const waiting = [...new Set(texts)].filter((text) => !this.#hasOwn(key, text));
    const missing: string[] = [];
    let firstError: unknown = null;
    await eachOf(waiting, async (text) => {
      try {
        this.#hold(key, text, await this.#load(key, text), false);
      } catch (error) {
        firstError ??= error;
        missing.push(text);
      }
    });
    if (missing.length === 0) return 0;
    const wanted = standIns.texts.filter((text) => missing.includes(text) && this.get(key, text) === null);
    const wordless = await this.#standIn(key, wanted, standIns.voices);
    this.#deps.log.warn(
      { err: firstError, provider: key.provider, missing: missing.length, wordless },
      "phrases could not be rendered",
    );
    return missing.length;
  }

  /** V1. Returns how many nobody could render. */
  async #standIn(key: VoiceKey, texts: readonly string[], voices: readonly VoiceKey[]): Promise<number> {
    let left = texts;
    for (const voice of voices) {
      const refused: string[] = [];
      await eachOf(left.slice(), async (text) => {
        try {
          this.#hold(key, text, await this.#load(voice, text), true);
        } catch {
          refused.push(text);
        }
      });
      left = refused;
    }
    return left.length;
  }

  #hasOwn(key: VoiceKey, text: string): boolean {
    return this.#memory.get(cacheName(key, text))?.isStandIn === false;
  }

  #hold(key: VoiceKey, text: string, speech: CachedSpeech, isStandIn: boolean): void {
    if (isStandIn && this.#hasOwn(key, text)) return; // its own voice has come meanwhile
    this.#memory.set(cacheName(key, text), { speech, isStandIn });
  }

  /** From disk; else rendered, and put there. */
  async #load(key: VoiceKey, text: string): Promise<CachedSpeech> {
    const { directory } = this.#deps;
    if (directory === null) return this.#rendering.run(() => this.#render(key, text));
    const name = cacheName(key, text);
    const path = join(directory, `${name}.json`);
    const stored = await readStored(path);
    if (stored !== null) {
      await touch(path, this.#deps.clock.unixMs());
      return stored;
    }
    const speech = await this.#rendering.run(() => this.#render(key, text));
    await this.#store(path, speech);
    return speech;
  }

  /** A disk that takes nothing costs the next start a rendering. */
  async #store(path: string, { text, audio, words }: CachedSpeech): Promise<void> {
    const temporary = `${path}.${randomUUID()}`; // two shards may render the same phrase: the last rename wins
    try {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(
        temporary,
        JSON.stringify({ text, audio: Buffer.from(audio).toString("base64"), words }),
      );
      await rename(temporary, path);
    } catch (error) {
      this.#deps.log.warn({ err: error }, "a rendered phrase could not be written");
    }
  }

  #render(key: VoiceKey, text: string): Promise<CachedSpeech> {
    const tts = this.#deps.tts(key);
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

/** As many at once as are rendered at once: tenants take turns. */
async function eachOf(texts: string[], body: (text: string) => Promise<void>): Promise<void> {
  const worker = async (): Promise<void> => {
    for (let text = texts.shift(); text !== undefined; text = texts.shift()) await body(text);
  };
  await Promise.all(Array.from({ length: RENDER_CONCURRENCY }, worker));
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

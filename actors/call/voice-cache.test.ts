import { mkdtempSync, readdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { VirtualClock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { MULAW_8K } from "#runtime/media";
import { silentLogger } from "#runtime/telemetry";
import type { TtsEvents, TtsProvider, TtsRequest } from "#actors/providers";
import { MAX_SEGMENT_AUDIO_MS } from "./limits.js";
import { RENDER_CONCURRENCY, VoiceCache, type VoiceKey } from "./voice-cache.js";

const KEY: VoiceKey = { provider: "tts", model: "m", voice: "v", language: "en", format: MULAW_8K };

/** A voice that says nothing until the test lets it. */
class GatedVoice implements TtsProvider {
  readonly name = "tts";
  readonly spoken: string[] = [];
  readonly open: TtsEvents[] = [];
  mostOpen = 0;

  speak(_request: TtsRequest, events: TtsEvents) {
    this.open.push(events);
    this.mostOpen = Math.max(this.mostOpen, this.open.length);
    return { push: (text: string) => this.spoken.push(text), finish: () => {}, cancel: () => {} };
  }

  /** The phrase asked for first is rendered. */
  renderOne(audio = new Uint8Array(160)): void {
    const events = this.open.shift()!;
    events.onAudio(audio);
    events.onDone();
  }

  warm(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function rig(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), "voice-cache-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const voice = new GatedVoice();
  const clock = new VirtualClock();
  const cache = () => new VoiceCache({ clock, log: silentLogger, directory, tts: () => voice });
  return { directory, voice, clock, cache };
}

/** Files are read and written meanwhile. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

void t.test("tenants warmed at once share the shard's renderings, and take turns", async (t) => {
  const { voice, cache } = rig(t);
  const shared = cache();
  const texts = (tenant: string) => ["greeting", "goodbye", "filler"].map((text) => `${tenant} ${text}`);
  const warmed = Promise.all(["a", "b", "c"].map((tenant) => shared.warm(KEY, texts(tenant))));
  for (let rendered = 0; rendered < 9; rendered++) {
    await until(() => voice.open.length === Math.min(RENDER_CONCURRENCY, 9 - rendered));
    voice.renderOne();
  }
  t.same(await warmed, [0, 0, 0]);
  t.equal(voice.mostOpen, RENDER_CONCURRENCY);
  const greetings = voice.spoken.slice(0, 6).filter((text) => text.endsWith("greeting"));
  t.equal(greetings.length, 3, "no tenant waits for all of another's");
});

void t.test("a phrase that fails leaves its place to the next", async (t) => {
  const { voice, clock, cache } = rig(t);
  const warmed = cache().warm(KEY, ["one", "two", "three"]);
  await until(() => voice.open.length === RENDER_CONCURRENCY);
  voice.open.length = 0;
  clock.advance(10_000); // nobody answered
  await until(() => voice.open.length === 1);
  voice.renderOne();
  t.equal(await warmed, 2);
});

void t.test("the longest phrase is as long in every format", async (t) => {
  const { voice, cache } = rig(t);
  const format = { encoding: "l16le", sampleRateHz: 48_000 } as const;
  const shared = cache();
  const warmed = shared.warm({ ...KEY, format }, ["long"]);
  await until(() => voice.open.length === 1);
  voice.renderOne(new Uint8Array(MAX_SEGMENT_AUDIO_MS * 96));
  await warmed;
  t.equal(shared.get({ ...KEY, format }, "long")!.audio.length, MAX_SEGMENT_AUDIO_MS * 96);
});

void t.test("a phrase read from disk is noted as used", async (t) => {
  const { voice, directory, clock, cache } = rig(t);
  const warmed = cache().warm(KEY, ["hello"]);
  await until(() => voice.open.length === 1);
  voice.renderOne();
  await warmed;
  const path = join(directory, readdirSync(directory)[0]!);
  utimesSync(path, 1, 1);
  t.equal(await cache().warm(KEY, ["hello"]), 0);
  t.equal(voice.spoken.length, 1, "it was not rendered again");
  t.equal(Math.round(statSync(path).mtimeMs), Math.round(clock.unixMs()));
});

/** A voice that renders at once, or fails, as `isDown` says; it counts what it was asked. */
function voiceOf(name: string, isDown: () => boolean, asked: string[]): TtsProvider {
  return {
    name,
    speak: (_request, events) => ({
      push: (text) => asked.push(`${name}: ${text}`),
      finish: () =>
        queueMicrotask(() => {
          if (isDown()) return events.onError(new LumentraError("TTS_CONNECT_FAILED", "scripted"));
          events.onAudio(new TextEncoder().encode(name));
          events.onDone();
        }),
      cancel: () => {},
    }),
    warm: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

/**
 * Until a first voice had rendered them once, nobody had words for an apology or an offer: a node whose first start fell
 * into its outage answered callers with silence, healthy fallback or not.
 */
void t.test(
  "what a voice cannot render another says, until its own is back; disks keep each voice's own",
  async (t) => {
    const { directory, clock } = rig(t);
    const asked: string[] = [];
    const down = new Set(["first", "second"]);
    const cache = () =>
      new VoiceCache({
        clock,
        log: silentLogger,
        directory,
        tts: ({ provider }) => voiceOf(provider, () => down.has(provider), asked),
      });
    const first = { ...KEY, provider: "first" };
    const voices = ["second", "third"].map((provider) => ({ ...KEY, provider }));
    const texts = ["sorry", "thanks", "small talk"];
    const standIns = { voices, texts: ["sorry", "thanks"] };
    const shared = cache();
    const spoken = (text: string) => {
      const audio = shared.get(first, text)?.audio;
      return audio === undefined ? null : new TextDecoder().decode(audio);
    };
    t.equal(await shared.warm(first, texts, standIns), 3, "all are missing in their own voice");
    t.same(texts.map(spoken), ["third", "third", null]);
    asked.length = 0;
    t.equal(await shared.warm(first, texts, standIns), 3);
    t.ok(
      asked.length === 3 && asked.every((line) => line.startsWith("first")),
      "held, so not asked for again",
    );
    t.equal(await cache().warm(first, texts), 3, "a stranger's voice is not on disk as one's own");
    down.clear();
    t.equal(await shared.warm(first, texts, standIns), 0);
    t.same(texts.map(spoken), ["first", "first", "first"]);
  },
);

import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { phrasesFor } from "#actors/speech";
import { tenantSchema } from "#actors/tenants";
import { TEST_TENANT } from "./call.fixture.js";
import { RENDER_AGAIN_MS, TenantVoices } from "./tenant-voices.js";
import type { CachedSpeech, StandIns, VoiceCache, VoiceKey } from "./voice-cache.js";

const { apology, messageOffer, messageThanks, fillers } = phrasesFor("en");

const tenant = tenantSchema.parse({
  ...TEST_TENANT,
  tts: { fallbacks: [{ provider: "elevenlabs", model: "m", voice: "second" }] },
  overflow: { kind: "message", text: "All lines are busy." },
});

/** A cache whose own voice is missing so many texts, round by round. */
function rig(missing: number[]) {
  const clock = new VirtualClock();
  const asked: StandIns[] = [];
  const told: string[] = [];
  const cache = {
    get: (_key: VoiceKey, text: string): CachedSpeech => ({ text, audio: new Uint8Array(1), words: [] }),
    warm: (_key: VoiceKey, _texts: readonly string[], standIns: StandIns) => {
      asked.push(standIns);
      return Promise.resolve(missing.shift() ?? 0);
    },
  } as unknown as VoiceCache;
  const voices = new TenantVoices({
    clock,
    cache,
    emit: (kind, tenantId, { text }) => void told.push(`${tenantId} ${kind} ${text}`),
  });
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  };
  voices.replace([tenant]);
  return { asked, told, voices, pass };
}

void t.test("what is missing is rendered again until its own voice has said it", async (t) => {
  const { asked, told, voices, pass } = rig([3, 1, 0]);
  await voices.warm(tenant);
  t.same(told.splice(0), [`test apology ${apology.shardLost}`, "test overflow All lines are busy."]);
  t.match(asked[0]!.voices, [{ provider: "elevenlabs", voice: "second", language: "en" }]);
  for (const text of [apology.providerDown, messageOffer, messageThanks, "Hello there.", ...fillers]) {
    t.ok(asked[0]!.texts.includes(text), text);
  }
  await pass(RENDER_AGAIN_MS - 1);
  t.equal(asked.length, 1);
  await pass(1);
  t.equal(asked.length, 2);
  await pass(RENDER_AGAIN_MS);
  t.equal(asked.length, 3);
  t.equal(told.length, 4, "the main thread has the newest");
  await pass(10 * RENDER_AGAIN_MS);
  t.equal(asked.length, 3, "all is there");
});

void t.test("a tenant that was replaced is left alone, and a shard that stops as well", async (t) => {
  const replaced = rig([3, 3]);
  await replaced.voices.warm(tenant);
  replaced.voices.replace([]);
  await replaced.pass(3 * RENDER_AGAIN_MS);
  t.equal(replaced.asked.length, 1);
  const stopped = rig([3, 3]);
  await stopped.voices.warm(tenant);
  stopped.voices.close();
  await stopped.pass(3 * RENDER_AGAIN_MS);
  t.equal(stopped.asked.length, 1);
});

import t from "tap";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { MULAW_8K } from "#runtime/media";
import { KeptLog } from "./compliance-kit.js";
import type { LlmName, SttName, TtsName } from "#actors/tenants";
import { createProviders } from "./providers.js";
import { isOffered } from "./registry.js";
import { providerDefaults } from "./settings.js";

function create() {
  const apiKey = "a-key";
  const settings = {
    deepgram: { ...providerDefaults.deepgram, apiKey },
    groq: { ...providerDefaults.groq, apiKey },
    cartesia: { ...providerDefaults.cartesia, apiKey },
  };
  const clock = new VirtualClock();
  return {
    clock,
    providers: createProviders(settings, { clock, random: seededRandom(1), log: new KeptLog() }),
  };
}

void t.test("each name is one provider, built when first asked for", async (t) => {
  const { clock, providers } = create();
  t.equal(clock.timerCount, 0);
  for (const name of ["deepgram", "deepgram-flux"] as const) {
    t.equal(providers.stt(name).name, name);
    t.equal(providers.stt(name), providers.stt(name));
  }
  t.not(providers.stt("deepgram"), providers.stt("deepgram-flux"));
  t.equal(providers.llm("groq"), providers.llm("groq"));
  t.equal(providers.tts("cartesia"), providers.tts("cartesia"));
  await providers.close();
  t.equal(clock.timerCount, 0, "and nothing of them is left");
});

void t.test("a name that came past the tenants' schema is a typed error", async (t) => {
  const { providers } = create();
  const code = { code: "TENANT_CONFIG_INVALID" };
  t.throws(() => providers.stt("parrot" as SttName), code);
  t.throws(() => providers.llm("parrot" as LlmName), code);
  t.throws(() => providers.tts("parrot" as TtsName), code);
});

void t.test("a provider whose settings are absent is not offered, and the others are", async (t) => {
  const groq = { ...providerDefaults.groq, apiKey: "a-key" };
  const deps = { clock: new VirtualClock(), random: seededRandom(1), log: new KeptLog() };
  const providers = createProviders({ groq }, deps);
  t.equal(providers.llm("groq").name, "groq");
  t.throws(() => providers.stt("deepgram-flux"), { code: "PROVIDER_NOT_SET_UP", message: /deepgram-flux/ });
  t.ok(isOffered("LLM", "groq", { groq }));
  t.notOk(isOffered("TTS", "cartesia", { groq }));
  t.notOk(isOffered("TTS", "toString", { groq }), "nor one that only every object has");
  await providers.close();
});

void t.test("usage is the tightest budget's: requests of the model, contexts of the voice", async (t) => {
  const apiKey = "a-key";
  const nobody = "ws://127.0.0.1:9";
  const settings = {
    deepgram: { ...providerDefaults.deepgram, apiKey },
    groq: { ...providerDefaults.groq, apiKey, url: "http://127.0.0.1:9", requestsMax: 4 },
    cartesia: { ...providerDefaults.cartesia, apiKey, url: nobody, socketsMax: 1, contextsPerSocket: 2 },
  };
  const deps = { clock: new VirtualClock(), random: seededRandom(1), log: new KeptLog() };
  const providers = createProviders(settings, deps);
  t.equal(providers.usage(), 0, "of none that was built");
  const ignored = { onText() {}, onToolCall() {}, onDone() {}, onError() {} };
  const request = { callId: "c", model: "m", messages: [], tools: [], temperature: 0, maxOutputTokens: 16 };
  const generation = providers.llm("groq").generate(request, ignored);
  t.equal(providers.usage(), 0.25);
  const voice = { callId: "c", model: "m", voice: "v", language: "en", format: MULAW_8K };
  const events = { onAudio() {}, onWords() {}, onDone() {}, onError() {} };
  const speech = providers.tts("cartesia").speak(voice, events);
  t.equal(providers.usage(), 0.5);
  speech.cancel();
  t.equal(providers.usage(), 0.25);
  generation.cancel();
  t.equal(providers.usage(), 0);
  await providers.close();
});

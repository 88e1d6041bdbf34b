import t from "tap";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { MULAW_8K } from "#runtime/media";
import { KeptLog } from "./compliance-kit.js";
import type { LlmName, SttName, TtsName } from "#actors/tenants";
import { createProviders } from "./providers.js";
import { isOffered } from "./registry.js";
import { tenantSchema } from "#actors/tenants";
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

const TENANT = {
  id: "test",
  name: "Test",
  industry: "dental practice",
  numbers: ["+12025550101"],
  timeZone: "America/New_York",
  agentName: "Ava",
} as const;

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
  t.equal(providers.usage(), 0, "nobody has called");
  const { llm, tts } = providers.forCall(tenantSchema.parse(TENANT));
  const ignored = { onText() {}, onToolCall() {}, onDone() {}, onError() {} };
  const request = { callId: "c", model: "m", messages: [], tools: [], temperature: 0, maxOutputTokens: 16 };
  const generation = llm.generate(request, ignored);
  t.equal(providers.usage(), 0.25);
  const voice = { callId: "c", model: "m", voice: "v", language: "en", format: MULAW_8K };
  const events = { onAudio() {}, onWords() {}, onDone() {}, onError() {} };
  const speech = tts.speak(voice, events);
  t.equal(providers.usage(), 0.5);
  speech.cancel();
  t.equal(providers.usage(), 0.25);
  generation.cancel();
  t.equal(providers.usage(), 0);
  await providers.close();
});

/** A provider's `retry-after` refused new calls to the whole node while its fallback stood idle. */
void t.test(
  "usage of a list is that of whoever in it has most room, and the tightest list's counts",
  async (t) => {
    const apiKey = "a-key";
    const model = { apiKey, url: "http://127.0.0.1:9", requestsMax: 2 };
    const settings = {
      deepgram: { ...providerDefaults.deepgram, apiKey },
      groq: { ...providerDefaults.groq, ...model },
      openai: { ...providerDefaults.openai, ...model },
      cartesia: { ...providerDefaults.cartesia, apiKey, url: "ws://127.0.0.1:9" },
    };
    const deps = { clock: new VirtualClock(), random: seededRandom(1), log: new KeptLog() };
    const providers = createProviders(settings, deps);
    const fallbacks = [{ provider: "openai", model: "m" }];
    providers.forCall(tenantSchema.parse({ ...TENANT, llm: { fallbacks } }));
    const ignored = { onText() {}, onToolCall() {}, onDone() {}, onError() {} };
    const request = { callId: "c", model: "m", messages: [], tools: [], temperature: 0, maxOutputTokens: 16 };
    const full = [0, 1].map(() => providers.llm("groq").generate(request, ignored));
    t.equal(providers.usage(), 0, "the other is idle");
    const half = providers.llm("openai").generate(request, ignored);
    t.equal(providers.usage(), 0.5);
    providers.forCall(tenantSchema.parse(TENANT));
    t.equal(providers.usage(), 1, "a tenant without fallbacks has nobody else");
    for (const stream of [...full, half]) stream.cancel();
    await providers.close();
  },
);

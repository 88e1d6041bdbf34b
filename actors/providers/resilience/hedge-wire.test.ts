/** Hedging over real sockets: two models' servers, real clients of them, and what the servers saw. */
import t, { type Test } from "tap";
import { SystemClock, seededRandom } from "#runtime/actor";
import { silentLogger } from "#runtime/telemetry";
import { exactly, startEmulators } from "#bench/emulators";
import { eventually } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { providerDefaults } from "../settings.js";
import { REQUEST, tenantWith } from "./chain.fixture.js";
import { SAMPLES_MIN } from "./latency-tail.js";

/** Longer than any test; nobody waits for it. */
const LATE_MS = 20_000;
const apiKey = "a-key";

async function rig(t: Test, hedge: boolean) {
  const emulators = await startEmulators({ apiKey, latency: { llmFirstTokenMs: exactly(2) } });
  const clock = new SystemClock();
  const counted: string[] = [];
  const settings = {
    deepgram: { ...providerDefaults.deepgram, apiKey },
    cartesia: { ...providerDefaults.cartesia, apiKey },
    groq: { ...providerDefaults.groq, apiKey, url: emulators.urls.groq },
    openai: { ...providerDefaults.openai, apiKey, url: emulators.urls.openai },
  };
  const providers = createProviders(
    settings,
    { clock, random: seededRandom(1), log: silentLogger },
    {
      notify: () => {},
      metrics: {
        breaker: () => {},
        denied: () => {},
        fallback: (from, to) => void counted.push(`${from} -> ${to}`),
        hedge: (provider, result) => void counted.push(`${provider} ${result}`),
      },
    },
  );
  t.teardown(async () => {
    await providers.close();
    await emulators.close();
  });
  const { llm } = providers.forCall(
    tenantWith({ llm: { hedge, fallbacks: [{ provider: "openai", model: "gpt-5-mini" }] } }),
  );
  const { groq, openai } = emulators.models;
  groq.script(/./, { text: "Groq says hello." });
  openai.script(/./, { text: "OpenAI says hello." });
  const ask = (): Promise<string> =>
    new Promise((resolve, reject) => {
      let text = "";
      const request = { ...REQUEST, messages: [{ role: "user", content: "hello?" } as const] };
      llm.generate(request, {
        onText: (delta) => {
          text += delta;
        },
        onToolCall: () => {},
        onDone: () => resolve(text),
        onError: reject,
      });
    });
  /** Requests that the server saw, and those whose client went away. */
  const seen = (provider: string) => emulators.log.llm().filter((entry) => entry.provider === provider);
  const inFlight = () => providers.accounts().reduce((sum, account) => sum + account.inFlight, 0);
  for (let index = 0; index < SAMPLES_MIN; index += 1) await ask();
  t.equal(seen("openai").length, 0, "nobody else was asked while the first was quick");
  // Two: one may be asked while the other's answer is being closed.
  t.ok(groq.connectionCount <= 2, `${groq.connectionCount} connections for ${SAMPLES_MIN} replies`);
  return { clock, groq, openai, ask, seen, counted, inFlight };
}

void t.test("a first token in the tail: the hedge wins, the other's request is cancelled", async (t) => {
  const { clock, groq, ask, seen, counted, inFlight } = await rig(t, true);
  const quick = seen("groq").length;
  groq.faults.arm({ kind: "firstToken", delayMs: LATE_MS }, { count: 3 });
  const startedAtMs = clock.nowMs();
  for (let index = 0; index < 3; index += 1) t.equal(await ask(), "OpenAI says hello.");
  t.ok(clock.nowMs() - startedAtMs < LATE_MS / 2, "nobody waited for the late ones");
  t.same(counted, ["openai won", "openai won", "openai won"]);
  const late = () => seen("groq").slice(quick);
  t.equal(late().length, 3);
  await eventually(() => late().every(({ aborted }) => aborted));
  t.equal(seen("openai").length, 3, "asked once each");
  t.equal(inFlight(), 0, "every ticket is back");
  await ask();
  t.equal(late().length, 4, "it was late, not ill: it is asked first again");
});

void t.test(
  "the first is late, the hedge later: the first one's answer, and the hedge is cancelled",
  async (t) => {
    const { groq, openai, ask, seen, counted, inFlight } = await rig(t, true);
    // Late is what is later than the hedge, however long the twenty samples took on this machine.
    const hedged = eventually(() => openai.requestCount === 1);
    groq.script(/./, { parts: [{ gate: hedged }, { text: "Groq says hello." }] });
    openai.faults.arm({ kind: "firstToken", delayMs: LATE_MS });
    t.equal(await ask(), "Groq says hello.");
    t.same(counted, ["openai lost"]);
    await eventually(() => seen("openai").length === 1 && seen("openai")[0]!.aborted);
    t.equal(inFlight(), 0);
  },
);

void t.test("without hedging the late one is waited for, as long as patience lasts", async (t) => {
  const { groq, ask, seen, counted } = await rig(t, false);
  groq.faults.arm({ kind: "firstToken", delayMs: 600 });
  t.equal(await ask(), "Groq says hello.");
  t.same(counted, []);
  t.equal(seen("openai").length, 0);
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { providerDefaults } from "#actors/providers";
import { parseTenantsFile } from "#actors/tenants";
import { MAX_SLOT_COUNT } from "#runtime/media";
import { PROVIDER_ACCOUNTS } from "./provider-accounts.js";
import { accountsNotSetUp, providerSettings, requireProviders } from "./provider-settings.js";
import { resolveSettings } from "./settings.js";

void t.test("an empty environment gives every default", async (t) => {
  const settings = resolveSettings({ PATH: "/bin", LUMENTRA_EDGE_PORT: "" });
  t.equal(settings.LUMENTRA_EDGE_PORT, 8080);
  t.equal(settings.LUMENTRA_ADMIN_PORT, 9090);
  t.ok(settings.LUMENTRA_SHARDS >= 1);
  t.equal(settings.TWILIO_AUTH_TOKEN, undefined);
});

void t.test("a niceness may be given, which is below 0", async (t) => {
  t.equal(resolveSettings({ LUMENTRA_EDGE_NICE: "-5" }).LUMENTRA_EDGE_NICE, -5);
  for (const LUMENTRA_EDGE_NICE of ["-21", "1", "--5"]) {
    t.throws(() => resolveSettings({ LUMENTRA_EDGE_NICE }), { code: "SETTING_INVALID" }, LUMENTRA_EDGE_NICE);
  }
});

void t.test("a wrong value is refused with its name and what it must be", async (t) => {
  const wrong: [Record<string, string>, RegExp][] = [
    [{ LUMENTRA_EDGE_PORT: "70000" }, /LUMENTRA_EDGE_PORT must be 0 to 65535 \(got "70000"\)/],
    [{ LUMENTRA_EDGE_PORT: "80a" }, /LUMENTRA_EDGE_PORT must be a whole number/],
    [{ LUMENTRA_PUBLIC_URL: "voice.example" }, /LUMENTRA_PUBLIC_URL must be a URL/],
    [{ LUMENTRA_LOG_LEVEL: "loud" }, /LUMENTRA_LOG_LEVEL/],
    [{ LUMENTRA_PRESSURE_SLOT_USAGE: "0.5,0.9,2,off" }, /LUMENTRA_PRESSURE_SLOT_USAGE must be four numbers/],
    [{ LUMENTRA_PRESSURE_PACING_LAG_MS: "20,10,30,40" }, /ascending/],
    [{ LUMENTRA_PRESSURE_PACING_LAG_MS: "20,30,40" }, /four numbers/],
    [{ LUMENTRA_PRESSURE_PACING_LAG_MS: "20,,30,40" }, /four numbers/],
    [{ DEEPGRAM_URL: "ftp://x" }, /DEEPGRAM_URL must be a URL/],
  ];
  for (const [environment, expected] of wrong) {
    t.throws(() => resolveSettings(environment), { code: "SETTING_INVALID", message: expected });
  }
});

void t.test("providers are offered as far as they are set up; a tenant of another is refused", async (t) => {
  t.strictSame(providerSettings(resolveSettings({})), {});
  const settings = resolveSettings({ GROQ_API_KEY: "a-key", DEEPGRAM_URL: "wss://nearby" });
  const offered = providerSettings(settings);
  t.match(offered, { groq: { apiKey: "a-key", url: "https://api.groq.com" }, deepgram: undefined });
  const [tenant] = parseTenantsFile("config/tenants.json");
  t.throws(() => requireProviders([tenant!], offered), {
    code: "PROVIDER_NOT_SET_UP",
    message: /chose deepgram, but DEEPGRAM_API_KEY is not set/,
  });
  const all = { DEEPGRAM_API_KEY: "a", GROQ_API_KEY: "b", CARTESIA_API_KEY: "c" };
  requireProviders([tenant!], providerSettings(resolveSettings(all)));
  t.notOk(accountsNotSetUp(settings).includes("groq"));
  t.ok(accountsNotSetUp(settings).includes("deepgram"), "an address alone is no account");
  const own = resolveSettings({ OLLAMA_URL: "http://localhost:11434", VLLM_API_KEY: "a-key" });
  t.match(providerSettings(own), { ollama: { apiKey: "", url: "http://localhost:11434" }, vllm: undefined });
  requireProviders([{ ...tenant!, llm: { ...tenant!.llm, provider: "ollama" } }], {
    ...providerSettings(resolveSettings(all)),
    ...providerSettings(own),
  });
});

void t.test("pressure's thresholds are four numbers, or off", async (t) => {
  const lag = (text: string) =>
    resolveSettings({ LUMENTRA_PRESSURE_PACING_LAG_MS: text }).LUMENTRA_PRESSURE_PACING_LAG_MS;
  const never = Number.POSITIVE_INFINITY;
  t.strictSame(lag("5, 10.5,20,20"), [5, 10.5, 20, 20]);
  t.strictSame(lag("off,10,off,30"), [never, 10, never, 30]);
  t.strictSame(lag("off"), [never, never, never, never]);
  t.strictSame(resolveSettings({}).LUMENTRA_PRESSURE_SLOT_USAGE, [never, never, never, never]);
});

void t.test("a shard may have as many slots as an arena can, and no more", async (t) => {
  const slots = (count: number) => ({ LUMENTRA_CALLS_PER_SHARD: String(count) });
  t.equal(resolveSettings(slots(MAX_SLOT_COUNT)).LUMENTRA_CALLS_PER_SHARD, MAX_SLOT_COUNT);
  t.throws(() => resolveSettings(slots(MAX_SLOT_COUNT + 1)), { code: "SETTING_INVALID" });
});

void t.test("an unknown variable with one of our prefixes is refused", async (t) => {
  t.throws(() => resolveSettings({ LUMENTRA_EDGE_PROT: "1" }), {
    message: /LUMENTRA_EDGE_PROT is not a setting/,
  });
  t.throws(() => resolveSettings({ DEEPGRAM_KEY: "x" }), { message: /DEEPGRAM_KEY is not a setting/ });

  // Tools of these have variables of their own in the same environment: OPENAI_ORG_ID, OLLAMA_HOST, VLLM_USE_V1 …
  const othersToo = /^(OPENAI|ANTHROPIC|TOGETHER|OLLAMA|VLLM|WHISPER|PIPER)_/;
  for (const { key } of Object.values(PROVIDER_ACCOUNTS)) {
    const misspelt = key.replace("API_KEY", "APIKEY");
    if (othersToo.test(key)) t.doesNotThrow(() => resolveSettings({ [misspelt]: "x" }), misspelt);
    else t.throws(() => resolveSettings({ [misspelt]: "x" }), { code: "SETTING_INVALID" }, misspelt);
  }
});

void t.test("a secret may come from a file, not twice, and is never shown", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "lumentra-settings-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "token");
  writeFileSync(file, "s3cret-token\n");
  t.equal(resolveSettings({ TWILIO_AUTH_TOKEN_FILE: file }).TWILIO_AUTH_TOKEN, "s3cret-token");
  t.throws(() => resolveSettings({ TWILIO_AUTH_TOKEN_FILE: file, TWILIO_AUTH_TOKEN: "x" }), {
    message: /both set/,
  });
  t.throws(() => resolveSettings({ TWILIO_AUTH_TOKEN_FILE: "/nowhere/x" }), { message: /cannot be read/ });
  const tooLong = `planted-${"x".repeat(5_000)}`;
  try {
    resolveSettings({ GROQ_API_KEY: tooLong });
    t.fail("an oversized key is refused");
  } catch (error) {
    t.notMatch((error as Error).message, /planted/);
  }
});

void t.test(
  "a full shard of calls that all ask at once is within our own bounds on hosted vendors",
  async (t) => {
    const calls = resolveSettings({}).LUMENTRA_CALLS_PER_SHARD;
    for (const name of ["groq", "cerebras", "together", "openai", "anthropic"] as const) {
      t.ok(
        providerDefaults[name].requestsMax >= 2 * calls,
        `${name}: an answer, and one begun on the interim`,
      );
    }
    for (const name of ["cartesia", "elevenlabs"] as const) {
      const { socketsMax, contextsPerSocket } = providerDefaults[name];
      t.ok(socketsMax * contextsPerSocket >= calls, `${name}: a reply each`);
    }
    t.ok(providerDefaults.openaiSpeech.repliesMax >= calls, "openaiSpeech: a reply each");
  },
);

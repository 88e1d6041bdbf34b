import t from "tap";
import { type TenantConfig as ConfigMessage, type Tenant__Output, packageDefinition } from "#proto";
import { type Random, seededRandom } from "#runtime/actor";
import type { LumentraError } from "#runtime/errors";
import type { FieldViolation } from "#runtime/rpc";
import { parseTenantsFile } from "./file-directory.js";
import {
  type TenantSettings,
  tenantFromProto,
  tenantSettingsFromProto,
  tenantSettingsSchema,
  tenantSettingsToProto,
  tenantToProto,
} from "./tenant-proto.js";
import { WEEKDAYS } from "./tenant.js";

const wire = packageDefinition["lumentra.control.v1.Tenant"] as unknown as {
  serialize(value: object): Buffer;
  deserialize(bytes: Buffer): Tenant__Output;
};

/** Over the wire: bytes and back. */
function cross(config: ConfigMessage): Tenant__Output {
  return wire.deserialize(wire.serialize({ id: "x", config }));
}

function violationsOf(config: ConfigMessage): readonly FieldViolation[] {
  try {
    tenantSettingsFromProto(cross(config).config);
  } catch (error) {
    const { code, detail } = error as LumentraError;
    if (code === "TENANT_CONFIG_INVALID") return detail["violations"] as FieldViolation[];
    throw error;
  }
  throw new Error("it was accepted");
}

const LEAST: ConfigMessage = {
  name: "Bakery",
  industry: "bakery",
  timeZone: "Europe/Paris",
  agentName: "Zoe",
};

void t.test("the demo tenants cross the wire unchanged", async (t) => {
  for (const config of parseTenantsFile("config/tenants.json")) {
    const sent = { config, resellerId: "acme", version: 7, suspended: false };
    t.strictSame(tenantFromProto(wire.deserialize(wire.serialize(tenantToProto(sent)))), sent);
  }
});

/** A field added to the schema must be added here, or this does not compile. */
const MAKERS: { readonly [Key in keyof TenantSettings]-?: (random: Random) => TenantSettings[Key] } = {
  name: (random) => words(random, 100),
  industry: (random) => words(random, 60),
  timeZone: (random) => pick(random, ["America/New_York", "Europe/Paris", "UTC"]),
  language: (random) => pick(random, ["en", "es", "fr"]),
  agentName: (random) => words(random, 40),
  greeting: (random) => (random.next() < 0.3 ? undefined : words(random, 300)),
  disclosure: (random) => pick(random, ["greeting", "on_request"]),
  instructions: (random) => (random.next() < 0.3 ? "" : words(random, 8_000)),
  facts: (random) =>
    Object.fromEntries(list(random, 5, () => [words(random, 60), words(random, 500)] as const)),
  hours: (random) =>
    Object.fromEntries(
      WEEKDAYS.map((day) => [
        day,
        list(random, 4, () => ({ open: "08:00", close: pick(random, ["12:30", "24:00"]) })),
      ]),
    ) as TenantSettings["hours"],
  keyterms: (random) => list(random, 50, () => words(random, 50)),
  stt: (random) => ({
    provider: pick(random, ["deepgram", "deepgram-flux"]),
    model: words(random, 100),
    fallbacks: list(random, 3, () => ({ provider: "deepgram-flux" as const, model: words(random, 100) })),
  }),
  llm: (random) => ({
    provider: "groq",
    model: words(random, 100),
    temperature: pick(random, [0, 0.4, 2, random.next()]),
    maxOutputTokens: 16 + Math.floor(random.next() * 984),
    fallbacks: list(random, 3, () => ({ provider: "groq" as const, model: words(random, 100) })),
    hedge: random.next() < 0.5,
  }),
  tts: (random) => ({
    provider: "cartesia",
    model: words(random, 100),
    voice: words(random, 100),
    fallbacks: list(random, 3, () => ({
      provider: "cartesia" as const,
      model: words(random, 100),
      voice: words(random, 100),
    })),
  }),
  tools: (random) =>
    pick<TenantSettings["tools"]>(random, [[], ["end_call"], ["check_opening_hours", "end_call"]]),
  limits: (random) => ({
    concurrentCalls: 1 + Math.floor(random.next() * 9_999),
    callMinutes: pick(random, [0.1, 240, 0.1 + random.next() * 200]),
  }),
  retention: (random) => ({ callDays: 1 + Math.floor(random.next() * 3_649) }),
  overflow: (random) =>
    pick<TenantSettings["overflow"]>(random, [
      { kind: "busy" },
      { kind: "message", text: words(random, 500) },
      { kind: "forward", number: "+12025550199" },
      { kind: "queue", name: words(random, 64) },
    ]),
};

void t.test("any tenant crosses the wire unchanged, in every field of the schema", async (t) => {
  t.strictSame(Object.keys(MAKERS).sort(), Object.keys(tenantSettingsSchema.in.shape).sort());
  const seed = Date.now() % 1_000_000;
  const random = seededRandom(seed);
  for (let round = 0; round < 300; round += 1) {
    const made = Object.fromEntries(
      Object.entries(MAKERS)
        .map(([field, make]) => [field, make(random)] as const)
        .filter(([, value]) => value !== undefined),
    );
    const settings = tenantSettingsSchema.parse(made);
    const back = tenantSettingsFromProto(cross(tenantSettingsToProto(settings)).config);
    if (!t.strictSame(back, settings, `seed ${seed}, round ${round}`)) return;
  }
});

void t.test("what the proto leaves out gets the schema's default", async (t) => {
  t.strictSame(tenantSettingsFromProto(cross(LEAST).config), tenantSettingsSchema.parse(LEAST));
  const zero = tenantSettingsFromProto(cross({ ...LEAST, llm: { temperature: 0 } }).config);
  t.equal(zero.llm.temperature, 0, "0 that was said is not left out");
  t.strictSame(tenantSettingsFromProto(cross({ ...LEAST, tools: { names: [] } }).config).tools, []);
});

void t.test("what is wrong is refused with the path that the sender used", async (t) => {
  const wrong: [ConfigMessage, string, RegExp][] = [
    [{ timeZone: "Mars/Base" }, "config.time_zone", /IANA/],
    [{ agentName: "" }, "config.agent_name", /^is required$/],
    [{ language: "tlh" }, "config.language", /expected one of/],
    [{ limits: { concurrentCalls: 1_000_000 } }, "config.limits.concurrent_calls", /10000/],
    [{ llm: { maxOutputTokens: 5 } }, "config.llm.max_output_tokens", /16/],
    [{ llm: { provider: "nobody" } }, "config.llm.provider", /groq/],
    [{ llm: { fallbacks: [{ model: "a-model" }] } }, "config.llm.fallbacks.0.provider", /expected one of/],
    [{ tools: { names: ["fly"] } }, "config.tools.0", /end_call/],
    [{ hours: [{ weekday: "moonday" }] }, "config.hours", /^has no moonday$/],
    [{ hours: [{ weekday: "monday" }, { weekday: "monday" }] }, "config.hours", /^has monday twice$/],
    [
      { hours: [{ weekday: "monday", spans: [{ open: "08", close: "10:00" }] }] },
      "config.hours.monday.0.open",
      /HH:MM/,
    ],
    [{ overflow: { forward: { number: "123" } } }, "config.overflow.number", /E.164/],
    [{ overflow: { message: { text: "" } } }, "config.overflow.text", /./],
    [{ facts: { Parking: "" } }, "config.facts.Parking", /./],
  ];
  for (const [change, field, description] of wrong) {
    const violations = violationsOf({ ...LEAST, ...change });
    t.equal(violations.length, 1, field);
    t.equal(violations[0]?.field, field);
    t.match(violations[0]?.description, description);
  }
  t.equal(violationsOf({}).length, 4, "every wrong field is named");
  t.throws(() => tenantSettingsFromProto(null, "tenant.config"), { message: "tenant.config is required" });
});

const CHARACTERS = ["a", "b", "z", " ", "é", "€", '"', "'", "\\", "\n"] as const;

/** 1 to `max` characters, some outside ASCII. */
function words(random: Random, max: number): string {
  const length = 1 + Math.floor(random.next() * max);
  return Array.from({ length }, () => pick(random, CHARACTERS)).join("");
}

function list<Item>(random: Random, max: number, make: () => Item): Item[] {
  return Array.from({ length: Math.floor(random.next() * (max + 1)) }, make);
}

function pick<Item>(random: Random, items: readonly Item[]): Item {
  return items[Math.floor(random.next() * items.length)]!;
}

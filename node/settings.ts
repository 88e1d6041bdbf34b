/**
 * Every setting there is, read from the environment once at start. One schema yields the type, the checks,
 * the defaults and docs/SETTINGS.md (`node dist/node/settings-page.js`, checked by a test).
 *
 * An empty variable counts as unset. An unknown variable with one of our prefixes stops the start, so that
 * a typing error is not a default. A secret may also come as a file: `TWILIO_AUTH_TOKEN_FILE=/run/secrets/x`.
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { z } from "zod";
import { LumentraError } from "#runtime/errors";
import { MAX_SLOT_COUNT } from "#runtime/media";

const PREFIXES = ["LUMENTRA_", "TWILIO_", "SIGNALWIRE_", "DEEPGRAM_", "GROQ_", "CARTESIA_"] as const;

interface SettingMeta {
  /** What it does, in a sentence; units and range included. */
  readonly help: string;
  /** How the page shows a default that is computed. */
  readonly shownDefault?: string;
  /** May be given as NAME_FILE, and is never printed. */
  readonly secret?: boolean;
  readonly [key: string]: unknown;
}

const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, "must be a whole number")
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error: `must be ${min} to ${max}` });
const flag = () =>
  z
    .enum(["true", "false", "1", "0"], { error: "must be true or false" })
    .transform((text) => text === "true" || text === "1");
const url = (...protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    error: `must be a URL starting with ${protocols.map((protocol) => `${protocol}//`).join(" or ")}`,
  });
const text = () => z.string().min(1).max(4_096);
const meta = <T extends z.ZodType>(schema: T, settingMeta: SettingMeta): T => schema.meta(settingMeta);

/** A shard per core but one: the edge's thread needs its own. */
const defaultShards = Math.max(1, availableParallelism() - 1);

export const settingsSchema = z.object({
  LUMENTRA_EDGE_HOST: meta(text().default("0.0.0.0"), { help: "Address the carriers' port listens on." }),
  LUMENTRA_EDGE_PORT: meta(whole(0, 65_535).default(8080), {
    help: "Port for webhooks and media sockets; 0 takes a free one.",
  }),
  LUMENTRA_ADMIN_HOST: meta(text().default("127.0.0.1"), {
    help: "Address of health, metrics and live calls. Journals hold what callers said: keep it private.",
  }),
  LUMENTRA_ADMIN_PORT: meta(whole(0, 65_535).default(9090), {
    help: "Port of the same; 0 takes a free one.",
  }),
  LUMENTRA_PUBLIC_URL: meta(url("http:", "https:").optional(), {
    help: "How carriers reach the edge, without a trailing slash. Signatures are computed over it.",
    shownDefault: "http://localhost and the edge port",
  }),
  LUMENTRA_SHARDS: meta(whole(1, 256).default(defaultShards), {
    help: "Worker threads that own calls.",
    shownDefault: "cores − 1, at least 1",
  }),
  LUMENTRA_CALLS_PER_SHARD: meta(whole(1, MAX_SLOT_COUNT).default(500), {
    help: "Slots of a shard's arena, 1 to 4,096; memory for their rings is set aside at start.",
  }),
  LUMENTRA_GRPC_PORT: meta(whole(0, 65_535).default(50_051), { help: "Port of the control plane's API." }),
  LUMENTRA_TENANTS_FILE: meta(text().default("config/tenants.json"), {
    help: "JSON file of the tenants; reloaded when it changes.",
  }),
  LUMENTRA_DATA_DIR: meta(text().default(".lumentra"), {
    help: "Folder for what survives a restart: cached audio.",
  }),
  LUMENTRA_LOG_LEVEL: meta(z.enum(["debug", "info", "warn", "error", "silent"]).default("info"), {
    help: "Least severe log line that is written.",
  }),
  LUMENTRA_LOG_PII: meta(flag().default(false), {
    help: "Write what callers say and dial into the logs' pii fields; otherwise they are masked.",
  }),
  LUMENTRA_DRAIN_GRACE_S: meta(whole(0, 86_400).default(60), {
    help: "Seconds that live calls have to finish after SIGTERM.",
  }),
  LUMENTRA_MAX_SOCKETS: meta(whole(1, 1_000_000).default(10_000), {
    help: "Media sockets at once; more are refused before the upgrade.",
  }),
  LUMENTRA_READY_JSON: meta(flag().default(false), {
    help: "Print one JSON line with the ports on standard output once the node serves.",
  }),
  LUMENTRA_EMULATED: meta(text().optional(), {
    help: "Set by `npm start`: which providers are emulated, comma separated; the banner says so.",
  }),
  TWILIO_ACCOUNT_SID: meta(text().optional(), {
    help: "Account whose webhooks are accepted; unset accepts any.",
  }),
  TWILIO_AUTH_TOKEN: meta(text().optional(), {
    help: "Checks the signatures of Twilio's webhooks and upgrades. Unset: unsigned requests, from loopback only.",
    secret: true,
  }),
  TWILIO_AUTH_TOKEN_NEXT: meta(text().optional(), {
    help: "A second token accepted while the first is being rotated.",
    secret: true,
  }),
  SIGNALWIRE_PROJECT_ID: meta(text().optional(), {
    help: "Project whose webhooks are accepted; unset accepts any.",
  }),
  SIGNALWIRE_SIGNING_KEY: meta(text().optional(), {
    help: "Checks the signatures of SignalWire's webhooks. Unset: unsigned requests, from loopback only.",
    secret: true,
  }),
  SIGNALWIRE_SIGNING_KEY_NEXT: meta(text().optional(), {
    help: "A second key accepted while the first is being rotated.",
    secret: true,
  }),
  DEEPGRAM_API_KEY: meta(text().optional(), { help: "Key for speech to text.", secret: true }),
  DEEPGRAM_URL: meta(url("ws:", "wss:", "http:", "https:").default("wss://api.deepgram.com"), {
    help: "Where Deepgram, or something that speaks its protocol, listens.",
  }),
  GROQ_API_KEY: meta(text().optional(), { help: "Key for the language model.", secret: true }),
  GROQ_URL: meta(url("http:", "https:").default("https://api.groq.com"), {
    help: "Origin of Groq, or of something that speaks its protocol.",
  }),
  CARTESIA_API_KEY: meta(text().optional(), { help: "Key for the voice.", secret: true }),
  CARTESIA_URL: meta(url("ws:", "wss:").default("wss://api.cartesia.ai"), {
    help: "Where Cartesia, or something that speaks its protocol, listens.",
  }),
});

/** Complete: every default filled in, every value checked. Field names are the variables' own. */
export type Settings = z.infer<typeof settingsSchema>;

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @throws LumentraError SETTING_INVALID, one sentence that names the variable and what it must be. The
 * value of a secret never appears in it.
 */
export function resolveSettings(environment: Environment): Settings {
  const given = withSecretsFromFiles(environment);
  for (const name of Object.keys(given)) {
    if (!PREFIXES.some((prefix) => name.startsWith(prefix)) || name in settingsSchema.shape) continue;
    throw new LumentraError("SETTING_INVALID", `${name} is not a setting (docs/SETTINGS.md lists them all)`);
  }
  const result = settingsSchema.safeParse(given);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const name = String(issue?.path[0] ?? "");
  const shown = isSecret(name) ? "" : ` (got ${JSON.stringify(given[name])})`;
  throw new LumentraError("SETTING_INVALID", `${name} ${issue?.message ?? "is invalid"}${shown}`);
}

export function settingMeta(name: string): SettingMeta {
  const schema = settingsSchema.shape[name as keyof Settings];
  return schema.meta() as SettingMeta;
}

function isSecret(name: string): boolean {
  return name in settingsSchema.shape && settingMeta(name).secret === true;
}

/** Drops empty variables and puts the content of each NAME_FILE of a secret in the place of NAME. */
function withSecretsFromFiles(environment: Environment): Record<string, string> {
  const given: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || value === "") continue;
    const base = name.endsWith("_FILE") ? name.slice(0, -"_FILE".length) : "";
    if (base === "" || !isSecret(base)) {
      given[name] = value;
      continue;
    }
    if (environment[base]) {
      throw new LumentraError("SETTING_INVALID", `${base} and ${name} are both set; set one of them`);
    }
    try {
      given[base] = readFileSync(value, "utf8").trim();
    } catch (cause) {
      throw new LumentraError("SETTING_INVALID", `${name} names a file that cannot be read`, { cause });
    }
  }
  return given;
}

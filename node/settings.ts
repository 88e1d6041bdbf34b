/**
 * Every setting of a node, read from the environment once at start. One schema yields the type, the checks,
 * the defaults and its part of docs/SETTINGS.md (`npm run docs`, checked by a test).
 */
import { availableParallelism } from "node:os";
import { z } from "zod";
import { MAX_SLOT_COUNT } from "#runtime/media";
import {
  type Environment,
  type ResolveOptions,
  flag,
  meta,
  resolveSettings as resolve,
  sharedSettings,
  text,
  url,
  whole,
} from "#runtime/settings";
import { NODE_ID } from "./identity.js";
import { pressureSettings } from "./pressure/index.js";
import { providerFields, providerPrefixes } from "./provider-accounts.js";

/** An unknown name that begins so stops the start. */
const SETTING_PREFIXES = ["LUMENTRA_", "TWILIO_", "SIGNALWIRE_", ...providerPrefixes];

const PROVIDER_LIMITS = /^[a-z0-9-]+=[1-9]\d{0,6}(,[a-z0-9-]+=[1-9]\d{0,6})*$/;

/** A shard per core but one: the edge's thread needs its own. */
const defaultShards = Math.max(1, availableParallelism() - 1);

export const settingsSchema = z.object({
  ...sharedSettings,
  LUMENTRA_EDGE_HOST: meta(text().default("0.0.0.0"), { help: "Address the carriers' port listens on." }),
  LUMENTRA_EDGE_PORT: meta(whole(0, 65_535).default(8080), {
    help: "Port for webhooks and media sockets; 0 takes a free one.",
  }),
  LUMENTRA_EDGE_NICE: meta(whole(-20, 0).default(-10), {
    help: "Niceness of the edge's thread, which goes before all others where processors are short; takes CAP_SYS_NICE, and without it the thread stays as it is. 0 leaves it.",
  }),
  LUMENTRA_SHARED_PORT: meta(whole(1, 65_535).optional(), {
    help: "A port for webhooks that all node processes of this machine share; media sockets keep to each one's own. LUMENTRA_PROCESSES sets it.",
    shownDefault: "none",
  }),
  LUMENTRA_PROCESSES: meta(whole(1, 64).default(1), {
    help: "Node processes to run on this machine, for one edge thread each; above 1 LUMENTRA_EDGE_PORT is shared by all for webhooks, the ports after it are theirs for media sockets, the admin port shows all of them, and a control plane is needed. See docs/design/edge-scaling.md.",
  }),
  LUMENTRA_ADMIN_HOST: meta(text().default("127.0.0.1"), {
    help: "Address of health, metrics and live calls. Journals hold what callers said: keep it private.",
  }),
  LUMENTRA_ADMIN_PORT: meta(whole(0, 65_535).default(9090), {
    help: "Port of the same; 0 takes a free one.",
  }),
  LUMENTRA_PUBLIC_URL: meta(url("http:", "https:").optional(), {
    help: "How carriers reach the edge, without a trailing slash. Signatures are computed over it. With several processes `{process}` in it is the process's number, from 0.",
    shownDefault: "http://localhost and the edge port",
  }),
  LUMENTRA_WEBHOOK_URL: meta(url("http:", "https:").optional(), {
    help: "How carriers reach any node (a balancer over all of them): redirects and status callbacks go there.",
    shownDefault: "LUMENTRA_PUBLIC_URL",
  }),
  LUMENTRA_CONTROL_PLANE: meta(text().optional(), {
    help: "Control planes, host:port or https://host; several IPs with commas. Unset: the node stands alone, with tenants from a file.",
  }),
  LUMENTRA_CONTROL_PLANE_CA_FILE: meta(text().optional(), {
    help: "Authority of the control planes' certificates, PEM.",
    shownDefault: "the system's",
  }),
  LUMENTRA_CONTROL_PLANE_CERT_FILE: meta(text().optional(), {
    help: "The node's own certificate, PEM, which names it; where control planes want one.",
  }),
  LUMENTRA_CONTROL_PLANE_KEY_FILE: meta(text().optional(), { help: "Its private key, PEM." }),
  LUMENTRA_BOOTSTRAP_TOKEN: meta(text().optional(), {
    help: "What the node shows a control plane to register; not needed with a certificate.",
    secret: true,
  }),
  LUMENTRA_NODE_ID: meta(z.string().regex(NODE_ID, "must be 1 to 63 of a-z, 0-9 and dashes").optional(), {
    help: "The node's name, unique in its cluster and the same over restarts.",
    shownDefault: "made once, kept in LUMENTRA_DATA_DIR",
  }),
  LUMENTRA_REGION: meta(
    z.string().regex(NODE_ID, "must be 1 to 63 of a-z, 0-9 and dashes").default("default"),
    {
      help: "Where the node stands, such as us-east-1; calls prefer nodes of their region.",
    },
  ),
  LUMENTRA_SPOOL_MAX_MIB: meta(whole(1, 1_048_576).default(256), {
    help: "MiB of journals kept on disk until a control plane has them; at the bound ended calls' go first.",
  }),
  LUMENTRA_RESUME_GRACE_S: meta(whole(1, 300).default(15), {
    help: "Seconds that a call whose media leg was lost waits for the carrier to bring it back.",
  }),
  LUMENTRA_SHARDS: meta(whole(1, 256).default(defaultShards), {
    help: "Worker threads that own calls.",
    shownDefault: "cores − 1, at least 1",
  }),
  LUMENTRA_SPARE_SHARD: meta(flag().default(true), {
    help: "One more worker thread, warm and without calls, takes over when another dies; some 60 MiB.",
  }),
  LUMENTRA_SHARD_HEAP_MIB: meta(whole(64, 65_536).optional(), {
    help: "Heap of a shard; at the bound it dies alone, and its calls go on in another.",
    shownDefault: "V8's own",
  }),
  LUMENTRA_CALLS_PER_SHARD: meta(whole(1, MAX_SLOT_COUNT).default(500), {
    help: "Slots of a shard's arena, 1 to 4,096; memory for their rings is set aside at start.",
  }),
  LUMENTRA_TENANTS_FILE: meta(text().default("config/tenants.json"), {
    help: "JSON file of the tenants; reloaded when it changes.",
  }),
  LUMENTRA_DRAIN_GRACE_S: meta(whole(0, 86_400).default(60), {
    help: "Seconds that live calls have to finish after SIGTERM.",
  }),
  LUMENTRA_MAX_SOCKETS: meta(whole(1, 1_000_000).default(10_000), {
    help: "Media sockets at once; more are refused before the upgrade.",
  }),
  LUMENTRA_PROVIDER_LIMITS: meta(
    z.string().regex(PROVIDER_LIMITS, "must be like deepgram=100,groq=200, by provider's name").optional(),
    {
      help: "What each provider's account may run at once for this node, by provider's name: `deepgram=100,groq=200`. Shared evenly by the shards; 429s lower it for a while.",
      shownDefault: "no bound until a provider says so",
    },
  ),
  ...pressureSettings,
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
  ...providerFields,
});

/** Complete: every default filled in, every value checked. Field names are the variables' own. */
export type Settings = z.infer<typeof settingsSchema>;

export type { Environment };

/**
 * @param options.alsoKnown names that other processes read from the same environment
 * @throws LumentraError SETTING_INVALID, one sentence that names the variable and what it must be.
 */
export function resolveSettings(
  environment: Environment,
  options: Pick<ResolveOptions, "alsoKnown"> = {},
): Settings {
  return resolve(settingsSchema, environment, { ...options, prefixes: SETTING_PREFIXES });
}

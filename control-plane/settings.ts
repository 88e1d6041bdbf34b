/**
 * Every setting of a control plane, read from the environment once at start. One schema yields the type, the checks,
 * the defaults and its part of docs/SETTINGS.md (`npm run docs`, checked by a test).
 */
import { z } from "zod";
import { type Environment, type ResolveOptions, meta, resolveSettings as resolve } from "#runtime/settings";
import { sharedSettings, text, url, whole } from "#runtime/settings";
import { REDIS_URL_FORM, parseRedisUrl } from "./directory/redis-url.js";

const isRedisUrl = (text: string) => parseRedisUrl(text) !== null;
const postgresUrl = () => url("postgres:", "postgresql:");

export const settingsSchema = z.object({
  ...sharedSettings,
  LUMENTRA_GRPC_HOST: meta(text().default("127.0.0.1"), {
    help: "Address the API listens on. Anything but loopback needs TLS, or LUMENTRA_INSECURE.",
  }),
  LUMENTRA_GRPC_PORT: meta(whole(0, 65_535).default(50_051), {
    help: "Port of the API; 0 takes a free one.",
  }),
  LUMENTRA_GRPC_CERT_FILE: meta(text().optional(), {
    help: "Certificate chain of the API, PEM; read again when it changes.",
  }),
  LUMENTRA_GRPC_KEY_FILE: meta(text().optional(), { help: "Its private key, PEM." }),
  LUMENTRA_GRPC_CLIENT_CA_FILE: meta(text().optional(), {
    help: "Authority of clients' certificates, PEM. Set: every client must show one (mutual TLS), and a node's names it.",
  }),
  LUMENTRA_CONTROL_PLANE_ADMIN_HOST: meta(text().default("127.0.0.1"), {
    help: "Address of the control plane's health and metrics over HTTP.",
  }),
  LUMENTRA_CONTROL_PLANE_ADMIN_PORT: meta(whole(0, 65_535).default(9091), {
    help: "Port of the same; 0 takes a free one.",
  }),
  DATABASE_URL: meta(postgresUrl().optional(), {
    help: "Postgres, as the login role that row-level security binds. Unset: the embedded server, under LUMENTRA_DATA_DIR.",
    secret: true,
  }),
  LUMENTRA_DATABASE_OWNER_URL: meta(postgresUrl().optional(), {
    help: "The same database as the role that owns the tables: for `lumentra migrate` alone.",
    secret: true,
  }),
  LUMENTRA_DATABASE_CONNECTIONS: meta(whole(1, 500).default(20), {
    help: "Connections to Postgres at once, 1 to 500; more transactions wait.",
  }),
  REDIS_URL: meta(z.string().refine(isRedisUrl, { error: REDIS_URL_FORM }).optional(), {
    help: "Redis for the directory, with rediss:// over TLS; several, comma separated, or redis+cluster:// for Redis Cluster. Unset: memory, for one control plane alone.",
    secret: true,
  }),
  LUMENTRA_REDIS_PREFIX: meta(
    z
      .string()
      .regex(/^[a-z0-9-]{1,32}$/, "must be 1 to 32 of a-z, 0-9 and dashes")
      .default("lumentra"),
    { help: "Begins every key in Redis; deployments that share a Redis need different ones." },
  ),
  LUMENTRA_BOOTSTRAP_TOKEN: meta(z.string().min(16, "must have at least 16 characters").max(256).optional(), {
    help: "What a node shows to register. Unset: nodes register by certificate (mutual TLS) alone.",
    secret: true,
  }),
  LUMENTRA_CLUSTER_KEY: meta(z.string().min(32, "must have at least 32 characters").max(256).optional(), {
    help: "Signs nodes' credentials and media tokens; the same for all control planes. Unset: a random one, for one control plane alone.",
    secret: true,
  }),
  LUMENTRA_SECRET_KEYS: meta(text().optional(), {
    help: "Keys that encrypt tenants' secrets, `id:base64` of 32 bytes each, comma separated, newest first. Unset: secrets cannot be stored.",
    secret: true,
  }),
  LUMENTRA_LEASE_TIME_MS: meta(whole(1_000, 60_000).default(5_000), {
    help: "How long a node, and its calls' leases, live without a report; 1,000 to 60,000.",
  }),
  LUMENTRA_RESERVATION_TIME_MS: meta(whole(1_000, 120_000).default(30_000), {
    help: "How long a placed call waits for its media before its slot is given back; 1,000 to 120,000.",
  }),
  LUMENTRA_RESUME_GRACE_S: meta(whole(1, 600).default(15), {
    help: "Seconds that a call which lost its leg or node can be resumed, 1 to 600.",
  }),
  LUMENTRA_RATE_LIMIT: meta(whole(1, 100_000).default(100), {
    help: "RPCs a second per API key, 1 to 100,000; nodes have a hundred times as many.",
  }),
});

/** Complete: every default filled in, every value checked. Field names are the variables' own. */
export type Settings = z.infer<typeof settingsSchema>;

/**
 * @param options.alsoKnown names that other processes read from the same environment
 * @throws LumentraError SETTING_INVALID, one sentence that names the variable and what it must be.
 */
export function resolveSettings(
  environment: Environment,
  options: Pick<ResolveOptions, "alsoKnown"> = {},
): Settings {
  return resolve(settingsSchema, environment, options);
}

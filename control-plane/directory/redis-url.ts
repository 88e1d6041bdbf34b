/**
 * What REDIS_URL may be: one server, or Redis Cluster by some of its nodes.
 */
import type { RedisOptions } from "ioredis";
import { LumentraError } from "#runtime/errors";

export interface RedisAddress {
  readonly cluster: boolean;
  /** One, unless it is a cluster. */
  readonly servers: readonly { readonly host: string; readonly port: number }[];
  /** User, password, database, TLS; from the first of several. */
  readonly options: Pick<RedisOptions, "username" | "password" | "db" | "tls">;
}

/** For people. */
export const REDIS_URL_FORM =
  "must be redis://host:port (rediss:// over TLS), several of them, comma separated, for a cluster, or redis+cluster://";
const DEFAULT_PORT = 6_379;
const FORM = /^(redis|rediss)(\+cluster)?:\/\/(.+)$/;

/** Null: not a URL of Redis. */
export function parseRedisUrl(text: string): RedisAddress | null {
  const urls: URL[] = [];
  let cluster = false;
  let scheme = "";
  for (const part of text.split(",")) {
    const form = FORM.exec(part.trim());
    if (form !== null) scheme = form[1]!;
    cluster ||= form?.[2] !== undefined || urls.length > 0;
    // `redis+cluster://a:1,b:2` and `redis://a:1,redis://b:2` alike.
    const url = `${scheme}://${form === null ? part.trim() : form[3]!}`;
    if (scheme === "" || !URL.canParse(url)) return null;
    urls.push(new URL(url));
  }
  const first = urls[0]!;
  if (urls.some(({ hostname }) => hostname === "")) return null;
  const db = first.pathname.slice(1);
  // A cluster has database 0 alone.
  if (!/^\d{0,3}$/.test(db) || (cluster && Number(db) !== 0)) return null;
  return {
    cluster,
    servers: urls.map(({ hostname, port }) => ({
      host: hostname.replace(/^\[(.*)\]$/, "$1"),
      port: port === "" ? DEFAULT_PORT : Number(port),
    })),
    options: {
      ...(first.username !== "" && { username: decodeURIComponent(first.username) }),
      ...(first.password !== "" && { password: decodeURIComponent(first.password) }),
      ...(db !== "" && { db: Number(db) }),
      ...(scheme === "rediss" && { tls: {} }),
    },
  };
}

/** @throws LumentraError SETTING_INVALID, without the URL: it may hold a password. */
export function requireRedisUrl(text: string): RedisAddress {
  const address = parseRedisUrl(text);
  if (address === null) throw new LumentraError("SETTING_INVALID", `REDIS_URL ${REDIS_URL_FORM}`);
  return address;
}

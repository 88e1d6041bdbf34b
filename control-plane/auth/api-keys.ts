/**
 * API keys: `lk_<8 characters>_<43 characters>`, the second part 256 random bits. The prefix finds the row; what is
 * stored and compared, in constant time, is the SHA-256 of the whole.
 *
 * Invariants
 * K1 A key is known in clear to whoever made it and to nobody else: not to the store, the logs or this file's cache,
 *    which is by hash.
 * K2 What was revoked, expired or suspended elsewhere is so here after CACHE_MS; here, at once.
 */
import { randomBytes, randomInt, randomUUID, timingSafeEqual } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Clock, TimerHandle } from "#runtime/actor";
import { codeOf } from "#runtime/rpc";
import type { Logger } from "#runtime/telemetry";
import type { ApiKeyRow, Store } from "../store/store.js";
import type { Principal } from "./principal.js";
import { OPERATOR_SCOPES, RESELLER_SCOPES, isScope } from "./scopes.js";
import { sha256 } from "./secrets.js";

/** K2. One lookup per key and this long, whatever its rate of requests. */
const CACHE_MS = 2_000;
/** Keys remembered at once, wrong ones included. */
const CACHE_KEYS_MAX = 10_000;
/** `last used` is to the minute: it is enough to write it this often. */
const NOTE_USE_MS = 10_000;
/** Keys whose use waits to be written. */
const NOTED_KEYS_MAX = 10_000;

const FORM = /^lk_([a-z0-9]{8})_[A-Za-z0-9_-]{43}$/;
const PREFIX_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789";

export interface GeneratedKey {
  /** The key in clear: to be shown once and forgotten. */
  readonly key: string;
  readonly prefix: string;
  readonly hash: Buffer;
}

export function generateApiKey(): GeneratedKey {
  const prefix = Array.from({ length: 8 }, () => PREFIX_CHARACTERS[randomInt(36)]).join("");
  const key = `lk_${prefix}_${randomBytes(32).toString("base64url")}`;
  return { key, prefix, hash: sha256(key) };
}

/** A key with every scope an operator may hold: how the first one comes to be. In clear, to be shown once. */
export async function createOperatorKey(store: Store, name = "operator"): Promise<string> {
  const { key, prefix, hash } = generateApiKey();
  const row = { id: randomUUID(), resellerId: null, name, prefix, scopes: OPERATOR_SCOPES, expiresAt: null };
  await store.transaction({ kind: "operator" }, "operator:bootstrap", (tx) => tx.apiKeys.create(row, hash));
  return key;
}

interface Known {
  readonly key: ApiKeyRow & { readonly resellerSuspended: boolean };
}

export interface ApiKeysOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
}

export class ApiKeys {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #cache: LRUCache<string, { readonly known: Promise<Known | null>; readonly until: number }>;
  readonly #used = new Map<string, Date>();
  #noteTimer: TimerHandle | null = null;

  constructor({ store, clock, log }: ApiKeysOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#cache = new LRUCache({ max: CACHE_KEYS_MAX });
  }

  /** Null: not a key of ours, or not one any more. @throws LumentraError STORE_UNAVAILABLE */
  async verify(key: string): Promise<Principal | null> {
    const prefix = FORM.exec(key)?.[1];
    if (prefix === undefined) return null;
    const hash = sha256(key);
    const known = await this.#lookUp(prefix, hash);
    if (known === null) return null;
    const { id, resellerId, scopes, expiresAt, resellerSuspended } = known.key;
    const now = this.#clock.unixMs();
    if (expiresAt !== null && expiresAt.getTime() <= now) return null;
    this.#noteUse(id, new Date(now));
    const held = new Set(scopes.filter(isScope));
    if (resellerId === null) return { kind: "operator", keyId: id, scopes: held };
    const own = new Set([...held].filter((scope) => RESELLER_SCOPES.includes(scope)));
    return { kind: "reseller", keyId: id, resellerId, isSuspended: resellerSuspended, scopes: own };
  }

  /** K2. After a change of keys or of their reseller. */
  forget(): void {
    this.#cache.clear();
  }

  /** Writes the uses that wait. */
  async close(): Promise<void> {
    this.#noteTimer?.cancel();
    this.#noteTimer = null;
    await this.#writeUses();
  }

  #lookUp(prefix: string, hash: Buffer): Promise<Known | null> {
    const cacheKey = hash.toString("base64");
    const cached = this.#cache.get(cacheKey);
    if (cached !== undefined && cached.until > this.#clock.nowMs()) return cached.known;
    const known = this.#read(prefix, hash);
    const entry = { known, until: this.#clock.nowMs() + CACHE_MS };
    this.#cache.set(cacheKey, entry);
    known.catch(() => {
      if (this.#cache.get(cacheKey) === entry) this.#cache.delete(cacheKey);
    });
    return known;
  }

  async #read(prefix: string, hash: Buffer): Promise<Known | null> {
    const rows = await this.#store.transaction({ kind: "system" }, "system", (tx) =>
      tx.apiKeys.byPrefix(prefix),
    );
    const row = rows.find((row) => row.hash.length === hash.length && timingSafeEqual(row.hash, hash));
    return row === undefined || row.revokedAt !== null ? null : { key: row };
  }

  #noteUse(id: string, at: Date): void {
    if (this.#used.size >= NOTED_KEYS_MAX && !this.#used.has(id)) return;
    this.#used.set(id, at);
    this.#noteTimer ??= this.#clock.setTimer(NOTE_USE_MS, () => {
      this.#noteTimer = null;
      void this.#writeUses();
    });
  }

  async #writeUses(): Promise<void> {
    if (this.#used.size === 0) return;
    const uses = new Map(this.#used);
    this.#used.clear();
    try {
      await this.#store.transaction({ kind: "system" }, "system", (tx) => tx.apiKeys.noteUse(uses));
    } catch (error) {
      this.#log.warn(
        { code: codeOf(error), keys: uses.size },
        "when keys were last used could not be written",
      );
    }
  }
}

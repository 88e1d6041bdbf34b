/**
 * Secrets at rest: AES-256-GCM under a ring of keys. The first encrypts, all decrypt, so that keys can be rotated
 * while everything goes on. What a secret belongs to is authenticated with it: a row copied to another tenant does
 * not open.
 *
 *   ciphertext = nonce (12 bytes) | sealed | tag (16 bytes)
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { LumentraError } from "#runtime/errors";

const ALGORITHM = "aes-256-gcm";
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface Sealed {
  readonly keyId: string;
  readonly ciphertext: Buffer;
}

export class KeyRing {
  readonly #keys: ReadonlyMap<string, Buffer>;

  private constructor(keys: ReadonlyMap<string, Buffer>) {
    this.#keys = keys;
  }

  /** `id:base64,id:base64`, newest first; undefined: nothing can be stored. @throws LumentraError SETTING_INVALID */
  static parse(text: string | undefined): KeyRing {
    const keys = new Map<string, Buffer>();
    for (const part of (text ?? "").split(",").filter((part) => part.trim() !== "")) {
      const [, id, base64] = /^\s*([\w-]{1,32}):([A-Za-z0-9+/_=-]+)\s*$/.exec(part) ?? [];
      const key = Buffer.from(base64 ?? "", "base64");
      if (id === undefined || key.length !== KEY_BYTES || keys.has(id)) {
        throw new LumentraError(
          "SETTING_INVALID",
          "LUMENTRA_SECRET_KEYS must be `id:base64` of 32 bytes each, comma separated, ids unique",
        );
      }
      keys.set(id, key);
    }
    return new KeyRing(keys);
  }

  /** Null when there are no keys. */
  get newestId(): string | null {
    return this.#keys.keys().next().value ?? null;
  }

  /** All but the newest. */
  get olderIds(): readonly string[] {
    return [...this.#keys.keys()].slice(1);
  }

  /** @throws LumentraError SECRET_KEY_MISSING when there are no keys */
  seal(text: string, belongsTo: string): Sealed {
    const keyId = this.newestId;
    if (keyId === null) {
      throw new LumentraError("SECRET_KEY_MISSING", "no key to encrypt with: set LUMENTRA_SECRET_KEYS");
    }
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#keys.get(keyId)!, nonce).setAAD(Buffer.from(belongsTo));
    const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return { keyId, ciphertext: Buffer.concat([nonce, sealed, cipher.getAuthTag()]) };
  }

  /** @throws LumentraError SECRET_KEY_MISSING */
  open({ keyId, ciphertext }: Sealed, belongsTo: string): string {
    const key = this.#keys.get(keyId);
    if (key === undefined) {
      throw new LumentraError("SECRET_KEY_MISSING", `the key ${keyId} is not in LUMENTRA_SECRET_KEYS`);
    }
    const end = ciphertext.length - TAG_BYTES;
    const decipher = createDecipheriv(ALGORITHM, key, ciphertext.subarray(0, NONCE_BYTES))
      .setAAD(Buffer.from(belongsTo))
      .setAuthTag(ciphertext.subarray(end));
    return Buffer.concat([decipher.update(ciphertext.subarray(NONCE_BYTES, end)), decipher.final()]).toString(
      "utf8",
    );
  }
}

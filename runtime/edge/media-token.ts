/**
 * The token in a media socket's path: proof that we sent the carrier there, for this call, just now.
 *
 *   <call id>.<expires at, unix ms, base 36>.<HMAC-SHA256 of carrier, call id and expiry, base64url>
 *
 * That a token works once is the admissions' matter: a call waits for one socket. Several keys may be in force:
 * the first signs, all are accepted, so that keys can rotate and nodes need not change theirs at one instant.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

export type TokenVerdict =
  | { readonly kind: "good"; readonly callId: string }
  /** Ours, but too old. */
  | { readonly kind: "expired"; readonly callId: string }
  /** Not ours, not for this carrier, or damaged. */
  | { readonly kind: "forged" };

export class MediaTokens {
  #keys: readonly [Uint8Array, ...Uint8Array[]];

  constructor(...keys: [Uint8Array, ...Uint8Array[]]) {
    this.#keys = keys;
  }

  /** In force from now on. */
  replaceKeys(...keys: [Uint8Array, ...Uint8Array[]]): void {
    this.#keys = keys;
  }

  issue(carrier: string, callId: string, expiresAtUnixMs: number): string {
    const expiry = Math.ceil(expiresAtUnixMs).toString(36);
    return `${callId}.${expiry}.${sign(this.#keys[0], carrier, callId, expiry)}`;
  }

  check(carrier: string, token: string, nowUnixMs: number): TokenVerdict {
    const match = /^([\w-]{1,128})\.([0-9a-z]{1,11})\.([\w-]{43})$/.exec(token);
    if (match === null) return { kind: "forged" };
    const [, callId = "", expiry = "", signature = ""] = match;
    const given = Buffer.from(signature);
    // Both are 43 characters of ASCII: the expression above has seen to it.
    const isOurs = this.#keys.some((key) =>
      timingSafeEqual(given, Buffer.from(sign(key, carrier, callId, expiry))),
    );
    if (!isOurs) return { kind: "forged" };
    return nowUnixMs < Number.parseInt(expiry, 36) ? { kind: "good", callId } : { kind: "expired", callId };
  }
}

function sign(key: Uint8Array, carrier: string, callId: string, expiry: string): string {
  return createHmac("sha256", key).update(`${carrier}\n${callId}\n${expiry}`).digest("base64url");
}

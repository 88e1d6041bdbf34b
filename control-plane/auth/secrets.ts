/** Comparing and deriving secrets. */
import { createHash, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";

const DAY_MS = 86_400_000;
const KEY_BYTES = 32;

export function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** Takes the same time wherever they differ, and however long they are. */
export function isSameSecret(given: string, expected: string): boolean {
  return timingSafeEqual(sha256(given), sha256(expected));
}

/** Keys that all control planes derive from the one they share; which is a random one where none is set. */
export class ClusterKeys {
  readonly #clusterKey: Buffer;

  constructor(clusterKey: string | undefined) {
    this.#clusterKey = clusterKey === undefined ? randomBytes(KEY_BYTES) : Buffer.from(clusterKey, "utf8");
  }

  derive(purpose: string): Buffer {
    return Buffer.from(hkdfSync("sha256", this.#clusterKey, "", `lumentra ${purpose}`, KEY_BYTES));
  }

  /**
   * Keys of media tokens: today's, which signs, then tomorrow's, since another node may hear of midnight first, and
   * yesterday's, since one may hear of it last. A day is UTC's.
   */
  mediaTokenKeys(unixMs: number): readonly Buffer[] {
    const day = Math.floor(unixMs / DAY_MS);
    return [day, day + 1, day - 1].map((number) => this.derive(`media token ${number}`));
  }
}

/** From a request's metadata to who asks. */
import { LumentraError } from "#runtime/errors";
import type { ApiKeys } from "./api-keys.js";
import type { NodeCredentials } from "./node-credentials.js";
import type { Principal } from "./principal.js";
import type { RateLimits } from "./rate-limits.js";

/** The longest credential of ours, a node's, has a few hundred. */
const CREDENTIAL_MAX_CHARS = 2_048;

export class Authenticator {
  readonly #apiKeys: ApiKeys;
  readonly #nodes: NodeCredentials;
  readonly #limits: RateLimits;

  constructor(apiKeys: ApiKeys, nodes: NodeCredentials, limits: RateLimits) {
    this.#apiKeys = apiKeys;
    this.#nodes = nodes;
    this.#limits = limits;
  }

  /**
   * @param authorization the header, as it came
   * @throws LumentraError UNAUTHENTICATED, RATE_LIMITED, STORE_UNAVAILABLE
   */
  async authenticate(authorization: string | undefined, peerAddress: string): Promise<Principal> {
    if (authorization === undefined) {
      throw new LumentraError("UNAUTHENTICATED", "no credential: send `authorization: Bearer <key>`");
    }
    await this.#limits.requireFewFailures(peerAddress);
    const principal = await this.#principalOf(authorization);
    if (principal !== null) return principal;
    await this.#limits.countFailure(peerAddress);
    throw unknownCredential();
  }

  /**
   * Looks again at a credential that was good once: whoever held it guesses at nothing, and failures are not counted.
   * @throws LumentraError UNAUTHENTICATED, STORE_UNAVAILABLE
   */
  async authenticateAgain(authorization: string): Promise<Principal> {
    const principal = await this.#principalOf(authorization);
    if (principal === null) throw unknownCredential();
    return principal;
  }

  async #principalOf(authorization: string): Promise<Principal | null> {
    const bearer = /^Bearer (\S+)$/i.exec(authorization)?.[1];
    if (bearer === undefined || bearer.length > CREDENTIAL_MAX_CHARS) return null;
    if (bearer.startsWith("lk_")) return this.#apiKeys.verify(bearer);
    const node = await this.#nodes.verify(bearer);
    return node === null ? null : { kind: "node", ...node };
  }
}

function unknownCredential(): LumentraError {
  return new LumentraError("UNAUTHENTICATED", "the credential is unknown, expired or revoked");
}

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
    const bearer = /^Bearer (\S+)$/i.exec(authorization)?.[1];
    const principal =
      bearer === undefined || bearer.length > CREDENTIAL_MAX_CHARS ? null : await this.#principal(bearer);
    if (principal !== null) return principal;
    await this.#limits.countFailure(peerAddress);
    throw new LumentraError("UNAUTHENTICATED", "the credential is unknown, expired or revoked");
  }

  async #principal(bearer: string): Promise<Principal | null> {
    if (bearer.startsWith("lk_")) return this.#apiKeys.verify(bearer);
    const node = await this.#nodes.verify(bearer);
    return node === null ? null : { kind: "node", ...node };
  }
}

/**
 * Nodes' credentials: a JWT for an hour, signed (HS256) with a key that all control planes derive from the one they
 * share, so that any of them can check what another gave out.
 */
import { SignJWT, jwtVerify } from "jose";
import { LRUCache } from "lru-cache";
import type { Clock } from "#runtime/actor";
import type { ClusterKeys } from "./secrets.js";

/** The stream renews it long before. */
const CREDENTIAL_LIFE_MS = 3_600_000;
/** Clocks of control planes may differ by so much. */
const CLOCK_TOLERANCE_S = 30;
/** Checked credentials remembered: a node sends the same one with each RPC, and checking it goes over a thread pool. */
const CHECKED_MAX = 10_000;
const ISSUER = "lumentra";
const AUDIENCE = "node";

export interface NodeIdentity {
  readonly nodeId: string;
  /** One start of the node: RegisterNode makes a new one each time. */
  readonly incarnation: string;
}

export class NodeCredentials {
  readonly #key: Buffer;
  readonly #clock: Clock;
  readonly #checked = new LRUCache<
    string,
    { readonly identity: NodeIdentity; readonly endsAtUnixMs: number }
  >({
    max: CHECKED_MAX,
  });

  constructor(keys: ClusterKeys, clock: Clock) {
    this.#key = keys.derive("node credential");
    this.#clock = clock;
  }

  async issue(identity: NodeIdentity): Promise<{ readonly credential: string; readonly expiresAt: Date }> {
    const now = this.#clock.unixMs();
    const expiresAt = new Date(now + CREDENTIAL_LIFE_MS);
    const credential = await new SignJWT({ inc: identity.incarnation })
      .setProtectedHeader({ alg: "HS256" })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject(identity.nodeId)
      .setIssuedAt(new Date(now))
      .setExpirationTime(expiresAt)
      .sign(this.#key);
    return { credential, expiresAt };
  }

  /** Null: forged, expired, or nothing of ours. */
  async verify(credential: string): Promise<NodeIdentity | null> {
    const checked = this.#checked.get(credential);
    if (checked !== undefined && this.#clock.unixMs() < checked.endsAtUnixMs) return checked.identity;
    try {
      const { payload } = await jwtVerify(credential, this.#key, {
        algorithms: ["HS256"],
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ["sub", "exp", "inc"],
        clockTolerance: CLOCK_TOLERANCE_S,
        currentDate: new Date(this.#clock.unixMs()),
      });
      const identity = { nodeId: payload.sub!, incarnation: String(payload["inc"]) };
      this.#checked.set(credential, { identity, endsAtUnixMs: payload.exp! * 1_000 });
      return identity;
    } catch {
      return null;
    }
  }
}

/**
 * Requests per second and credential, counted in Redis where there is one (over all control planes) and otherwise here.
 * Nodes are counted here alone: they are ours, frequent, and a bug of theirs is all there is to guard against.
 */
import type { Redis } from "ioredis";
import {
  type RateLimiterAbstract,
  RateLimiterMemory,
  RateLimiterRedis,
  RateLimiterRes,
} from "rate-limiter-flexible";
import { LumentraError } from "#runtime/errors";
import { type Principal, actorOf } from "./principal.js";

/** A node places, confirms and releases each of its calls. */
const NODE_FACTOR = 100;
/** Wrong credentials from one address; each may cost a lookup. */
const FAILURES_PER_SECOND = 20;
/** RPCs without a credential from one address: registrations, health. */
const OPEN_PER_SECOND = 100;

export interface RateLimitsOptions {
  readonly perSecond: number;
  /** Counted over all control planes when given; while it is away, here. */
  readonly redis?: { readonly client: Redis; readonly prefix: string } | null;
}

export class RateLimits {
  readonly #keys: RateLimiterAbstract;
  readonly #nodes: RateLimiterAbstract;
  readonly #failures: RateLimiterAbstract;
  readonly #open: RateLimiterAbstract;

  constructor({ perSecond, redis = null }: RateLimitsOptions) {
    const here = new RateLimiterMemory({ points: perSecond, duration: 1 });
    this.#keys =
      redis === null
        ? here
        : new RateLimiterRedis({
            storeClient: redis.client,
            keyPrefix: `{${redis.prefix}}:rate`,
            points: perSecond,
            duration: 1,
            insuranceLimiter: here,
          });
    this.#nodes = new RateLimiterMemory({ points: perSecond * NODE_FACTOR, duration: 1 });
    this.#failures = new RateLimiterMemory({ points: FAILURES_PER_SECOND, duration: 1 });
    this.#open = new RateLimiterMemory({ points: OPEN_PER_SECOND, duration: 1 });
  }

  /** @throws LumentraError RATE_LIMITED */
  async count(principal: Principal, peerAddress: string): Promise<void> {
    if (principal.kind === "node") return consume(this.#nodes, principal.nodeId);
    if (principal.kind === "open") return consume(this.#open, peerAddress);
    return consume(this.#keys, actorOf(principal));
  }

  /** A credential was wrong. @throws LumentraError RATE_LIMITED when it was not the first by far */
  async countFailure(peerAddress: string): Promise<void> {
    await consume(this.#failures, peerAddress);
  }

  /** Before a credential is looked up. @throws LumentraError RATE_LIMITED */
  async requireFewFailures(peerAddress: string): Promise<void> {
    const state = await this.#failures.get(peerAddress);
    if (state !== null && state.consumedPoints > FAILURES_PER_SECOND) throw limited(state.msBeforeNext);
  }
}

async function consume(limiter: RateLimiterAbstract, key: string): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (refused) {
    if (refused instanceof RateLimiterRes) throw limited(refused.msBeforeNext);
    throw refused;
  }
}

function limited(retryAfterMs: number): LumentraError {
  return new LumentraError("RATE_LIMITED", "too many requests in this second", {
    detail: { retryAfterMs: Math.max(1, retryAfterMs) },
  });
}

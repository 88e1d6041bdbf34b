/**
 * What the shards of this node have found out about the providers, passed on from each to the others: a provider
 * that is down is found out once per node, and one that is back as well.
 *
 * A notice that a busy shard misses costs that shard its own finding out, and nothing else.
 */
import type { Clock } from "#runtime/actor";
import type { ShardPool } from "#runtime/cluster";
import type { Logger } from "#runtime/telemetry";
import type { CallShardTopic } from "#actors/call";
import type { ProviderNotice } from "#actors/providers";

/** A shard answers within its tick; one that hangs is the watchdog's business. */
const TELL_DEADLINE_MS = 1_000;

export class ProviderBoard {
  readonly #clock: Clock;
  readonly #log: Logger;
  /** By account; those that are not closed. At most one per provider there is. */
  readonly #open = new Map<string, { readonly untilMs: number; readonly wasMute: boolean }>();

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** One shard's word, for the others. */
  note(pool: ShardPool, fromShardId: number, notice: ProviderNotice): void {
    if (notice.state === "open") {
      const untilMs = this.#clock.nowMs() + notice.forMs;
      this.#open.set(notice.account, { untilMs, wasMute: notice.wasMute ?? false });
    } else {
      this.#open.delete(notice.account);
    }
    for (const { shardId } of pool.stats()) if (shardId !== fromShardId) this.#tell(pool, shardId, notice);
  }

  /** A shard that has come up later knows nothing yet. */
  welcome(pool: ShardPool, shardId: number): void {
    const nowMs = this.#clock.nowMs();
    for (const [account, { untilMs, wasMute }] of this.#open) {
      if (untilMs <= nowMs) continue;
      this.#tell(pool, shardId, {
        account,
        state: "open",
        forMs: untilMs - nowMs,
        ...(wasMute && { wasMute }),
      });
    }
  }

  /** For people: accounts that are not asked, or asked with care. Empty when all is well. */
  states(): Readonly<Record<string, "open" | "probing">> {
    const nowMs = this.#clock.nowMs();
    return Object.fromEntries(
      [...this.#open].map(([account, { untilMs }]) => [account, untilMs > nowMs ? "open" : "probing"]),
    );
  }

  #tell(pool: ShardPool, shardId: number, notice: ProviderNotice): void {
    pool
      .ask(shardId, "provider" satisfies CallShardTopic, notice, TELL_DEADLINE_MS)
      .catch((error: unknown) =>
        this.#log.debug({ err: error, shardId, account: notice.account }, "not told"),
      );
  }
}

import t from "tap";
import { VirtualClock } from "#runtime/actor";
import type { ShardPool } from "#runtime/cluster";
import { silentLogger } from "#runtime/telemetry";
import { ProviderBoard } from "./provider-board.js";
import { providerLimits } from "./provider-settings.js";
import { resolveSettings } from "./settings.js";

/** Three shards, and what each was told. */
function threeShards() {
  const told: string[] = [];
  const pool = {
    stats: () => [0, 1, 2].map((shardId) => ({ shardId })),
    ask: (shardId: number, _topic: string, notice: { account: string; state: string; forMs: number }) => {
      told.push(`${shardId} ${notice.account} ${notice.state} ${notice.forMs}`);
      return shardId === 2 ? Promise.reject(new Error("it hangs")) : Promise.resolve(null);
    },
  } as unknown as ShardPool;
  return { pool, told };
}

void t.test("what one shard finds out the others are told, and one that comes up later too", async (t) => {
  const clock = new VirtualClock();
  const board = new ProviderBoard(clock, silentLogger);
  const { pool, told } = threeShards();
  board.note(pool, 1, { account: "LLM groq", state: "open", forMs: 2_000 });
  t.same(told.splice(0), ["0 LLM groq open 2000", "2 LLM groq open 2000"]);
  t.same(board.states(), { "LLM groq": "open" });
  clock.advance(500);
  board.welcome(pool, 0);
  t.same(told.splice(0), ["0 LLM groq open 1500"]);
  clock.advance(1_500);
  t.same(board.states(), { "LLM groq": "probing" });
  board.welcome(pool, 0);
  t.same(told.splice(0), []);
  board.note(pool, 0, { account: "LLM groq", state: "closed", forMs: 0 });
  t.same(told, ["1 LLM groq closed 0", "2 LLM groq closed 0"]);
  t.same(board.states(), {});
});

void t.test("an account's limit is shared by the shards, and must name a provider", async (t) => {
  const limits = (text: string) =>
    providerLimits(resolveSettings({ LUMENTRA_SHARDS: "4", LUMENTRA_PROVIDER_LIMITS: text }));
  t.same(limits("deepgram=50,groq=3"), { deepgram: 12, groq: 1 });
  t.throws(() => limits("nobody=5"), { code: "SETTING_INVALID" });
  t.throws(() => limits("deepgram"), { code: "SETTING_INVALID" });
});

/**
 * How long callers wait when what carries them dies, and whether the others notice: several calls in mid-reply on one
 * shard, others on another. `RECOVERY_CALLS=24 node dist/node/recovery-latency.test.js` on a quiet machine gives the
 * figures of docs/BENCHMARKS.md; here it proves that it counts right.
 */
import t from "tap";
import type { PhoneCall } from "#bench/caller";
import { DEATHS, type Death } from "./deaths.fixture.js";
import { factsOf, plainWords } from "./node.fixture.js";
import {
  REPLY,
  allServe,
  greeted,
  heardMore,
  numberOf,
  shardsOf,
  startDyingNode,
  wordsSince,
} from "./recovery.fixture.js";

const CALLS = Number(process.env["RECOVERY_CALLS"] ?? 4);
const DIES: readonly Death[] =
  process.env["RECOVERY_CALLS"] === undefined ? ["hangs"] : ["throws", "exits", "hangs"];

void t.test(
  "all calls of a dead shard go on, and those of the other shard are paced as before",
  async (t) => {
    const server = await startDyingNode(t, { LUMENTRA_SHARDS: "2" });
    for (const [index, death] of DIES.entries()) {
      // Each on the less loaded shard: they alternate.
      const phones: PhoneCall[] = [];
      for (let number = 0; number < 2 * CALLS; number += 1)
        phones.push(await server.call({ to: numberOf(2 * index + (number % 2)) }));
      await Promise.all(phones.map((phone) => greeted(phone)));
      const since = phones.map((phone) => phone.heard.length);
      const live = await liveShards();
      const doomedShard = live.get(phones[0]!.callSid)!;
      await Promise.all(phones.map((phone) => phone.say("Which tables do you have?")));
      await Promise.all(phones.map((phone, number) => heardMore(phone, since[number]!, 6)));
      const paced = await pacing();
      phones[0]!.dtmf(DEATHS[death]);
      await Promise.all(
        phones.map((phone, number) => heardMore(phone, since[number]!, plainWords(REPLY).length)),
      );
      const pacedMeanwhile = (await pacing()).map(
        ([bound, count], bucket) => [bound, count - paced[bucket]![1]] as const,
      );
      const waitedMs: number[] = [];
      let underruns = 0;
      for (const phone of phones) {
        phone.hangUp();
        const events = await server.journal(phone);
        const resumed = factsOf(events, "callResumed")[0];
        const wasDoomed = live.get(phone.callSid) === doomedShard;
        t.equal(resumed?.reason, wasDoomed ? "shardLost" : undefined);
        underruns += phone.stats.underrunCount;
        if (resumed === undefined) continue;
        const first = factsOf(events, "agentProgress").find(({ sequence }) => sequence > resumed.sequence)!;
        waitedMs.push(first.atMs - (resumed.atMs - resumed.gapMs));
      }
      t.ok(waitedMs.length >= CALLS, `${waitedMs.length} calls went on`);
      const sent = pacedMeanwhile.at(-1)![1];
      const within = (bound: number): number => pacedMeanwhile.findLast(([upTo]) => upTo <= bound)![1];
      const sorted = waitedMs.toSorted((a, b) => a - b);
      const at = (share: number): string => `${Math.round(sorted[Math.ceil(sorted.length * share) - 1]!)} ms`;
      t.comment(
        `${death}: fault to first audio p50 ${at(0.5)}, p95 ${at(0.95)}, max ${at(1)} of ${sorted.length}; ` +
          `${within(5)} of ${sent} pieces within 5 ms, ${underruns} underruns in ${phones.length} calls`,
      );
      for (const [number, phone] of phones.entries())
        t.same(wordsSince(phone, since[number]!), plainWords(REPLY), "every word, once");
      await allServe(server);
    }

    /** By the carrier's id of each live call, its shard. */
    async function liveShards(): Promise<Map<string, number>> {
      const { calls } = JSON.parse((await server.admin("/calls")).text) as {
        calls: { carrierCallId: string; shardId: number }[];
      };
      t.ok((await shardsOf(server)).length === 3);
      return new Map(calls.map(({ carrierCallId, shardId }) => [carrierCallId, shardId]));
    }

    /** The pacing histogram: bound and pieces up to it, the last one without a bound. */
    async function pacing(): Promise<(readonly [number, number])[]> {
      const { text } = await server.admin("/metrics");
      const lines = [...text.matchAll(/^lumentra_edge_pacing_error_ms_bucket\{.*le="([^"]+)".*\} (\d+)$/gm)];
      return lines.map(([, bound, count]) => [bound === "+Inf" ? Infinity : Number(bound), Number(count)]);
    }
  },
);

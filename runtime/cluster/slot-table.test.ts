import { Arena } from "#runtime/media";
import t from "tap";
import { seededRandom } from "#runtime/actor";
import type { SlotLease } from "./slot-lease.js";
import { SlotTable } from "./slot-table.js";

function table(slotCount = 2): SlotTable {
  let generation = 0;
  const arena = Arena.create({ slotCount, inRecordCount: 2, outRecordCount: 2 });
  return new SlotTable(3, arena, () => ++generation);
}

void t.test("slots run out, and come back when released unopened", (t) => {
  const slots = table();
  const [first, second] = [slots.reserve()!, slots.reserve()!];
  t.not(first.slot, second.slot);
  t.equal(slots.reserve(), null);
  t.match({ live: slots.liveCount, free: slots.freeCount }, { live: 2, free: 0 });
  slots.release(first);
  slots.release(first);
  t.match({ live: slots.liveCount, free: slots.freeCount }, { live: 1, free: 1 });
  const third = slots.reserve()!;
  t.equal(third.slot, first.slot);
  t.not(third.generation, first.generation);
  t.end();
});

void t.test("an opened slot comes back only when both sides are done, in whichever order", (t) => {
  for (const edgeFirst of [true, false]) {
    const slots = table(1);
    const lease = slots.reserve()!;
    slots.markOpen(lease);
    const steps = [
      (): void => slots.release(lease),
      (): void => void slots.markClosed(lease.slot, lease.generation),
    ];
    if (!edgeFirst) steps.reverse();
    steps[0]!();
    t.equal(slots.reserve(), null, "one side is not enough");
    t.equal(slots.lingeringCount, edgeFirst ? 1 : 0);
    steps[1]!();
    t.equal(slots.freeCount, 1);
    t.equal(lease.state, "closed");
  }
  t.end();
});

void t.test("the next call finds empty rings", (t) => {
  const slots = table(1);
  const lease = slots.reserve()!;
  slots.markOpen(lease);
  lease.side.in.writeAudio(new Uint8Array(160), 0, 160, 0);
  slots.arena.shardSide(0).out.tryWriteAudio(new Uint8Array(160), 0, 160, 0);
  slots.markClosed(lease.slot, lease.generation);
  slots.release(lease);
  slots.reserve();
  t.match(slots.arena.stats(0), { inFillRecords: 0, outFillRecords: 0, inWrittenCount: 0 });
  t.end();
});

void t.test("news of an earlier generation changes nothing", (t) => {
  const slots = table(1);
  const first = slots.reserve()!;
  slots.markOpen(first);
  slots.markClosed(first.slot, first.generation);
  slots.release(first);
  const second = slots.reserve()!;
  slots.markOpen(second);
  t.equal(slots.markClosed(first.slot, first.generation), null);
  t.equal(slots.find(first.slot, first.generation), null);
  slots.release(first);
  t.equal(second.state, "open");
  t.equal(slots.freeCount, 0);
  t.end();
});

void t.test("what is not closed is lost with the shard, once, and nothing of it comes back", (t) => {
  const slots = table(4);
  const [reserved, open, releasedOpen, closed] = [0, 1, 2, 3].map(() => slots.reserve()!);
  for (const lease of [open!, releasedOpen!, closed!]) slots.markOpen(lease);
  slots.release(releasedOpen!);
  slots.markClosed(closed!.slot, closed!.generation);
  t.same(new Set(slots.loseAll()), new Set([reserved, open, releasedOpen]));
  t.same(slots.loseAll(), []);
  t.equal(closed!.state, "closed");
  t.equal(slots.markOpen(reserved!), false);
  for (const lease of [reserved!, open!, closed!]) slots.release(lease);
  t.equal(slots.reserve(), null);
  t.equal(slots.markClosed(open!.slot, open!.generation), null);
  t.end();
});

void t.test("draining the out-bell visits those who hold the slot, and nobody after they let go", (t) => {
  const slots = table(3);
  const [held, released] = [slots.reserve()!, slots.reserve()!];
  for (const lease of [held, released]) slots.markOpen(lease);
  const visited: SlotLease[] = [];
  const visit = (lease: SlotLease): void => void visited.push(lease);
  const ringAll = (): void => {
    for (let slot = 0; slot < 3; slot++) slots.arena.outBell.ring(slot);
  };
  ringAll();
  slots.drainOutBell(visit);
  t.same(new Set(visited), new Set([held, released]));
  visited.length = 0;
  slots.release(released);
  ringAll();
  slots.drainOutBell(visit);
  t.same(visited, [held]);
  t.end();
});

void t.test("under any order of events each slot has at most one holder, and none is lost for good", (t) => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = seededRandom(seed);
    const slots = table(5);
    const held = new Set<SlotLease>();
    const openAtShard = new Set<SlotLease>();
    for (let step = 0; step < 2_000; step++) {
      const pick = (from: ReadonlySet<SlotLease>): SlotLease | undefined =>
        [...from][Math.floor(random.next() * from.size)];
      const action = random.next();
      if (action < 0.4) {
        const lease = slots.reserve();
        const busy = new Set([...held, ...openAtShard].map(({ slot }) => slot));
        if ((lease === null) !== (busy.size === 5)) return t.fail(`seed ${seed}: capacity`);
        if (lease === null) continue;
        if (busy.has(lease.slot)) return t.fail(`seed ${seed}: slot ${lease.slot} given out twice`);
        held.add(lease);
      } else if (action < 0.6) {
        const lease = pick(held);
        if (lease?.state !== "reserved") continue;
        slots.markOpen(lease);
        openAtShard.add(lease);
      } else if (action < 0.8) {
        const lease = pick(openAtShard);
        if (lease === undefined) continue;
        if (slots.markClosed(lease.slot, lease.generation) !== lease) return t.fail(`seed ${seed}: close`);
        openAtShard.delete(lease);
      } else {
        const lease = pick(held);
        if (lease === undefined) continue;
        slots.release(lease);
        held.delete(lease);
      }
    }
    for (const lease of held) slots.release(lease);
    for (const lease of openAtShard) slots.markClosed(lease.slot, lease.generation);
    if (slots.freeCount !== 5) return t.fail(`seed ${seed}: ${slots.freeCount} of 5 slots came back`);
  }
  t.pass("30 seeds");
  return t.end();
});

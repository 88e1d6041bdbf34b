import t from "tap";
import { Arena } from "#runtime/media";
import { createMetrics } from "#runtime/telemetry";
import { RingLosses } from "./ring-losses.js";

const RECORDS = 16;
const FRAME = new Uint8Array(160);

void t.test("what the rings of live and of ended calls lost is counted, once", async (t) => {
  const arena = Arena.create({ slotCount: 2, inRecordCount: RECORDS, outRecordCount: RECORDS });
  const metrics = createMetrics({ thread: "test" });
  t.teardown(() => metrics.close());
  const losses = new RingLosses(arena, metrics);
  metrics.onCollect(() => losses.collect());
  const totals = async (): Promise<(number | undefined)[]> => {
    const drops = (await metrics.snapshot()).find(({ name }) => name === "lumentra_ring_drops_total")!;
    return ["in", "out"].map(
      (direction) => drops.values.find(({ labels }) => labels["direction"] === direction)?.value,
    );
  };
  const drop = (slot: number, count: number): void => {
    for (let index = 0; index < count; index++) arena.edgeSide(slot).in.writeAudio(FRAME, 0, 160, 0);
  };
  t.same(await totals(), [0, 0]);

  losses.opened(0);
  drop(0, RECORDS + 3);
  t.same(await totals(), [3, 0]);
  t.same(await totals(), [3, 0], "a second look counts nothing twice");

  const { out } = arena.shardSide(0);
  while (out.tryWriteAudio(FRAME, 0, 160, 0) === 160);
  losses.closed(0);
  t.same(await totals(), [3, 1]);

  arena.edgeSide(0).reset();
  losses.opened(0); // the slot's next call, beside another
  losses.opened(1);
  drop(0, RECORDS + 2);
  drop(1, RECORDS + 5);
  losses.closed(0);
  drop(0, 100); // nobody's any more
  t.same(await totals(), [3 + 2 + 5, 1]);
});

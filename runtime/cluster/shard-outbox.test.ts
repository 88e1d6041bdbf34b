import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import t, { type Test } from "tap";
import { Heartbeat } from "./heartbeat.js";
import type { Batch, ShardItem } from "./messages.js";
import { MAX_BATCH_ITEMS, MAX_HELD_ITEMS, MAX_UNREAD_BATCHES, ShardOutbox } from "./shard-outbox.js";

interface OutboxWorld {
  readonly outbox: ShardOutbox;
  /** Reads every batch there is, as the main thread would. */
  readonly read: () => Batch[];
}

function outboxWorld(t: Test): OutboxWorld {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  const heartbeat = new Heartbeat();
  const read = (): Batch[] => {
    const batches: Batch[] = [];
    for (let got = receiveMessageOnPort(port2); got !== undefined; got = receiveMessageOnPort(port2)) {
      heartbeat.noteRead();
      batches.push(got.message as Batch);
    }
    return batches;
  };
  return { outbox: new ShardOutbox(port1, heartbeat), read };
}

function event(value: unknown): ShardItem {
  return { kind: "event", event: value };
}

function itemsOf(batches: Batch[]): ShardItem[] {
  return batches.flatMap(({ items }) => items);
}

void t.test("what comes up in one tick leaves in one batch, in order", (t) => {
  const { outbox, read } = outboxWorld(t);
  for (let i = 0; i < 10; i++) outbox.add(event(i));
  outbox.flush();
  outbox.flush();
  const batches = read();
  t.equal(batches.length, 1);
  t.same(
    itemsOf(batches),
    Array.from({ length: 10 }, (_, i) => event(i)),
  );
  t.end();
});

void t.test("what comes up outside a tick leaves by itself", async (t) => {
  const { outbox, read } = outboxWorld(t);
  outbox.add(event("alone"));
  t.same(read(), []);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  t.same(itemsOf(read()), [event("alone")]);
});

void t.test("a large batch is cut, in order", (t) => {
  const { outbox, read } = outboxWorld(t);
  const count = MAX_BATCH_ITEMS * 2 + 7;
  for (let i = 0; i < count; i++) outbox.add(event(i));
  outbox.flush();
  const batches = read();
  t.same(
    batches.map(({ items }) => items.length),
    [MAX_BATCH_ITEMS, MAX_BATCH_ITEMS, 7],
  );
  t.ok(itemsOf(batches).every((item, i) => item.kind === "event" && item.event === i));
  t.end();
});

void t.test(
  "while the main thread does not read, items are held, then events dropped, never a call's end",
  (t) => {
    const { outbox, read } = outboxWorld(t);
    const unread = MAX_UNREAD_BATCHES + 10;
    for (let i = 0; i < unread; i++) {
      outbox.add(event(i));
      outbox.flush();
    }
    const held = MAX_HELD_ITEMS + 5;
    let takenCount = 0;
    for (let i = 0; i < held; i++) if (outbox.add(event(unread + i))) takenCount += 1;
    outbox.add({ kind: "callClosed", slot: 1, generation: 1, outcome: { kind: "callerHungUp" } });
    outbox.flush();
    const first = read();
    t.equal(first.length, MAX_UNREAD_BATCHES);
    outbox.flush();
    const rest = itemsOf(read());
    const events = [...itemsOf(first), ...rest].filter((item) => item.kind === "event");
    t.ok(
      events.every((item, i) => item.event === i),
      "those that were kept came in order",
    );
    t.equal(events.length, MAX_UNREAD_BATCHES + MAX_HELD_ITEMS);
    t.equal(unread + takenCount, events.length, "whoever emits is told which are dropped");
    t.equal(rest.filter((item) => item.kind === "callClosed").length, 1);
    const faults = rest.filter((item) => item.kind === "fault");
    t.match(faults, [
      { what: `${unread + held - events.length} events were dropped: the main thread was behind` },
    ]);
    t.end();
  },
);

void t.test("an event that cannot be cloned becomes a fault and takes nothing with it", (t) => {
  const { outbox, read } = outboxWorld(t);
  outbox.add(event("before"));
  outbox.add(event(() => {}));
  outbox.add({ kind: "callClosed", slot: 0, generation: 1, outcome: { kind: "callerHungUp" } });
  outbox.flush();
  const items = itemsOf(read());
  t.same(
    items.map(({ kind }) => kind),
    ["event", "fault", "callClosed"],
  );
  for (let i = 0; i < MAX_UNREAD_BATCHES; i++) {
    outbox.add(event(i));
    outbox.flush();
  }
  t.equal(read().length, MAX_UNREAD_BATCHES, "and the failed batches do not count as unread");
  t.end();
});

/** Watchers: every event once and in order, wherever it was stored and whatever hints were lost. */
import t, { type Test } from "tap";
import { MemoryDirectory } from "../directory/index.js";
import { SystemClock } from "#runtime/actor";
import type { Directory } from "../directory/index.js";
import { HUNG_UP, said } from "./node.fixture.js";
import { openStores, Watched, openDirectories, seed, startPlanes, until } from "./planes.fixture.js";

const stores = await openStores(t);

async function twoPlanes(t: Test, directories?: readonly Directory[], overrides = {}) {
  const store = await stores.fresh();
  await seed(store);
  const used = directories ?? (await openDirectories(t, "memory", 2))!.directories;
  const planes = await startPlanes(t, { store: store, directories: used, overrides });
  const [here, there] = planes.planes.map(({ client }) => client(planes.operatorKey));
  return { store, ...planes, here: here!, there: there!, a: await planes.node("node-a", { at: 0 }) };
}

void t.test("fifty watchers at two control planes see every event once and in order", async (t) => {
  const { a, here, there } = await twoPlanes(t);
  const call = await a.begin("CA1");
  const { callId } = call;
  const from = (index: number, fromSequence: number) =>
    new Watched((index % 2 ? here : there).watch("CallService", "WatchCall", { callId, fromSequence }));
  const watch = (index: number) => from(index, index % 5);
  /** All that a client hears that goes on where it was, as it does when a busy Postgres ends its watch. */
  const heardBy = async (watcher: ReturnType<typeof watch>, index: number): Promise<number[]> => {
    const how = await watcher.ends();
    const sequences = watcher.heard.map(({ event }) => event!.sequence);
    if (how !== "STORE_UNAVAILABLE") {
      t.equal(how, "ended");
      return sequences;
    }
    const next = (sequences.at(-1) ?? (index % 5) - 1) + 1;
    return [...sequences, ...(await heardBy(from(index, next), index))];
  };
  const watchers = Array.from({ length: 25 }, (_, index) => watch(index));
  const acks = Array.from({ length: 150 }, (_, i) => a.append(call, said(2 * i), said(2 * i + 1)));
  await acks[60];
  watchers.push(...Array.from({ length: 25 }, (_, index) => watch(index)));
  await Promise.all(acks);
  await a.append(call, HUNG_UP);
  for (const [index, watcher] of watchers.entries()) {
    const first = (index % 25) % 5;
    const expected = Array.from({ length: 302 - first }, (_, i) => i + first);
    t.same(await heardBy(watcher, index % 25), expected);
  }
  t.equal(
    await new Watched(there.watch("CallService", "WatchCall", { callId, fromSequence: 301 })).ends(),
    "ended",
  );
  t.equal(await new Watched(there.watch("CallService", "WatchCall", { callId: "none" })).ends(), "NOT_FOUND");
});

void t.test("without a single hint, watchers are told all the same", async (t) => {
  class Mute extends MemoryDirectory {
    override async publish(): Promise<void> {}
  }
  const directory = new Mute({ clock: new SystemClock() });
  t.teardown(() => directory.close());
  const { a, there } = await twoPlanes(t, [directory, directory], { watchRelistMs: 500 });
  const call = await a.begin("CA1");
  const events = new Watched(there.watch("CallService", "WatchCall", { callId: call.callId }));
  const all = new Watched(there.watch("CallService", "WatchCalls", { tenantId: "dentist" }));
  await until("both to be there", () => events.heard.length === 1 && all.heard.some(({ synced }) => synced));
  await a.append(call, said(1));
  await until("the event", () => events.heard.length === 2);
  await a.append(call, said(2), HUNG_UP);
  t.equal(await events.ends(), "ended");
  t.same(
    events.heard.map(({ event }) => event?.sequence),
    [0, 1, 2, 3],
  );
  await until("the end", () => all.heard.at(-1)?.call?.state === "CALL_STATE_ENDED");
  all.cancel();
});

void t.test("a watcher that does not read is ended, and the others are not held back", async (t) => {
  const { a, here, logged, planes, operatorKey } = await twoPlanes(t, undefined, { watcherPatienceMs: 300 });
  const call = await a.begin("CA1");
  const { callId } = call;
  // A client that reads its first message and no more; before that, gRPC's own takes whatever comes.
  const stalled = planes[0]!.client(operatorKey);
  const slow = stalled.watch("CallService", "WatchCall", { callId });
  await new Promise<void>((resolve) => {
    slow.once("data", () => {
      slow.pause();
      resolve();
    });
  });
  const quick = new Watched(here.watch("CallService", "WatchCall", { callId }));
  const text = "word ".repeat(2_000);
  for (let i = 0; i < 20; i++)
    await a.append(call, ...Array.from({ length: 10 }, (_, n) => said(10 * i + n, text)));
  await until("the quick one to have it all", () => quick.heard.length === 201);
  await until("the server to have had enough", () => logged().includes('"code":"WATCHER_TOO_SLOW"'));
  const ended = new Watched(slow);
  slow.resume();
  t.equal(await ended.ends(), "WATCHER_TOO_SLOW", "after what was on its way");
  t.ok(ended.heard.length < 201);
  quick.cancel();
});

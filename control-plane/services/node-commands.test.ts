import t, { type Test } from "tap";
import { type Clock, SystemClock, VirtualClock } from "#runtime/actor";
import { silentLogger } from "#runtime/telemetry";
import { MemoryDirectory } from "../directory/index.js";
import { type NodeCommand, NodeCommands } from "./node-commands.js";

const HANG_UP: NodeCommand = { kind: "hangUp", callId: "c1", reason: "operator" };

async function controlPlanes(t: Test, clock: Clock = new SystemClock()) {
  const directory = new MemoryDirectory({ clock: new SystemClock() });
  const [one, two] = ["one", "two"].map(
    (controlPlaneId) => new NodeCommands({ directory, controlPlaneId, clock, log: silentLogger }),
  ) as [NodeCommands, NodeCommands];
  await Promise.all([one.start(), two.start()]);
  t.teardown(() => {
    one.close();
    two.close();
  });
  return { directory, one, two };
}

void t.test("a command reaches a stream here and one elsewhere, and whoever sent it hears so", async (t) => {
  const { one, two } = await controlPlanes(t);
  const heard: NodeCommand[] = [];
  await two.attach("node-a", (command) => heard.push(command) > 0);
  t.equal(await one.deliver("node-a", HANG_UP, 5_000), true);
  t.equal(await two.deliver("node-a", HANG_UP, 5_000), true);
  t.same(heard, [HANG_UP, HANG_UP]);
});

void t.test("a stream sees a command once, though it comes both ways and more than once", async (t) => {
  const { one, directory } = await controlPlanes(t);
  const heard: NodeCommand[] = [];
  await one.attach("node-a", (command) => heard.push(command) > 0);
  t.equal(await one.deliver("node-a", HANG_UP, 5_000), true);
  // What was published before is heard before: the directory keeps the order of one topic.
  const last = new Promise<void>((resolve) => {
    void directory.subscribe("node:node-a", () => resolve());
  });
  await one.tell("node-a", { kind: "reportLeases" });
  await last;
  t.same(heard, [HANG_UP, { kind: "reportLeases" }]);
});

void t.test("a command waits for a node that is on its way back, and no longer than asked", async (t) => {
  const clock = new VirtualClock();
  const { one, two } = await controlPlanes(t, clock);
  const heard: NodeCommand[] = [];
  const delivered = one.deliver("node-a", HANG_UP, 4_000);
  clock.advance(400);
  await two.attach("node-a", (command) => heard.push(command) > 0);
  clock.advance(100);
  t.equal(await delivered, true);
  t.same(heard, [HANG_UP]);

  const lost = one.deliver("node-b", HANG_UP, 4_000);
  clock.advance(4_000);
  t.equal(await lost, false);
});

void t.test("an ending stream takes nothing", async (t) => {
  const clock = new VirtualClock();
  const { one } = await controlPlanes(t, clock);
  const detach = await one.attach("node-a", () => false);
  const refused = one.deliver("node-a", HANG_UP, 1_000);
  clock.advance(1_000);
  t.equal(await refused, false);
  detach();
});

void t.test(
  "what only hints may fail without a word; what must arrive says that the directory is away",
  async (t) => {
    const { one, directory } = await controlPlanes(t);
    await directory.close();
    await one.tell("node-a", HANG_UP);
    await t.rejects(one.deliver("node-a", HANG_UP, 1_000), { code: "DIRECTORY_UNAVAILABLE" });
  },
);

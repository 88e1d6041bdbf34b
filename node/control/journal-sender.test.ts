/** The spool's way out, over the real wire, to a control plane that misbehaves when told to. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { SystemClock, systemRandom } from "#runtime/actor";
import { RpcClient } from "#runtime/rpc";
import { createMetrics, silentLogger } from "#runtime/telemetry";
import type { JournalEvent } from "#actors/journal";
import { FakeControlPlane } from "./control-plane.fixture.js";
import { JournalSender } from "./journal-sender.js";
import type { JournalSpool } from "./journal-spool.js";
import { event, openSpool, spoolDirectory } from "./spool.fixture.js";

interface World {
  readonly plane: FakeControlPlane;
  readonly spool: JournalSpool;
  readonly lost: string[];
  /** All of them, in order; callEnded as the last. */
  readonly write: (callId: string, from: number, to: number, epoch?: number) => void;
  readonly settled: () => Promise<void>;
  readonly counts: () => Promise<Record<string, number>>;
}

async function world(t: Test, directory = spoolDirectory(t)): Promise<World> {
  const plane = new FakeControlPlane();
  await plane.start();
  const metrics = createMetrics({ thread: "test" });
  const spool = await openSpool(directory, { metrics });
  const rpc = new RpcClient({ target: plane.target, security: { insecure: false } });
  const lost: string[] = [];
  const sender = new JournalSender({
    spool,
    clock: new SystemClock(),
    random: systemRandom,
    log: silentLogger,
    metrics,
    connect: () => rpc.connect("JournalService", "AppendJournal"),
    onLeaseLost: (callId) => lost.push(callId),
  });
  sender.start();
  t.teardown(async () => {
    sender.close();
    rpc.close();
    await spool.close();
    plane.stop();
    metrics.close();
  });
  return {
    plane,
    spool,
    lost,
    write(callId, from, to, epoch = 1) {
      for (let sequence = from; sequence <= to; sequence++) {
        spool.append(event(callId, sequence, sequence === to, epoch));
      }
    },
    async settled() {
      while (spool.eventCount > 0 || !sender.isIdle) await new Promise((resolve) => setTimeout(resolve, 5));
    },
    async counts() {
      const { values } = await metrics.journalEvents.get();
      return Object.fromEntries(values.map(({ labels, value }) => [labels.result, value]));
    },
  };
}

const sequences = (journal: readonly JournalEvent[] | undefined): number[] =>
  (journal ?? []).map(({ sequence }) => sequence);
const upTo = (last: number): number[] => Array.from({ length: last + 1 }, (_, index) => index);

void t.test("every call arrives whole and in order, long ones in several batches", async (t) => {
  const { plane, write, settled, counts } = await world(t);
  for (let call = 0; call < 150; call++) write(`call-${call}`, 0, call === 7 ? 950 : 8);
  await settled();
  t.equal(plane.journals.size, 150);
  for (const [callId, journal] of plane.journals) {
    if (JSON.stringify(sequences(journal)) !== JSON.stringify(upTo(callId === "call-7" ? 950 : 8)))
      t.fail(callId);
  }
  t.same(await counts(), { appended: 150 * 9 + 942, acknowledged: 150 * 9 + 942 });
});

void t.test(
  "an outage in the middle: nothing is lost, and what was acknowledged is not stored twice",
  async (t) => {
    const { plane, write, settled } = await world(t);
    for (let call = 0; call < 40; call++) write(`call-${call}`, 0, 200);
    for (let outage = 0; outage < 3; outage++) {
      while ([...plane.journals.values()].flat().length < 500 * (outage + 1)) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      plane.stop();
      await plane.start();
    }
    await settled();
    for (const [callId, journal] of plane.journals) t.same(sequences(journal), upTo(200), callId);
  },
);

void t.test("a control plane without its store is asked again; nothing is given up", async (t) => {
  const { plane, write, settled, counts } = await world(t);
  plane.appendErrors.push("STORE_UNAVAILABLE", "STORE_UNAVAILABLE", "DEADLINE_EXCEEDED");
  write("call-1", 0, 20);
  write("call-2", 0, 20);
  await settled();
  t.same(sequences(plane.journals.get("call-1")), upTo(20));
  t.same(sequences(plane.journals.get("call-2")), upTo(20));
  t.equal((await counts())["acknowledged"], 42);
});

void t.test(
  "a lease that is another's, an end that was written, a gap: given up by call, counted",
  async (t) => {
    const { plane, write, settled, counts, lost } = await world(t);
    plane.leases.set("call-lost", {
      callId: "call-lost",
      epoch: 9,
      nodeId: "other",
      tenantId: "dentist",
      carrier: "twilio",
      carrierCallId: "CA1",
      pii: { from: "", to: "" },
      live: true,
    });
    plane.journals.set("call-ended", [event("call-ended", 0), event("call-ended", 1, true)]);
    write("call-lost", 0, 4);
    write("call-ended", 2, 4);
    write("call-gap", 3, 5);
    write("call-fine", 0, 4);
    await settled();
    t.same(lost, ["call-lost"]);
    t.notOk(plane.journals.has("call-lost"));
    t.notOk(plane.journals.has("call-gap"));
    t.equal(plane.journals.get("call-ended")!.length, 2);
    t.same(sequences(plane.journals.get("call-fine")), upTo(4));
    t.match(await counts(), { fenced: 5, late: 3, dropped: 3, acknowledged: 5 });
    write("call-lost", 5, 7, 10);
    await settled();
    t.match(await counts(), { appended: 19 }, "a newer epoch of the call is tried again");
  },
);

void t.test(
  "an event that cannot be stored is set aside with the rest of its call; what stood before is kept",
  async (t) => {
    const directory = spoolDirectory(t);
    const { plane, write, settled, counts } = await world(t, directory);
    plane.isPoison = ({ callId, sequence }) => callId === "call-1" && sequence === 2;
    write("call-1", 0, 5);
    await settled();
    t.same(sequences(plane.journals.get("call-1")), [0, 1]);
    t.match(await counts(), { invalid: 4, acknowledged: 2 });
    const aside = readFileSync(join(directory, "aside", "call-1.jsonl"), "utf8")
      .trim()
      .split("\n");
    t.same(
      aside.map((line) => (JSON.parse(line) as JournalEvent).sequence),
      [2, 3, 4, 5],
    );
    write("call-2", 0, 3);
    await settled();
    t.same(sequences(plane.journals.get("call-2")), upTo(3));
  },
);

/** Left by a version that knew other facts; nothing else happens that would make the sender look again. */
void t.test("an event that cannot be told is set aside though nothing else is sent", async (t) => {
  const directory = spoolDirectory(t);
  const { plane, spool, settled } = await world(t, directory);
  const foreign = { ...event("call-1", 3), kind: "unheardOf" } as unknown as JournalEvent;
  for (const each of [event("call-1", 0), event("call-1", 1), event("call-1", 2), foreign])
    spool.append(each);
  await settled();
  t.same(sequences(plane.journals.get("call-1")), upTo(2));
  t.match(readFileSync(join(directory, "aside", "call-1.jsonl"), "utf8"), /unheardOf/);
});

/** It was sent again, and the answer came when the call had been dropped: that ended the process. */
void t.test(
  "an outage while an event is set aside: nothing of its call is sent, and it is kept once",
  async (t) => {
    const directory = spoolDirectory(t);
    const { plane, spool, write, settled } = await world(t, directory);
    const setAside = spool.setAside.bind(spool);
    let open!: () => void;
    const gate = new Promise<void>((resolve) => (open = resolve));
    let asked = 0;
    const asking = new Promise<void>((resolve) => {
      spool.setAside = async (events) => {
        asked += 1;
        resolve();
        await gate;
        await setAside(events);
      };
    });
    plane.isPoison = ({ callId, sequence }) => callId === "call-1" && sequence === 0;
    write("call-1", 0, 5);
    await asking;
    plane.stop();
    await plane.start();
    write("call-2", 0, 3);
    while (plane.journals.get("call-2")?.length !== 4) await new Promise((resolve) => setTimeout(resolve, 5));
    open();
    await settled();
    t.equal(asked, 1);
    const aside = readFileSync(join(directory, "aside", "call-1.jsonl"), "utf8");
    t.equal(aside.trim().split("\n").length, 6);
  },
);

void t.test("a repeated prefix after a restart is recognised", async (t) => {
  const { plane, write, settled } = await world(t);
  plane.journals.set("call-1", [event("call-1", 0), event("call-1", 1), event("call-1", 2)]);
  write("call-1", 0, 6);
  await settled();
  t.same(sequences(plane.journals.get("call-1")), upTo(6));
  t.equal(plane.repeatedEvents, 3);
});

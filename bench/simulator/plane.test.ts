/** The simulated control plane's journals against what the store does with a call it took for lost (calls-append.ts). */
import t from "tap";
import { seededRandom } from "#runtime/actor";
import type { JournalEvent } from "#actors/journal";
import { LEASE_TIME_MS, Plane, RESUME_GRACE_MS } from "./plane.js";
import { SimThread, SimTime } from "./sim-time.js";

const CALL = { callId: "call-1", carrier: "twilio", carrierCallId: "CA1", tenantId: "test" } as const;

/**
 * Two partitions one after the other, while the call went on at its node. The end that the control plane wrote of itself after
 * the first was taken for the owner's own, and for another owner's: all that the node had spooled meanwhile was refused.
 */
void t.test("a call that two partitions have ended for lost goes on each time it is heard of", async (t) => {
  const time = new SimTime(seededRandom(1), true);
  const plane = new Plane(time, new SimThread(time), 10, {});
  await plane.start();
  t.teardown(() => plane.close());
  let epoch = 0;
  const row = () => plane.rows.get(CALL.callId)!;
  const kinds = (): readonly string[] => row().events.map(({ kind }) => kind);
  const holds = async (): Promise<void> => {
    const claim = { ...CALL, epoch, resellerId: "reseller", live: true };
    t.match(await plane.directory.claim("node-1", [claim], LEASE_TIME_MS), [{ kind: "held" }]);
  };
  const tells = (sequence: number, kind: JournalEvent["kind"], fields: object = {}): void =>
    plane.append("node-1", {
      ...CALL,
      ...fields,
      kind,
      sequence,
      epoch,
      atMs: time.nowMs(),
      atUnixMs: time.unixMs(),
    } as unknown as JournalEvent);
  const isPartitioned = async (): Promise<void> => {
    const forMs = LEASE_TIME_MS + RESUME_GRACE_MS + 5_000;
    await time.runUntil(() => row().state === "ended", time.nowMs() + forMs);
    t.match(row(), { state: "ended", lostEnd: { outcome: { kind: "nodeLost" } } });
    t.equal(kinds().at(-1), "callEnded");
  };

  epoch = time.unixMs() + 1;
  await holds();
  tells(0, "callStarted");
  await isPartitioned();
  tells(1, "callerTurn");
  t.same(kinds(), ["callStarted", "callerTurn", "callEnded"], "from its spool: it may be over all the same");
  epoch = time.unixMs() + 1;
  tells(2, "callResumed");
  await holds();
  t.same(kinds(), ["callStarted", "callerTurn", "callResumed"]);
  t.match(row(), { state: "live", lostEnd: null });

  await isPartitioned();
  tells(3, "callEnded", { outcome: { kind: "callerHungUp" } });
  t.same(kinds(), ["callStarted", "callerTurn", "callResumed", "callEnded"]);
  t.match(row(), { state: "ended", lostEnd: null, events: { 3: { outcome: { kind: "callerHungUp" } } } });
  t.same(plane.faults, []);
  t.equal(plane.counts.refusedEvents, 0);
});

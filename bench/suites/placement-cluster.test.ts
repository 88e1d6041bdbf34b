/** The simulator's model of the directory grants and refuses as a real one does, question by question. */
import t from "tap";
import { MemoryDirectory } from "#control-plane/directory";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { REPORT_EVERY_MS, SimulatedDirectory, SimulatedNode } from "./placement-cluster.js";

const SEED = 29;
const NODES = 12;
const STEPS = 4_000;
const LEASE_MS = 5_000;

void t.test("the model and the memory directory answer a random day alike", async (t) => {
  t.comment(`seed ${SEED}`);
  const random = seededRandom(SEED);
  const pick = (count: number): number => Math.floor(random.next() * count);
  const clock = new VirtualClock();
  const real = new MemoryDirectory({ clock });
  const model = new SimulatedDirectory();
  const pressure = { rung: 0, pacingLagMs: 0, eventLoopDelayMs: 0, slotUsage: 0, providerUsage: 0 } as const;
  const report = { ready: true, stopping: false, pressure };
  for (let index = 0; index < NODES; index++) {
    const node = new SimulatedNode(`node-${index}`, "us-east", 3 + pick(6));
    model.add(node, clock.nowMs());
    const { nodeId, region, capacityCalls } = node;
    const registration = { nodeId, region, capacityCalls, incarnation: "1", version: "1", mediaUrl: "" };
    await real.registerNode(registration, LEASE_MS);
    await real.reportNode(nodeId, "1", report, LEASE_MS);
  }
  const held: { readonly callId: string; readonly epoch: number; readonly node: SimulatedNode }[] = [];
  const counts = { granted: 0, full: 0, toDead: 0 };
  for (let step = 0; step < STEPS; step++) {
    const draw = random.next();
    if (draw < 0.002) model.nodes[pick(NODES)]!.up = false;
    if (draw > 0.98) {
      clock.advance(REPORT_EVERY_MS);
      for (const { nodeId, up } of model.nodes) if (up) await real.reportNode(nodeId, "1", report, LEASE_MS);
      model.hearReports(clock.nowMs());
    }
    if (held.length > 0 && draw < 0.45) {
      const [{ callId, epoch, node }] = held.splice(pick(held.length), 1) as [(typeof held)[number]];
      await real.release(callId, epoch);
      node.calls--;
      continue;
    }
    const nodeIds = Array.from({ length: 1 + pick(4) }, () => `node-${pick(NODES)}`);
    const round = { nodeIds: [...new Set(nodeIds)], pickOf: 1 + pick(2) };
    const expected = await real.reserve({
      ...round,
      callId: `call-${step}`,
      carrier: "twilio",
      carrierCallId: `CA-${step}`,
      tenantId: "tenant",
      resellerId: "reseller",
      tenantCap: STEPS,
      resellerCap: STEPS,
      reservationMs: 10 * STEPS * REPORT_EVERY_MS,
      resume: false,
      pii: { from: "", to: "" },
    });
    const granted = model.reserve(round);
    if (expected.kind !== "reserved") {
      if (granted !== null) t.fail(`step ${step}: ${expected.kind}, but the model grants ${granted.nodeId}`);
      counts.full++;
      continue;
    }
    if (granted?.nodeId !== expected.lease.nodeId) {
      t.fail(`step ${step}: ${expected.lease.nodeId}, but the model grants ${granted?.nodeId}`);
      break;
    }
    counts.granted++;
    if (!granted.up) counts.toDead++;
    held.push({ callId: `call-${step}`, epoch: expected.lease.epoch, node: granted });
  }
  t.ok(counts.granted > 100 && counts.full > 100 && counts.toDead > 0, JSON.stringify(counts));
  await real.close();
});

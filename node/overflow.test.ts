/** Callers who are refused, over the wire: each policy, from each carrier, for each reason there is. */
import t, { type Test } from "tap";
import type { CarrierName, PhoneCall } from "#bench/caller";
import { DENTIST, type TestNode, plainWords, startTestNode } from "./node.fixture.js";

t.jobs = 3;

const MESSAGE = "Our lines are busy now.";
const FORWARD_TO = "+12025550177";
const CARRIERS = ["twilio", "signalwire"] as const satisfies readonly CarrierName[];
const SLOTS = 4;

/** One tenant per policy, each allowed one call. */
const POLICIES = {
  busy: { number: "+12025550111", overflow: { kind: "busy" } },
  message: { number: "+12025550112", overflow: { kind: "message", text: MESSAGE } },
  forward: { number: "+12025550113", overflow: { kind: "forward", number: FORWARD_TO } },
  queue: { number: "+12025550114", overflow: { kind: "queue", name: "front & desk" } },
} as const;
type Policy = keyof typeof POLICIES;

const tenants = Object.fromEntries(
  Object.entries(POLICIES).map(([policy, { number, overflow }]) => [
    `refuses-by-${policy}`,
    { numbers: [number], overflow, limits: { concurrentCalls: 1 } },
  ]),
);

function startRefusingNode(t: Test, environment: Readonly<Record<string, string>> = {}): Promise<TestNode> {
  return startTestNode(t, {
    tenants,
    environment: { LUMENTRA_CALLS_PER_SHARD: String(SLOTS), ...environment },
  });
}

/** A shard renders the message beside its other work, and until it has, the carrier's own voice says it. */
async function messageRendered(server: TestNode): Promise<void> {
  for (;;) {
    const { verbs } = await (await server.call({ to: POLICIES.message.number })).ended;
    if (verbs[0]?.kind === "play") return;
  }
}

async function refusals(server: TestNode, reason: string): Promise<number> {
  const metrics = (await server.admin("/metrics")).text;
  const sample = new RegExp(`^lumentra_admission_refusals_total\\{reason="${reason}"\\} (\\d+)$`, "m");
  return Number(sample.exec(metrics)?.[1] ?? 0);
}

/** Every policy from every carrier at once; all are refused for `reason`. */
async function expectRefusals(t: Test, server: TestNode, reason: string): Promise<void> {
  const before = await refusals(server, reason);
  const expected: Readonly<Record<Policy, unknown[]>> = {
    busy: [{ kind: "reject", reason: "busy" }],
    message: [{ kind: "play", url: /\/overflow\/[\w-]+\.wav$/ }, { kind: "hangup" }],
    forward: [{ kind: "dial", number: FORWARD_TO }],
    queue: [{ kind: "enqueue", name: "front & desk" }],
  };
  await Promise.all(
    CARRIERS.flatMap((carrier) =>
      (Object.keys(POLICIES) as Policy[]).map(async (policy) => {
        const call = await server.call({ to: POLICIES[policy].number, carrier });
        const { outcome, stats, verbs } = await call.ended;
        const what = `${reason}: ${policy} by ${carrier}`;
        t.equal(outcome.kind, policy === "busy" ? "rejected" : "agentHungUp", what);
        t.equal(stats.streamCount, 0, `${what}: no media socket`);
        t.match(verbs, expected[policy], what);
        if (policy === "message") {
          t.same(plainWords(call.heardText()), plainWords(MESSAGE), `${what}: every word was heard`);
        }
      }),
    ),
  );
  const count = CARRIERS.length * Object.keys(POLICIES).length;
  t.equal((await refusals(server, reason)) - before, count, reason);
}

async function end(server: TestNode, calls: readonly PhoneCall[]): Promise<void> {
  for (const call of calls) call.hangUp();
  await Promise.all(calls.map((call) => server.journal(call)));
}

void t.test("over the tenant's cap, without a slot, and while draining", { buffered: true }, async (t) => {
  const server = await startRefusingNode(t);
  const atCap = await Promise.all(Object.values(POLICIES).map(({ number }) => server.call({ to: number })));
  await messageRendered(server);
  await expectRefusals(t, server, "tenantCap");
  await end(server, atCap);
  const filling = await Promise.all(Array.from({ length: SLOTS }, () => server.call({ to: DENTIST })));
  t.ok(
    filling.every((call) => call.leg !== null),
    "the slots are free again",
  );
  await expectRefusals(t, server, "noSlot");
  await end(server, filling);
  const drained = server.node.drain(5_000);
  await expectRefusals(t, server, "draining");
  await drained;
});

void t.test("under pressure, which readiness shows; live calls go on", { buffered: true }, async (t) => {
  // One call of four is pressure enough.
  const server = await startRefusingNode(t, { LUMENTRA_PRESSURE_SLOT_USAGE: "off,off,0.2,off" });
  const ready = async () =>
    JSON.parse((await server.admin("/healthz/ready")).text) as {
      pressure: { rung: number; inputs: { slotUsage: number } };
    };
  t.equal((await ready()).pressure.rung, 0);
  const live = await server.call({ to: DENTIST });
  while ((await ready()).pressure.rung < 3) await new Promise((resolve) => setTimeout(resolve, 50));
  t.match(await ready(), { pressure: { rung: 3, inputs: { slotUsage: 0.25 } } });
  await messageRendered(server);
  await expectRefusals(t, server, "pressure");
  await live.waitForReply(0);
  const said = await live.say("Is there parking?");
  await live.waitForReply(said.endedAtMs);
  t.match(live.heardText(said.endedAtMs), /free parking/);
  const metrics = (await server.admin("/metrics")).text;
  t.match(metrics, /lumentra_pressure_rung 3\n/);
  t.match(metrics, /lumentra_speculation_suppressed_total [1-9]/, "and nothing is generated ahead");
  t.notMatch(metrics, /lumentra_eager_generations_total\{result="committed"\}/);
  live.hangUp();
  await live.ended;
});

void t.test(
  "a message that could not be rendered is said by the carrier's own voice",
  { buffered: true },
  async (t) => {
    const server = await startRefusingNode(t, { CARTESIA_URL: "ws://127.0.0.1:9" });
    const drained = server.node.drain(0);
    for (const carrier of CARRIERS) {
      const call = await server.call({ to: POLICIES.message.number, carrier });
      const { verbs } = await call.ended;
      t.same(verbs, [{ kind: "say", text: MESSAGE }, { kind: "hangup" }], carrier);
    }
    await drained;
  },
);

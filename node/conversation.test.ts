import t from "tap";
import type { JournalEvent } from "#actors/journal";
import { runScript } from "#bench/caller";
import { DENTIST, RESTAURANT, factsOf, plainWords, startTestNode } from "./node.fixture.js";

// Each test is a call or two on one node, all at once.
t.jobs = 8;
const { call, journal, admin, emulators } = await startTestNode(t, {
  environment: { LUMENTRA_RESUME_GRACE_S: "1" },
  tenants: {
    "trattoria-lucia": { stt: { provider: "deepgram-flux", model: "flux-general-en" } },
  },
});

/** What the agent said but for whether anybody is there, which it asks after a standstill too. */
function answersOf(events: readonly JournalEvent[]) {
  return factsOf(events, "agentTurn").filter(({ source }) => source !== "prompt");
}

void t.test("a whole conversation: what was said, heard and written agree", { buffered: true }, async (t) => {
  const phone = await call();
  const { result, failure } = await runScript(phone, [
    { kind: "waitForAgent" },
    { kind: "say", text: "Is there parking?" },
    { kind: "waitForAgent" },
    { kind: "say", text: "Are you open on Sundays?" },
    { kind: "waitForAgent" },
    { kind: "say", text: "Thank you, goodbye." },
    { kind: "waitForAgentToHangUp" },
  ]);
  t.equal(failure, null);
  t.equal(result.outcome.kind, "agentHungUp");
  t.same(result.violations, []);
  const events = await journal(phone);
  t.same(
    factsOf(events, "callerTurn").map((turn) => turn.pii.said),
    ["Is there parking?", "Are you open on Sundays?", "Thank you, goodbye."],
  );
  const agentTurns = factsOf(events, "agentTurn");
  t.ok(agentTurns.length >= 4);
  t.match(answersOf(events)[1]!.pii.heard, /free parking behind the building/);
  const written = agentTurns.flatMap((turn) => plainWords(turn.pii.heard));
  t.same(plainWords(phone.heardText()), written, "the journal");
  t.same(factsOf(events, "callEnded")[0]!.outcome, { kind: "agentHungUp" });
  const metrics = (await admin("/metrics")).text;
  t.match(metrics, /lumentra_calls_ended_total\{outcome="agentHungUp"\} [1-9]/);
  t.match(metrics, /lumentra_ring_drops_total\{direction="in"\} 0/);
  t.match(metrics, /lumentra_mailbox_depth_max_messages\{thread="shard-0"\} 0/);
  t.match(metrics, /lumentra_stage_latency_ms_count\{stage="voiceToVoice"\} [1-9]/);
});

void t.test("each number reaches its own tenant, over either carrier", { buffered: true }, async (t) => {
  const phones = await Promise.all([
    call({ to: DENTIST, carrier: "twilio" }),
    call({ to: RESTAURANT, carrier: "signalwire" }),
  ]);
  for (const phone of phones) await phone.waitForReply(0);
  t.match(phones[0].heardText(), /Bright Smile Dental/);
  t.match(phones[1].heardText(), /Trattoria Lucia/);
  for (const phone of phones) phone.hangUp();
  const outcomes = await Promise.all(phones.map(async (phone) => (await journal(phone)).at(-1)));
  t.match(outcomes, [{ outcome: { kind: "callerHungUp" } }, { outcome: { kind: "callerHungUp" } }]);
});

void t.test("a number typed on the keypad is answered", { buffered: true }, async (t) => {
  emulators.groq.script(/keypad: 4 2 7/, { text: "You typed four two seven." });
  const phone = await call();
  await phone.waitForReply(0);
  phone.dtmf("427#");
  await phone.waitForHeard((text) => /You typed four two seven/.test(text));
  phone.hangUp();
  const events = await journal(phone);
  t.same(
    factsOf(events, "dtmf").map((event) => event.pii.digit),
    ["4", "2", "7", "#"],
  );
});

void t.test(
  "a line that is lost without a stop is told apart from a hang-up",
  { buffered: true },
  async (t) => {
    const phone = await call();
    await phone.waitForReply(0);
    phone.dropLine();
    const events = await journal(phone);
    t.match(events.at(-1), { outcome: { kind: "legLost" } }, "nobody came back for it");
    t.equal(events.at(-2)!.kind, "legLost");
  },
);

void t.test(
  "a tenant on another recogniser, with turns of its own, is heard as well",
  { buffered: true },
  async (t) => {
    const phone = await call({ to: RESTAURANT });
    await phone.waitForReply(0);
    const said = await phone.say("Can I bring my dog?");
    await phone.waitForReply(said.endedAtMs);
    phone.hangUp();
    const events = await journal(phone);
    t.match(factsOf(events, "callerTurn"), [{ pii: { said: "Can I bring my dog?" } }]);
    t.match(answersOf(events), [{ source: "greeting" }, { source: "model" }]);
  },
);

void t.test("a stall of half a second and the burst after it lose no word", { buffered: true }, async (t) => {
  const phone = await call();
  await phone.waitForReply(0);
  emulators.groq.script(/seven wise wizards/, { text: "I counted seven wizards." });
  const saidBefore = phone.nowMs();
  const saying = phone.say("Tell me what the seven wise wizards had for breakfast today.");
  await phone.waitUntil("a second of speech", 5_000, () => phone.nowMs() - saidBefore > 1_000);
  phone.stallLine(500);
  const said = await saying;
  await phone.waitForHeard(() => /seven wizards/.test(phone.heardText(said.endedAtMs)));
  const again = await phone.say("Is there parking?");
  await phone.waitForReply(again.endedAtMs);
  phone.hangUp();
  const events = await journal(phone);
  t.same(
    factsOf(events, "callerTurn").map((turn) => turn.pii.said),
    ["Tell me what the seven wise wizards had for breakfast today.", "Is there parking?"],
  );
  t.equal((await phone.ended).stats.framesLost, 0);
});

/** Admissions, claims and redirects whose answer takes its time: told to somebody, or given back. */
import t, { type Test } from "tap";
import { LegEnd } from "#runtime/media";
import { createTwilio } from "./carriers/twilio.js";
import type { Admission, AfterMedia } from "./delegate.js";
import { Harness, type HarnessOptions, voiceForm } from "./edge.fixture.js";
import { MediaTokens } from "./media-token.js";
import { resolveEdgeOptions } from "./options.js";

const CALL = "CA00000000000000000000000000000099";
const KEY = Buffer.alloc(32, 7);

function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

async function start(t: Test, options: HarnessOptions = {}): Promise<Harness> {
  const harness = await Harness.start({ edge: { mediaTokenKey: KEY }, ...options });
  t.teardown(() => harness.stop());
  return harness;
}

/** Until the delegate was asked for the nth time. */
async function asked(harness: Harness, count: number): Promise<void> {
  while (harness.delegate.calls.length < count) await new Promise((resolve) => setImmediate(resolve));
}

const slots = (harness: Harness): number => harness.delegate.freeSlotCount;
const pathOf = (markup: string): string => /url="wss?:\/\/[^/]+([^"]+)"/.exec(markup)![1]!;

void t.test("a webhook waits for its admission; a repeated one shares the answer", async (t) => {
  const harness = await start(t);
  const { opened, open } = gate();
  harness.delegate.admitGate = opened;
  const first = harness.post("/twilio/voice", voiceForm(CALL));
  await asked(harness, 1);
  const second = harness.post("/twilio/voice", voiceForm(CALL));
  while (harness.edge.connectionCount < 2) await new Promise((resolve) => setImmediate(resolve));
  // The second has arrived when a third request, sent after it, was answered.
  await harness.request("GET", "/healthz/live");
  open();
  const [one, two] = await Promise.all([first, second]);
  t.match(one.text, "<Connect>");
  t.equal(two.text, one.text);
  t.equal(harness.delegate.calls.length, 1);
  t.equal(slots(harness), 3);
});

void t.test(
  "an admission that takes too long: the overflow at once, the slot back when it comes",
  async (t) => {
    const harness = await start(t, { edge: { admissionTimeoutMs: 1_000 } });
    const { opened, open } = gate();
    harness.delegate.admitGate = opened;
    harness.delegate.overflow = { kind: "queue", name: "later" };
    const answer = harness.post("/twilio/voice", voiceForm(CALL));
    await asked(harness, 1);
    harness.advance(1_000);
    t.match((await answer).text, "<Enqueue>later</Enqueue>");
    open();
    t.match(await harness.delegate.event("expired", "call-1"), { kind: "expired" });
    t.equal(slots(harness), 4);
    const { values } = await harness.metrics.admissionRefusals.get();
    t.match(values, [{ labels: { reason: "slow" }, value: 1 }]);
  },
);

void t.test("a carrier that has gone while its call was placed: the slot is given back", async (t) => {
  const harness = await start(t);
  const { opened, open } = gate();
  harness.delegate.admitGate = opened;
  const abort = new AbortController();
  const body = new URLSearchParams(voiceForm(CALL)).toString();
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const gone = harness.request("POST", "/twilio/voice", { body, headers, signal: abort.signal });
  await asked(harness, 1);
  abort.abort();
  await t.rejects(gone);
  while (harness.edge.connectionCount > 0) await new Promise((resolve) => setImmediate(resolve));
  open();
  await harness.delegate.event("expired", "call-1");
  t.equal(slots(harness), 4);
  harness.delegate.admitGate = null;
  t.match((await harness.post("/twilio/voice", voiceForm(CALL))).text, "<Connect>", "and it may come again");
});

void t.test(
  "a caller who gave up while the call was placed: hang up, and the slot is given back",
  async (t) => {
    const harness = await start(t);
    const { opened, open } = gate();
    harness.delegate.admitGate = opened;
    const answer = harness.post("/twilio/voice", voiceForm(CALL));
    await asked(harness, 1);
    await harness.post("/twilio/status", { ...voiceForm(CALL), CallStatus: "completed" });
    await harness.delegate.event("carrierEnded", CALL);
    open();
    t.match((await answer).text, "<Hangup/>");
    t.equal(slots(harness), 4);
  },
);

void t.test("a drain that begins meanwhile, a delegate that fails: the overflow, no slot lost", async (t) => {
  const harness = await start(t);
  const place = harness.delegate.admit.bind(harness.delegate);
  harness.delegate.admit = () => Promise.reject(new Error("placement is broken"));
  t.match((await harness.post("/twilio/voice", voiceForm(CALL))).text, "<Reject");
  harness.delegate.admit = place;
  const { opened, open } = gate();
  harness.delegate.admitGate = opened;
  const answer = harness.post("/twilio/voice", voiceForm(CALL));
  await asked(harness, 1);
  harness.edge.beginDrain();
  open();
  t.match((await answer).text, "<Reject");
  t.equal(slots(harness), 4);
});

void t.test("a call for another node: its media URL, a token it can read, our own redirect", async (t) => {
  const harness = await start(t, {
    edge: { mediaTokenKey: KEY, webhookUrl: "https://calls.example.test/" },
  });
  const elsewhere: Admission = {
    kind: "admittedElsewhere",
    callId: "call-there",
    epoch: 7,
    mediaUrl: "wss://node-b.example.test",
  };
  harness.delegate.admit = () => elsewhere;
  const { text } = await harness.post("/twilio/voice", voiceForm(CALL));
  const [, token] = /url="wss:\/\/node-b\.example\.test\/twilio\/media\/([^"]+)"/.exec(text)!;
  t.match(new MediaTokens(KEY).check("twilio", token!, harness.clock.unixMs()), { callId: "call-there" });
  t.match(text, "https://calls.example.test/twilio/after/call-there.7<");
  t.match(text, "https://calls.example.test/twilio/stream-status");
  t.equal(slots(harness), 4);
});

void t.test(
  "a socket for a call that another node sent here waits for the claim, and gets in once",
  async (t) => {
    const harness = await start(t);
    const path = (callId: string): string =>
      `/twilio/media/${new MediaTokens(KEY).issue("twilio", callId, harness.clock.unixMs() + 10_000)}`;
    const { opened, open } = gate();
    const claimed: string[] = [];
    harness.delegate.onClaim = async (callId) => {
      claimed.push(callId);
      await opened;
      const admitted = harness.delegate.place(callId);
      return admitted.kind === "admitted" ? { admitted, carrierCallId: CALL } : null;
    };
    const there = path("call-there");
    const phone = harness.dial(there);
    while (claimed.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await t.rejects(harness.dial(there), "a second socket with its token, while the first waits");
    open();
    const socket = await phone;
    socket.start(CALL);
    await harness.delegate.event("opened", "call-there");
    const shard = harness.delegate.shards.get("call-there")!;
    socket.media(Buffer.alloc(160, 1));
    t.equal((await shard.audioBytes(160)).length, 160);
    await t.rejects(harness.dial(there), "the token is used up");
    t.equal(claimed.length, 1);

    harness.delegate.onClaim = () => Promise.resolve(null);
    await t.rejects(harness.dial(path("call-nobodys")));
    harness.delegate.onClaim = () => Promise.reject(new Error("the directory is away"));
    await t.rejects(harness.dial(path("call-unsure")));
    t.match(await harness.badInput(), { tokenReused: 2, tokenExpired: 2 });
  },
);

void t.test("a claim that comes too late, or whose socket has gone, gives its slot back", async (t) => {
  const harness = await start(t, { edge: { mediaTokenKey: KEY, admissionTimeoutMs: 1_000 } });
  const path = (callId: string): string =>
    `/twilio/media/${new MediaTokens(KEY).issue("twilio", callId, harness.clock.unixMs() + 10_000)}`;
  for (const how of ["late", "gone"]) {
    const { opened, open } = gate();
    const isAsked = gate();
    harness.delegate.onClaim = async (callId) => {
      isAsked.open();
      await opened;
      const admitted = harness.delegate.place(callId);
      return admitted.kind === "admitted" ? { admitted, carrierCallId: CALL } : null;
    };
    const dialled = harness.dial(path(`call-${how}`));
    const refused = t.rejects(dialled);
    await isAsked.opened;
    if (how === "late") harness.advance(1_000);
    else harness.hangUpPhones();
    await refused;
    while (harness.edge.connectionCount > 0) await new Promise((resolve) => setImmediate(resolve));
    open();
    await harness.delegate.event("expired", `call-${how}`);
    t.equal(slots(harness), 4, how);
  }
});

void t.test("a redirect may bring the call back over a new socket, with a new token", async (t) => {
  const harness = await start(t);
  const { callId, carrierCallId, mediaPath, phone } = await harness.call();
  const { opened, open } = gate();
  harness.delegate.after = opened.then((): AfterMedia => {
    const admission = harness.delegate.place(callId);
    return admission.kind === "refused" ? "hangUp" : { kind: "reconnect", admission };
  });
  const answer = harness.post(`/twilio/after/${callId}`, voiceForm(carrierCallId));
  t.match(
    await harness.delegate.event("ended", callId),
    { end: LegEnd.socketLost },
    "the old leg is taken for lost though its socket looks open",
  );
  await phone.closed;
  open();
  const { text } = await answer;
  t.match(text, `/twilio/after/${callId}`);
  const again = await harness.post(`/twilio/after/${callId}`, voiceForm(carrierCallId));
  t.equal(again.text, text, "a repeated redirect gets the same answer");
  t.not(pathOf(text), mediaPath);
  await t.rejects(harness.dial(mediaPath), "the old token opens nothing");
  const second = await harness.dial(pathOf(text));
  second.start(carrierCallId);
  await harness.delegate.condition.until(
    () => harness.delegate.events.filter((event) => event.kind === "opened").length === 2,
  );
});

void t.test("a redirect that is repeated while its answer is on its way shares it: one resume", async (t) => {
  for (const isFirstGone of [false, true]) {
    const harness = await start(t);
    const { delegate } = harness;
    const { callId, carrierCallId, phone } = await harness.call();
    const { opened, open } = gate();
    delegate.after = opened.then((): AfterMedia => {
      const admission = delegate.place(callId);
      return admission.kind === "refused" ? "hangUp" : { kind: "reconnect", admission };
    });
    const abort = new AbortController();
    const body = new URLSearchParams(voiceForm(carrierCallId)).toString();
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const post = (signal: AbortSignal | null = null) =>
      harness.request("POST", `/twilio/after/${callId}`, { body, headers, signal });
    const first = post(abort.signal).catch(() => null);
    await phone.closed;
    while (delegate.afterAsked.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const second = post();
    // What was sent before these has arrived when they were answered.
    for (let round = 0; round < 3; round += 1) await harness.request("GET", "/healthz/live");
    if (isFirstGone) {
      abort.abort();
      await first;
      await harness.request("GET", "/healthz/live");
    }
    open();
    const { text } = await second;
    t.match(text, `/twilio/after/${callId}`);
    t.equal((await first)?.text, isFirstGone ? undefined : text);
    t.same(delegate.afterAsked, [[callId, carrierCallId]]);
    t.equal(slots(harness), 3);
    t.equal((await harness.post(`/twilio/after/${callId}`, voiceForm(carrierCallId))).text, text);
    delegate.after = "hangUp";
    const other = await harness.post("/twilio/after/call-other", voiceForm(carrierCallId));
    t.match(other.text, "<Hangup/>", "what was asked of another call is answered for itself");
  }
});

/** The carrier gives up on an answer and asks again: by then the call may talk over its next media socket. */
void t.test("a redirect that comes again when the call is live again takes nothing from it", async (t) => {
  const harness = await start(t);
  const { delegate } = harness;
  const { callId, carrierCallId } = await harness.call();
  delegate.epoch = 2;
  const { opened: mayPlace, open } = gate();
  delegate.after = mayPlace.then((): AfterMedia => {
    const admission = delegate.place(callId);
    return admission.kind === "refused" ? "hangUp" : { kind: "reconnect", admission };
  });
  const asked = (epoch: number) => harness.post(`/twilio/after/${callId}.${epoch}`, voiceForm(carrierCallId));
  const answer = asked(1);
  await delegate.event("ended", callId); // its slot is free
  open();
  const { text } = await answer;
  t.match(text, `/twilio/after/${callId}.2<`);
  const second = await harness.dial(pathOf(text));
  second.start(carrierCallId);
  const opened = () => delegate.events.filter((event) => event.kind === "opened").length === 2;
  await delegate.condition.until(opened);
  delegate.after = { kind: "resumed", callId, epoch: 2 };
  const again = await asked(1);
  t.match(again.text, `/twilio/after/${callId}.2<`);
  t.not(pathOf(again.text), pathOf(text), "a token of its own, should the carrier mean it");
  t.equal(delegate.events.filter((event) => event.kind === "ended").length, 1, "the second leg lives on");
  second.media(Buffer.alloc(160, 1));
  t.equal((await delegate.shards.get(callId)!.audioBytes(160)).length, 160);
  await asked(2);
  t.equal(delegate.events.filter((event) => event.kind === "ended").length, 2, "its own redirect ends it");
  harness.advance(60_000);
  t.notOk(
    delegate.events.some((event) => event.kind === "expired"),
    "nobody waits for another socket",
  );
});

void t.test(
  "what is asked again after the wait was over gets the answer that comes, or an end",
  async (t) => {
    for (const comes of [true, false]) {
      const harness = await start(t, { edge: { afterMediaTimeoutMs: 1_000 } });
      const { opened, open } = gate();
      harness.delegate.after = opened.then((): AfterMedia => {
        const admission = harness.delegate.place("call-late");
        return admission.kind === "refused" ? "hangUp" : { kind: "reconnect", admission };
      });
      const post = () => harness.post("/twilio/after/call-late.1", voiceForm(CALL));
      const first = post();
      while (harness.delegate.afterAsked.length === 0) await new Promise((resolve) => setImmediate(resolve));
      harness.advance(1_000);
      t.match((await first).text, "<Hangup/>");
      const second = post();
      for (let round = 0; round < 3; round += 1) await harness.request("GET", "/healthz/live");
      if (comes) open();
      else harness.advance(1_000);
      t.match((await second).text, comes ? "/twilio/after/call-late.1<" : "<Hangup/>");
      t.equal(harness.delegate.afterAsked.length, 1, "one resume");
      open();
      if (!comes) await harness.delegate.event("expired", "call-late");
      t.equal(slots(harness), comes ? 3 : 4);
    }
  },
);

void t.test("a redirect nobody has an answer to is answered in bounded time", async (t) => {
  const harness = await start(t, { edge: { afterMediaTimeoutMs: 1_000 } });
  const { opened, open } = gate();
  harness.delegate.after = opened.then((): AfterMedia => {
    const admission = harness.delegate.place("call-late");
    return admission.kind === "refused" ? "hangUp" : { kind: "reconnect", admission };
  });
  const answer = harness.post("/twilio/after/call-late", voiceForm(CALL));
  while (harness.delegate.afterAsked.length === 0) await new Promise((resolve) => setImmediate(resolve));
  harness.advance(1_000);
  t.match((await answer).text, "<Hangup/>");
  open();
  await harness.delegate.event("expired", "call-late");
  t.equal(slots(harness), 4);
});

void t.test("media tokens outlive a change of keys; what is signed next is readable by all", async (t) => {
  const harness = await start(t);
  const before = await harness.ring();
  const shared = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  harness.edge.setMediaTokenKeys(shared);
  const after = await harness.ring();
  const token = after.mediaPath.split("/").at(-1)!;
  t.match(new MediaTokens(shared[0]!).check("twilio", token, harness.clock.unixMs()), { kind: "good" });
  for (const path of [before.mediaPath, after.mediaPath]) await harness.dial(path);
  t.pass("both open their sockets");
});

void t.test("either base may have been signed over", async (t) => {
  const carriers = [createTwilio({ authTokens: [] })];
  const good = { port: 0, adminPort: 0, carriers };
  t.throws(() => resolveEdgeOptions({ ...good, webhookUrl: "calls.example.com" }), {
    code: "SETTING_INVALID",
    message: /^webhookUrl must be/,
  });
  t.equal(resolveEdgeOptions({ ...good, webhookUrl: "https://c.example/" }).webhookUrl, "https://c.example");
});

/** A carrier's requests at the wire, good and bad. */
import { connect } from "node:net";
import { once } from "node:events";
import t from "tap";
import { createLogger } from "#runtime/telemetry";
import { joinParameters, sign } from "./carriers/signature.js";
import type { OverflowPolicy } from "./delegate.js";
import { Harness, voiceForm } from "./edge.fixture.js";

const TOKEN = "vector-token-0001";
const PUBLIC_URL = "https://edge.example.test";
const CALL = "CA00000000000000000000000000000099";

function signature(path: string, form: Record<string, string>, key = TOKEN): Record<string, string> {
  const joined = joinParameters(new URLSearchParams(form), "distinctSorted");
  return { "x-twilio-signature": sign(key, PUBLIC_URL + path + joined) };
}

void t.test("only what the carrier signed is answered, over the public URL and not the Host", async (t) => {
  const harness = await Harness.start({ authTokens: [TOKEN] });
  t.teardown(() => harness.stop());
  const form = voiceForm(CALL);
  const path = "/twilio/voice?tenant=t1";
  const good = await harness.post(path, form, signature(path, form));
  t.equal(good.status, 200);
  t.match(good.text, "<Connect>");
  for (const [headers, what] of [
    [{}, "none"],
    [{ "x-twilio-signature": "" }, "empty"],
    [signature(path, form, "other"), "another key"],
    [signature("/twilio/voice", form), "another query"],
    [signature(path, { ...form, To: "+1" }), "other parameters"],
  ] as [Record<string, string>, string][]) {
    const answer = await harness.post(path, form, headers);
    t.equal(answer.status, 403, what);
    t.match(JSON.parse(answer.text), { code: "EDGE_SIGNATURE_INVALID" }, what);
  }
  for (const other of ["/twilio/status", "/twilio/after/call-1", "/twilio/stream-status"]) {
    t.equal((await harness.post(other, form)).status, 403, other);
  }
  t.equal(harness.delegate.calls.length, 1, "the delegate hears of the good one alone");
  t.equal((await harness.badInput())["webhookSignature"], 8);
  const forwarded = await harness.post(path, form, {
    ...signature(path, form),
    "x-forwarded-for": "203.0.113.9",
  });
  t.equal(forwarded.status, 200, "a signed one may come through a proxy");
});

void t.test(
  "without a key, unsigned requests are taken from loopback, and not through a proxy on it",
  async (t) => {
    const lines: string[] = [];
    const log = createLogger({
      level: "warn",
      name: "node",
      destination: { write: (line) => void lines.push(line) },
    });
    const harness = await Harness.start({ log });
    t.teardown(() => harness.stop());
    t.equal(
      lines.filter((line) => line.includes("from loopback only")).length,
      2,
      "said once for each carrier",
    );
    t.equal((await harness.post("/twilio/voice", voiceForm(CALL))).status, 200);
    for (const header of ["x-forwarded-for", "forwarded", "x-real-ip", "via"]) {
      const answer = await harness.post("/twilio/voice", voiceForm(CALL), { [header]: "for=203.0.113.9" });
      t.equal(answer.status, 403, header);
      t.match(JSON.parse(answer.text), { message: /no key is configured for twilio/ });
    }
  },
);

void t.test("a wrong path, method, type, form or size gets a clear answer", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  const { phone, shard } = await harness.call();
  const form = voiceForm(CALL);
  const refused = async (
    status: number,
    message: RegExp,
    answer: Promise<{ status: number; text: string }>,
  ) => {
    const { status: actual, text } = await answer;
    t.equal(actual, status, String(message));
    t.match(JSON.parse(text), { code: "EDGE_REQUEST_INVALID", message });
  };
  await refused(404, /nothing at this path/, harness.post("/", form));
  await refused(404, /nothing at this path/, harness.post("/telnyx/voice", form));
  await refused(404, /nothing at this path/, harness.post("/twilio/voice/", form));
  await refused(404, /nothing at this path/, harness.request("GET", "/healthz/live"));
  await refused(405, /takes POST/, harness.request("GET", "/twilio/voice"));
  await refused(405, /takes POST/, harness.request("DELETE", "/twilio/after/call-1"));
  await refused(426, /takes a WebSocket upgrade/, harness.request("GET", "/twilio/media/some.thing"));
  await refused(
    415,
    /URL-encoded form/,
    harness.post("/twilio/voice", "{}", { "content-type": "application/json" }),
  );
  const { CallSid, To, ...rest } = form;
  await refused(400, /missing or malformed/, harness.post("/twilio/voice", ""));
  await refused(400, /missing or malformed/, harness.post("/twilio/voice", { ...rest, To: To! }));
  await refused(400, /missing or malformed/, harness.post("/twilio/voice", { ...rest, CallSid: CallSid! }));
  await refused(400, /missing or malformed/, harness.post("/twilio/voice", { ...form, CallSid: "x/y" }));
  await refused(400, /missing or malformed/, harness.post("/twilio/status", { CallSid: CALL }));
  await refused(400, /missing or malformed/, harness.post("/twilio/stream-status", { CallSid: CALL }));
  await refused(413, /larger than 65536 bytes/, harness.post("/twilio/voice", `a=${"x".repeat(70_000)}`));
  t.equal(harness.delegate.calls.length, 1);

  phone.media(Buffer.alloc(160, 1));
  t.equal((await shard.audioBytes(160)).length, 160, "a call going on heard nothing of it");
});

void t.test("a body that is not what its length says, or not UTF-8, harms nobody", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  const socket = connect(harness.port, "127.0.0.1");
  await once(socket, "connect");
  socket.write("POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nCallSid=CA1");
  socket.destroy();
  const chaos = Buffer.from([
    0x43, 0x61, 0x6c, 0x6c, 0x53, 0x69, 0x64, 0x3d, 0xff, 0xfe, 0x25, 0x46, 0x46, 0x26,
  ]);
  const answer = await harness.request("POST", "/twilio/voice", {
    body: chaos,
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
  t.equal(answer.status, 400);
  t.equal((await harness.post("/twilio/voice", voiceForm(CALL))).status, 200);
});

void t.test(
  "each refusal gets the tenant's overflow as markup, with 200, from each carrier, counted by its reason",
  async (t) => {
    const harness = await Harness.start();
    t.teardown(() => harness.stop());
    const message = { kind: "message", text: "All lines are busy.", language: "en-GB" } as const;
    const audioUrl = "https://edge.example.test/overflow/n4me.wav";
    const cases: [OverflowPolicy, string][] = [
      [{ kind: "busy" }, '<Reject reason="busy"/>'],
      [{ ...message, audioUrl: null }, '<Say language="en-GB">All lines are busy.</Say><Hangup/>'],
      [{ ...message, audioUrl }, `<Play>${audioUrl}</Play><Hangup/>`],
      [{ kind: "forward", number: "+12025550100" }, "<Dial>+12025550100</Dial>"],
      [{ kind: "queue", name: "desk" }, "<Enqueue>desk</Enqueue>"],
    ];
    const reasons = ["noSlot", "draining", "tenantCap", "pressure", "unknownNumber", "internal"] as const;
    let callCount = 0;
    for (const carrier of ["twilio", "signalwire"]) {
      for (const reason of reasons) {
        for (const [overflow, markup] of cases) {
          harness.delegate.refuseWith = { kind: "refused", reason, overflow };
          const answer = await harness.post(`/${carrier}/voice`, voiceForm(`${CALL}${callCount++}`));
          t.equal(answer.status, 200);
          t.match(answer.contentType, "text/xml");
          t.ok(
            answer.text.endsWith(`<Response>${markup}</Response>`),
            `${carrier}, ${reason}: ${answer.text}`,
          );
        }
      }
    }
    const { values } = await harness.metrics.admissionRefusals.get();
    t.strictSame(
      values.map(({ labels, value }) => [labels.reason, value]),
      reasons.map((reason) => [reason, 2 * cases.length]),
    );
    t.equal(harness.delegate.freeSlotCount, 4);
  },
);

void t.test("a full house says busy, and a call that ends makes room", async (t) => {
  const harness = await Harness.start({ slotCount: 1 });
  t.teardown(() => harness.stop());
  const { phone, callId } = await harness.call();
  t.match((await harness.post("/twilio/voice", voiceForm(CALL))).text, '<Reject reason="busy"/>');
  phone.stop();
  await harness.delegate.event("ended", callId);
  t.match((await harness.post("/twilio/voice", voiceForm(CALL))).text, "<Connect>");
});

void t.test(
  "while draining new calls get an overflow; admitted ones still connect, and live ones go on",
  async (t) => {
    const harness = await Harness.start();
    t.teardown(() => harness.stop());
    const live = await harness.call();
    const admitted = await harness.ring();
    harness.edge.beginDrain();
    t.match((await harness.post("/twilio/voice", voiceForm(CALL))).text, '<Reject reason="busy"/>');
    t.equal(harness.delegate.events.filter(({ kind }) => kind === "expired").length, 1, "its slot came back");
    t.equal((await harness.admin("/healthz/ready")).status, 503);

    const phone = await harness.dial(admitted.mediaPath);
    phone.start(admitted.carrierCallId);
    await harness.delegate.event("opened", admitted.callId);
    live.phone.media(Buffer.alloc(160, 1));
    await live.shard.audioBytes(160);
  },
);

void t.test("a delegate that throws costs its caller a busy signal, and nobody else anything", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  const { delegate } = harness;
  const admit = delegate.admit.bind(delegate);
  delegate.admit = () => {
    throw new Error("no tenants loaded");
  };
  t.match((await harness.post("/twilio/voice", voiceForm(CALL))).text, '<Reject reason="busy"/>');
  delegate.admit = admit;
  delegate.afterMedia = () => {
    throw new Error("no journal");
  };
  t.match((await harness.post("/twilio/after/call-1", voiceForm(CALL))).text, "<Hangup/>");
  t.match((await harness.post("/twilio/voice", voiceForm(CALL))).text, "<Connect>");
});

void t.test("a webhook that the carrier repeats is the same call, also by another token", async (t) => {
  const harness = await Harness.start({ slotCount: 1 });
  t.teardown(() => harness.stop());
  const first = await harness.post("/twilio/voice", voiceForm(CALL));
  const second = await harness.post("/twilio/voice", voiceForm(CALL));
  t.equal(second.text, first.text);
  t.equal(harness.delegate.calls.length, 1);
  harness.advance(29_999);
  t.match((await harness.post("/twilio/voice", voiceForm(CALL))).text, "<Connect>");
  harness.advance(1);
  t.strictSame(harness.delegate.events, [{ kind: "expired", callId: "call-1" }]);
  t.match((await harness.post("/twilio/voice", voiceForm(CALL))).text, "/after/call-2.1<");
});

void t.test("status callbacks are accepted; a final one frees a call whose socket never came", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  const { carrierCallId, callId } = await harness.ring();
  const status = (CallStatus: string) =>
    harness.post("/twilio/status", { CallSid: carrierCallId, CallStatus });
  t.equal((await status("ringing")).status, 204);
  t.equal(harness.delegate.events.length, 0);
  t.equal((await status("completed")).status, 204);
  t.strictSame(harness.delegate.events, [
    { kind: "carrierEnded", callId: carrierCallId },
    { kind: "expired", callId },
  ]);
  t.equal((await status("completed")).status, 204, "nothing is left to free");

  const live = await harness.call();
  await harness.post("/twilio/status", { CallSid: live.carrierCallId, CallStatus: "completed" });
  live.phone.media(Buffer.alloc(160, 1));
  await live.shard.audioBytes(160);
  const stream = {
    CallSid: live.carrierCallId,
    StreamSid: "MZ1",
    StreamEvent: "stream-error",
    StreamError: "31924",
  };
  t.equal((await harness.post("/twilio/stream-status", stream)).status, 204);
});

void t.test("the reference in the after-URL is passed on only when it can be ours", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  for (const ref of ["call-9", "x".repeat(200), "a%20b", "a.b"]) {
    await harness.post(`/twilio/after/${ref}`, voiceForm(CALL));
  }
  t.strictSame(
    harness.delegate.afterAsked.map(([callId]) => callId),
    ["call-9", undefined, undefined, undefined],
  );
});

/** A call at the wire, when everybody behaves. */
import t from "tap";
import { LegEnd, RecordKind } from "#runtime/media";
import { Harness, voiceForm } from "./edge.fixture.js";

/** 20 ms that can be told from all others. */
function frame(fill: number): Buffer {
  return Buffer.alloc(160, fill);
}

void t.test(
  "a webhook is answered with markup that opens our media socket and then comes back to us",
  async (t) => {
    const harness = await Harness.start();
    t.teardown(() => harness.stop());
    const answer = await harness.post("/twilio/voice", voiceForm("CA00000000000000000000000000000007"));
    t.equal(answer.status, 200);
    t.match(answer.contentType, /^text\/xml/);
    const base = "//edge\\.example\\.test/twilio";
    t.match(
      answer.text,
      new RegExp(
        `^<\\?xml version="1.0" encoding="UTF-8"\\?><Response><Connect><Stream url="wss:${base}/media/[\\w.-]+"` +
          ` statusCallback="https:${base}/stream-status"/></Connect>` +
          `<Redirect method="POST">https:${base}/after/call-1\\.1</Redirect></Response>$`,
      ),
    );
    t.match(harness.delegate.calls[0], {
      carrier: "twilio",
      carrierCallId: "CA00000000000000000000000000000007",
      accountId: "AC00000000000000000000000000000001",
      callStatus: "ringing",
      direction: "inbound",
      pii: { from: "+15550100001", to: "+15550100002" },
      receivedAtMs: harness.clock.nowMs(),
    });
  },
);

void t.test("audio, digits and the stop reach the shard in the order they were sent", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  const { phone, shard, callId } = await harness.call();
  t.match(await harness.delegate.event("opened", callId), {
    format: { encoding: "mulaw", sampleRateHz: 8000 },
    customParameters: { session: "s-1" },
    openedAtMs: harness.clock.nowMs(),
  });
  phone.media(frame(1));
  phone.send({ event: "dtmf", streamSid: phone.streamSid, dtmf: { track: "inbound_track", digit: "5" } });
  phone.media(frame(2));
  phone.stop();
  t.match(await harness.delegate.event("ended", callId), { end: LegEnd.stopped });
  t.strictSame(
    shard.records.map(({ kind, bytes }) => [kind, bytes.length, bytes[0]]),
    [
      [RecordKind.audio, 160, 1],
      [RecordKind.dtmf, 1, "5".charCodeAt(0)],
      [RecordKind.audio, 160, 2],
      [RecordKind.legEnded, 1, LegEnd.stopped],
    ],
  );
  t.equal(harness.delegate.freeSlotCount, 4);
});

void t.test(
  "what the shard says reaches the carrier, with its marks, and their echoes come back",
  async (t) => {
    const harness = await Harness.start();
    t.teardown(() => harness.stop());
    const { phone, shard } = await harness.call();
    shard.event(RecordKind.cue, 77);
    shard.say(frame(3));
    shard.event(RecordKind.mark, 12);
    const [mark] = await phone.count("mark", 1);
    t.strictSame(
      phone.received,
      [
        { event: "media", streamSid: phone.streamSid, media: { payload: frame(3).toString("base64") } },
        { event: "mark", streamSid: phone.streamSid, mark: { name: "0.12" } },
      ],
      "exactly these fields, in this order",
    );
    const [cue] = await shard.count(RecordKind.cueSent, 1);
    t.equal(cue!.bytes.readUInt32LE(0), 77);
    t.equal(cue!.timestampMs, harness.clock.nowMs());
    phone.echoMark(mark!.mark!.name);
    const [echo] = await shard.count(RecordKind.markEchoed, 1);
    t.equal(echo!.bytes.readUInt32LE(0), 12);
  },
);

void t.test(
  "hanging up closes the socket, and the redirect that follows gets the delegate's answer",
  async (t) => {
    const harness = await Harness.start();
    t.teardown(() => harness.stop());
    const { phone, shard, callId, carrierCallId } = await harness.call();
    harness.edge.hangUp(callId);
    t.match(await phone.closed, { code: 1000 });
    t.match(await harness.delegate.event("ended", callId), { end: LegEnd.hungUp });
    t.equal(shard.of(RecordKind.legEnded)[0]!.bytes[0], LegEnd.hungUp);
    harness.edge.hangUp(callId);
    t.equal(harness.delegate.events.length, 2, "a second hang-up finds nothing");

    const hangUp = await harness.post(`/twilio/after/${callId}`, voiceForm(carrierCallId));
    t.match(hangUp.text, /<Response><Hangup\/><\/Response>$/);
    harness.delegate.after = { kind: "say", text: 'Bye & "thanks" <3', language: "en-US" };
    const say = await harness.post(`/twilio/after/${callId}`, voiceForm(carrierCallId));
    t.match(
      say.text,
      /<Say language="en-US">Bye &amp; &quot;thanks&quot; &lt;3<\/Say><Hangup\/><\/Response>$/,
    );
    t.strictSame(harness.delegate.afterAsked[0], [callId, carrierCallId]);
  },
);

/** Media sockets at the wire: who gets in, and what bad input costs whom. A healthy call runs beside each. */
import { request } from "node:http";
import { randomBytes } from "node:crypto";
import t, { type Test } from "tap";
import { LegEnd, RecordKind } from "#runtime/media";
import { sign } from "./carriers/signature.js";
import { Harness, type HarnessOptions, type LiveCall } from "./edge.fixture.js";
import { MediaTokens } from "./media-token.js";
import { TWILIO_FORMAT } from "./phone.fixture.js";

const TOKEN = "vector-token-0001";
const KEY = Buffer.alloc(32, 7);
const FRAME = Buffer.alloc(160, 1);

/** A test beside a call that must not notice it; that is checked at the end. */
function beside(
  name: string,
  body: (t: Test, harness: Harness) => Promise<void>,
  options: HarnessOptions = {},
): void {
  void t.test(name, async (t) => {
    const harness = await Harness.start(options);
    t.teardown(() => harness.stop());
    const healthy = await harness.call();
    await body(t, harness);
    await checkHealthy(t, healthy);
  });
}

async function checkHealthy(t: Test, { phone, shard }: LiveCall): Promise<void> {
  const before = shard.audio().length;
  phone.media(Buffer.alloc(160, 42));
  const audio = await shard.audioBytes(before + 160);
  t.equal(audio.length, before + 160, "the healthy call heard its own frame and nothing else");
  t.equal(audio.at(-1), 42);
  const sentBefore = phone.audio().length;
  shard.say(Buffer.alloc(160, 43));
  t.equal((await phone.audioBytes(sentBefore + 160)).at(-1), 43, "and is heard");
}

/** An upgrade that is expected to be refused: its status and error. */
function upgrade(
  harness: Harness,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; code?: string; message?: string; protocol?: string | undefined }> {
  return new Promise((resolve, reject) => {
    const req = request({
      host: "127.0.0.1",
      port: harness.port,
      path,
      headers: {
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
        ...headers,
      },
    });
    req.on("upgrade", (res, socket) => {
      socket.destroy();
      resolve({ status: res.statusCode ?? 0, protocol: res.headers["sec-websocket-protocol"] });
    });
    req.on("response", (res) => {
      let text = "";
      res.on("data", (chunk: Buffer) => (text += chunk.toString()));
      res.on("end", () => resolve({ status: res.statusCode ?? 0, ...(JSON.parse(text) as object) }));
    });
    req.on("error", reject);
    req.end();
  });
}

beside(
  "a token that is forged, expired, another carrier's or used before is refused, each by name",
  async (t, harness) => {
    const { mediaPath, callId, carrierCallId } = await harness.ring();
    const tokens = new MediaTokens(KEY);
    const forged = tokens.issue("twilio", callId, 0).replace(/.$/, (last) => (last === "A" ? "B" : "A"));
    t.match(await upgrade(harness, `/twilio/media/${forged}`), {
      status: 403,
      code: "MEDIA_TOKEN_INVALID",
      message: /not one of ours/,
    });
    const old = tokens.issue("twilio", callId, harness.clock.unixMs());
    t.match(await upgrade(harness, `/twilio/media/${old}`), { status: 403, message: /expired/ });
    t.match(await upgrade(harness, mediaPath.replace("twilio", "signalwire")), {
      status: 403,
      message: /not one of ours/,
    });
    const unknown = tokens.issue("twilio", "call-999", harness.clock.unixMs() + 10_000);
    t.match(await upgrade(harness, `/twilio/media/${unknown}`), { status: 403, message: /expired/ });

    const phone = await harness.dial(mediaPath);
    t.match(
      await upgrade(harness, mediaPath),
      { status: 403, message: /used before/ },
      "while the call lives",
    );
    phone.start(carrierCallId);
    await harness.delegate.event("opened", callId);
    phone.stop();
    await harness.delegate.event("ended", callId);
    t.match(await upgrade(harness, mediaPath), { status: 403, message: /used before/ }, "and afterwards");
    t.match(await harness.badInput(), { tokenForged: 2, tokenExpired: 2, tokenReused: 2 });
  },
  { edge: { mediaTokenKey: KEY } },
);

beside(
  "a token runs out, and the slot is free again",
  async (t, harness) => {
    const { mediaPath, callId } = await harness.ring();
    harness.advance(5_000);
    t.match(await harness.delegate.event("expired", callId), { kind: "expired" });
    t.match(await upgrade(harness, mediaPath), { status: 403, message: /expired/ });
    t.equal(harness.delegate.freeSlotCount, 3);
  },
  { edge: { mediaTokenTtlMs: 5_000 } },
);

void t.test(
  "Twilio's upgrade must be signed over the wss URL; a refused one does not use the token up",
  async (t) => {
    const harness = await Harness.start({ authTokens: [TOKEN], signingKeys: ["sw-key"] });
    t.teardown(() => harness.stop());
    const sidedoor = new MediaTokens(KEY);
    const admitted = await harness.delegate.admit({
      carrier: "twilio",
      carrierCallId: "CA1",
      accountId: "AC1",
      callStatus: "ringing",
      direction: "inbound",
      pii: { from: "+1", to: "+2" },
      receivedAtMs: 0,
    });
    t.equal(admitted.kind, "admitted");
    const form = new URLSearchParams({ CallSid: "CA00000000000000000000000000000001", To: "+15550100002" });
    const text = [...form].map(([name, value]) => name + value).join("");
    const answer = await harness.request("POST", "/twilio/voice", {
      body: form.toString(),
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        "x-twilio-signature": sign(TOKEN, `https://edge.example.test/twilio/voice${text}`),
      },
    });
    const path = /url="wss:\/\/edge\.example\.test([^"]+)"/.exec(answer.text)![1]!;
    const url = `wss://edge.example.test${path}`;
    for (const signature of ["", "wrong", sign("other", url), sign(TOKEN, url.replace("wss", "https"))]) {
      t.match(await upgrade(harness, path, { "x-twilio-signature": signature }), {
        status: 403,
        code: "EDGE_SIGNATURE_INVALID",
      });
    }
    t.match(
      await upgrade(harness, `/twilio/media/${sidedoor.issue("twilio", "x", 9e12)}`, {
        "x-twilio-signature": "",
      }),
      { code: "EDGE_SIGNATURE_INVALID" },
      "an unsigned upgrade learns nothing about tokens",
    );
    const opened = await upgrade(harness, path, {
      "x-twilio-signature": sign(TOKEN, url),
      "Sec-WebSocket-Protocol": "other, audio.twilio.com",
      "x-forwarded-for": "203.0.113.9",
    });
    t.match(
      opened,
      { status: 101, protocol: "audio.twilio.com" },
      "and the subprotocol is echoed when offered",
    );
  },
);

void t.test(
  "no subprotocol is answered that was not offered; SignalWire needs its token alone",
  async (t) => {
    const harness = await Harness.start({ signingKeys: ["sw-key"] });
    t.teardown(() => harness.stop());
    const { mediaPath } = await harness.ring();
    t.match(await upgrade(harness, mediaPath, { "Sec-WebSocket-Protocol": "other" }), {
      status: 101,
      protocol: undefined,
    });
    const second = await harness.ring();
    t.match(await upgrade(harness, second.mediaPath, { "x-forwarded-for": "203.0.113.9" }), {
      status: 403,
      message: /from loopback only/,
    });
    const signalwire = await Harness.start({ signingKeys: ["sw-key"] });
    t.teardown(() => signalwire.stop());
    const form = new URLSearchParams({ CallSid: "5f3b2a10-0000-4000-8000-000000000001", To: "+15550100002" });
    const text = [...form].map(([name, value]) => name + value).join("");
    const answer = await signalwire.request("POST", "/signalwire/voice", {
      body: form.toString(),
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        "x-signalwire-signature": sign("sw-key", `https://edge.example.test/signalwire/voice${text}`),
      },
    });
    const path = /url="wss:\/\/edge\.example\.test([^"]+)"/.exec(answer.text)![1]!;
    t.match(await upgrade(signalwire, path, { "x-forwarded-for": "203.0.113.9" }), { status: 101 });
  },
);

void t.test(
  "SignalWire's messages: no streamSid on top, µ-law or linear audio, digits with a duration",
  async (t) => {
    const harness = await Harness.start({ codec: "L16@16000h" });
    t.teardown(() => harness.stop());
    const { phone, shard, callId } = await harness.call("signalwire", {
      encoding: "audio/x-L16",
      sampleRate: 16_000,
      channels: 1,
    });
    t.match(await harness.delegate.event("opened", callId), {
      format: { encoding: "l16le", sampleRateHz: 16_000 },
    });
    const frame = randomBytes(640);
    phone.send({
      event: "media",
      sequenceNumber: "2",
      media: { track: "inbound", chunk: "1", timestamp: "0", payload: frame.toString("base64") },
    });
    phone.send({ event: "dtmf", sequenceNumber: "3", dtmf: { digit: "A", duration: 2000 } });
    t.ok((await shard.audioBytes(640)).equals(frame), "whole, in records of 160");
    t.equal((await shard.count(RecordKind.dtmf, 1))[0]!.bytes.toString(), "A");
    shard.say(frame);
    t.ok((await phone.audioBytes(640)).equals(frame));
    phone.send({ event: "stop", sequenceNumber: "9" });
    await harness.delegate.event("ended", callId);
  },
);

beside("frames that make no sense are counted and ignored, and the call goes on", async (t, harness) => {
  const { phone, shard, callId, carrierCallId } = await harness.call();
  phone.media(FRAME);
  for (const bad of [
    "hello",
    "{",
    "[]",
    '{"event":"media"}',
    '{"event":"media","media":{"track":"inbound","chunk":"9","timestamp":"180","payload":"@@@@"}}',
    '{"event":"media","media":{"track":"outbound","chunk":"9","timestamp":"180","payload":"AAAA"}}',
    '{"event":"dtmf","dtmf":{"digit":"Z"}}',
    '{"event":"mark","mark":{"name":"somebody else\'s"}}',
    '{"event":"newThing","newThing":{}}',
  ]) {
    phone.send(bad);
  }
  phone.socket.send(FRAME, { binary: true });
  phone.send({ event: "connected", protocol: "Call", version: "1.0.0" });
  phone.sendStart(carrierCallId);
  phone.media(FRAME);
  await phone.settled();
  t.equal(shard.audio().length, 320, "the two good frames and nothing else");
  t.strictSame(await harness.badInput(), {
    notJson: 3,
    badMedia: 1,
    badBase64: 1,
    wrongTrack: 1,
    badDtmf: 1,
    markNotOurs: 1,
    unknownEvent: 1,
    binaryFrame: 1,
    connectedTwice: 1,
    startTwice: 1,
  });
  t.equal(harness.delegate.events.filter((event) => event.callId === callId).length, 1);
});

beside("too many of them end the call with a close code that says why", async (t, harness) => {
  const { phone, shard, callId } = await harness.call();
  for (let count = 0; count < 70; count++) phone.send("nonsense");
  t.match(await phone.closed, { code: 1008, reason: "too many bad messages" });
  t.match(await harness.delegate.event("ended", callId), { end: LegEnd.evicted });
  t.equal(shard.of(RecordKind.legEnded)[0]!.bytes[0], LegEnd.evicted);
});

beside(
  "audio, digits and marks before start are ignored, and start still opens the call",
  async (t, harness) => {
    const { mediaPath, callId, carrierCallId } = await harness.ring();
    const phone = await harness.dial(mediaPath);
    phone.media(FRAME);
    phone.send({ event: "dtmf", dtmf: { digit: "1" } });
    phone.echoMark("0.1");
    phone.sendStart(carrierCallId);
    await harness.delegate.event("opened", callId);
    phone.media(FRAME, { chunk: 2 });
    const shard = harness.delegate.shards.get(callId)!;
    await shard.audioBytes(160);
    t.equal(shard.records.length, 1);
    t.match(await harness.badInput(), { beforeStart: 3 });
  },
);

beside(
  "a second start of another stream, or the start of another call, closes the socket",
  async (t, harness) => {
    const { phone, callId, carrierCallId } = await harness.call();
    phone.sendStart(carrierCallId, TWILIO_FORMAT, "MZ00000000000000000000000000000002");
    t.match(await phone.closed, { code: 1008, reason: "a second start" });
    t.match(await harness.delegate.event("ended", callId), { end: LegEnd.evicted });

    const other = await harness.ring();
    const thief = await harness.dial(other.mediaPath);
    thief.start("CA99999999999999999999999999999999");
    t.match(await thief.closed, { code: 1008, reason: "start of another call" });
    t.match(await harness.delegate.event("expired", other.callId), {}, "it was never opened");
    t.match(await harness.badInput(), { startTwice: 1, startWrongCall: 1 });
  },
);

beside("a start we cannot serve does not open the call", async (t, harness) => {
  const { mediaPath, callId, carrierCallId } = await harness.ring();
  const phone = await harness.dial(mediaPath);
  phone.start(carrierCallId, { encoding: "audio/opus", sampleRate: 48_000, channels: 2 });
  await phone.settled();
  t.match(await harness.badInput(), { badFormat: 1 });
  harness.advance(6_000);
  t.match(await phone.closed, { code: 1008, reason: "no start message" });
  await harness.delegate.event("expired", callId);
});

beside(
  "a frame too large closes with 1009; far too large, not UTF-8 or not framed, without a word",
  async (t, harness) => {
    const large = await harness.call();
    large.phone.send(`{"event":"media","x":"${"y".repeat(40_000)}"}`);
    t.match(await large.phone.closed, { code: 1009, reason: "message too big" });
    t.match(await harness.delegate.event("ended", large.callId), { end: LegEnd.evicted });

    const raw = (live: LiveCall, bytes: Uint8Array): void => {
      (live.phone.socket as unknown as { _socket: { write(bytes: Uint8Array): void } })._socket.write(bytes);
    };
    const broken: [string, (live: LiveCall) => void][] = [
      ["far too large", (live) => live.phone.send("z".repeat(200_000))],
      ["not UTF-8", (live) => raw(live, Buffer.from([0x81, 0x84, 0, 0, 0, 0, 0xff, 0xfe, 0xc3, 0x28]))],
      ["a fragmented control frame", (live) => raw(live, Buffer.from([0x09, 0x80, 0, 0, 0, 0]))],
      ["reserved bits", (live) => raw(live, Buffer.from([0xf1, 0x80, 0, 0, 0, 0]))],
    ];
    for (const [what, send] of broken) {
      const live = await harness.call();
      send(live);
      t.match(await live.phone.closed, { code: 1006 }, what);
      t.match(await harness.delegate.event("ended", live.callId), { end: LegEnd.evicted }, what);
    }
    t.match(await harness.badInput(), { frameTooBig: 1, frameBroken: broken.length });
  },
);

beside("a socket that closes without stop is told apart from a hang-up", async (t, harness) => {
  for (const close of [
    (live: LiveCall) => live.phone.destroy(),
    (live: LiveCall) => live.phone.socket.close(1000),
  ]) {
    const live = await harness.call();
    close(live);
    t.match(await harness.delegate.event("ended", live.callId), { end: LegEnd.socketLost });
    t.equal(live.shard.of(RecordKind.legEnded)[0]!.bytes[0], LegEnd.socketLost);
  }
  const { mediaPath, callId } = await harness.ring();
  (await harness.dial(mediaPath)).destroy();
  t.match(await harness.delegate.event("expired", callId), {}, "before start it never was a call");
});

beside("what comes after stop is not the call's, and a socket left open is closed", async (t, harness) => {
  const { phone, shard, callId } = await harness.call();
  phone.stop();
  await harness.delegate.event("ended", callId);
  phone.media(FRAME);
  phone.stop();
  await phone.settled();
  t.strictSame(
    shard.records.map(({ kind }) => kind),
    [RecordKind.legEnded],
  );
  harness.advance(4_000);
  t.match(await phone.closed, { code: 1000 });
  t.equal(harness.delegate.events.filter((event) => event.callId === callId).length, 2);
});

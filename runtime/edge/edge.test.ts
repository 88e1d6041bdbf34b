/** The edge as a whole: limits, endings, and legs that misbehave as clients rather than as carriers. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import t from "tap";
import { LegEnd, RecordKind } from "#runtime/media";
import { StallingClock } from "../actor/stalling-clock.fixture.js";
import { createTwilio } from "./carriers/twilio.js";
import { Harness, type LiveCall, voiceForm } from "./edge.fixture.js";
import { ADMIN_SOCKETS_MAX } from "./edge.js";
import { resolveEdgeOptions } from "./options.js";
import type { Phone } from "./phone.fixture.js";

const FRAME = Buffer.alloc(160, 1);
const CALL = "CA00000000000000000000000000000099";

/** The phone's TCP socket: to stop reading, which ws does not offer. */
function tcpOf(phone: Phone): Socket {
  return (phone.socket as unknown as { _socket: Socket })._socket;
}

async function hearsAndSpeaks({ phone, shard }: LiveCall): Promise<boolean> {
  const [heard, said] = [phone.audio().length, shard.audio().length];
  phone.media(FRAME);
  await shard.audioBytes(said + FRAME.length);
  shard.say(FRAME);
  await phone.audioBytes(heard + FRAME.length);
  return true;
}

void t.test(
  "barge-in: clear leaves at once, its mark echoes are not passed on, and the new reply is",
  async (t) => {
    const harness = await Harness.start();
    t.teardown(() => harness.stop());
    const { phone, shard } = await harness.call();
    shard.say(Buffer.alloc(800, 1));
    shard.event(RecordKind.mark, 1);
    const [mark] = await phone.count("mark", 1);
    phone.echoMark(mark!.mark!.name);
    await shard.count(RecordKind.markEchoed, 1);
    shard.say(Buffer.alloc(4_000, 2));
    shard.event(RecordKind.mark, 2);
    harness.advance(250);
    t.equal((await phone.count("mark", 1)).length, 1, "the second mark is still behind audio not yet due");
    const cutAtMs = harness.clock.nowMs();
    const epoch = shard.bumpEpoch();
    await phone.count("clear", 1);
    const [cleared] = await shard.count(RecordKind.cleared, 1);
    t.equal(cleared!.bytes.readUInt32LE(0), epoch);
    t.equal(cleared!.timestampMs, cutAtMs);
    // What the carrier does on clear: it gives all outstanding marks back.
    phone.echoMark("0.2");
    shard.say(Buffer.alloc(160, 3));
    shard.event(RecordKind.mark, 3);
    await phone.count("mark", 2);
    phone.echoMark("1.3");
    await shard.count(RecordKind.markEchoed, 2);
    const echoed = shard.of(RecordKind.markEchoed).map(({ bytes }) => bytes.readUInt32LE(0));
    t.strictSame(echoed, [1, 3]);
    const order = phone.received.map(({ event, media, mark }) =>
      event === "media" ? Buffer.from(media!.payload, "base64")[0] : (mark?.name ?? event),
    );
    t.strictSame(order.slice(order.indexOf("clear")), ["clear", 3, "1.3"]);
  },
);

void t.test("a reply of three seconds goes out in some thirty messages, paced by the clock", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  const { phone, shard } = await harness.call();
  const reply = Buffer.from(Array.from({ length: 16_000 }, (_, index) => (index / 160) & 0xff));
  shard.say(reply);
  await phone.count("media", 2);
  await phone.settled();
  t.equal(phone.audio().length, 1_600, "200 ms ahead and no more, while time stands still");
  harness.advance(1_000);
  await phone.audioBytes(9_600);
  await phone.settled();
  t.equal(phone.audio().length, 9_600);
  harness.advance(2_000);
  t.ok((await phone.audioBytes(16_000)).equals(reply));
  t.equal(phone.of("media").length, 20);
  t.equal(harness.metrics.edgePacingErrorMs.count, 18);
  t.ok(harness.metrics.edgePacingErrorMs.max < 1e-6, "virtual timers are never late");
});

void t.test("the actor may speak before the socket has come", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  const { mediaPath, carrierCallId, callId } = await harness.ring();
  harness.delegate.shards.get(callId)!.say(FRAME);
  const phone = await harness.dial(mediaPath);
  phone.start(carrierCallId);
  t.equal((await phone.audioBytes(160)).length, 160);
});

void t.test("a call that lost its shard hears the apology to its end; its slot is left alone", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  const { phone, shard, callId } = await harness.call();
  shard.say(Buffer.alloc(4_000, 1));
  await phone.count("media", 1);
  const apology = Buffer.alloc(4_800, 9);
  harness.edge.playAndClose(callId, apology);
  // Whoever gets the slot next must not be heard here, nor hear what is said here.
  shard.say(Buffer.alloc(800, 5));
  shard.bumpEpoch();
  phone.media(FRAME);
  phone.send({ event: "dtmf", dtmf: { digit: "1" } });
  harness.advance(600);
  const marks = await phone.count("mark", 1);
  const afterClear = phone.received.slice(phone.received.findIndex(({ event }) => event === "clear"));
  const heard = Buffer.concat(
    afterClear.flatMap(({ media }) => (media === undefined ? [] : [Buffer.from(media.payload, "base64")])),
  );
  t.ok(heard.equals(apology), "after the clear nothing but the apology");
  t.equal(harness.delegate.events.length, 1, "not ended before it was heard");
  phone.echoMark(marks[0]!.mark!.name);
  t.match(await phone.closed, { code: 1000 });
  t.match(await harness.delegate.event("ended", callId), { end: LegEnd.hungUp });
  t.strictSame(shard.records, [], "nothing was written to the slot");
});

void t.test("a carrier that does not echo the apology's mark is closed all the same", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  const { phone, callId } = await harness.call();
  harness.edge.playAndClose(callId, Buffer.alloc(8_000, 9));
  harness.advance(2_900);
  await phone.settled();
  t.equal(harness.delegate.events.length, 1);
  harness.advance(2_000);
  t.match(await phone.closed, { code: 1000 });
});

void t.test("playAndClose before the socket or its start came ends the call at once", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  const waiting = await harness.ring();
  harness.edge.playAndClose(waiting.callId, FRAME);
  t.strictSame(harness.delegate.events, [{ kind: "expired", callId: waiting.callId }]);
  const { mediaPath, callId } = await harness.ring();
  const phone = await harness.dial(mediaPath);
  harness.edge.playAndClose(callId, FRAME);
  t.match(await phone.closed, { code: 1000 });
  t.match(harness.delegate.events[1], { kind: "expired", callId });
  t.equal(harness.delegate.freeSlotCount, 4);
});

void t.test(
  "a client that never reads is closed at the bound, and its neighbour hears everything",
  async (t) => {
    const harness = await Harness.start({ codec: "L16@24000h" });
    t.teardown(() => harness.stop());
    const healthy = await harness.call();
    const deaf = await harness.call("signalwire", {
      encoding: "audio/x-L16",
      sampleRate: 24_000,
      channels: 1,
    });
    tcpOf(deaf.phone).pause();
    // 400 ms of linear audio at a time: the kernel's own buffers take some megabytes first.
    const piece = Buffer.alloc(400 * 48, 7);
    const isEvicted = (): boolean => deaf.shard.of(RecordKind.legEnded).length > 0;
    for (let turn = 1; turn <= 5_000 && !isEvicted(); turn++) {
      deaf.shard.say(piece);
      harness.advance(400);
      if (turn % 10 > 0 || isEvicted()) continue;
      // The sweep must not take them for half-open: they still speak.
      deaf.phone.media(Buffer.alloc(960));
      healthy.phone.media(FRAME);
      await deaf.shard.count(RecordKind.audio, (turn / 10) * 6);
      await healthy.shard.count(RecordKind.audio, turn / 10);
    }
    t.match(await harness.delegate.event("ended", deaf.callId), { end: LegEnd.evicted });
    t.match(await harness.badInput(), { neverReads: 1 });
    t.ok(await hearsAndSpeaks(healthy));
  },
);

void t.test("a half-open socket is pinged and then given up; one that answers is kept", async (t) => {
  const harness = await Harness.start({ edge: { halfOpenMs: 10_000 } });
  t.teardown(() => harness.stop());
  const gone = await harness.call();
  const quiet = await harness.call();
  tcpOf(gone.phone).pause();
  const pinged = once(quiet.phone.socket, "ping");
  harness.advance(5_500);
  await pinged;
  // The pong is answered by ws as the ping is read; behind it, our own round trip.
  await quiet.phone.settled();
  harness.advance(3_000);
  t.equal(harness.delegate.events.length, 2, "a ping is given its time");
  harness.advance(2_000);
  t.match(await harness.delegate.event("ended", gone.callId), { end: LegEnd.socketLost });
  t.equal(harness.delegate.events.filter(({ callId }) => callId === quiet.callId).length, 1);
  t.ok(await hearsAndSpeaks(quiet));
  t.match(await harness.badInput(), { halfOpen: 1 });
});

void t.test("after a stall of our own all legs look silent, and none is given up for it", async (t) => {
  const harness = await Harness.start({ edge: { halfOpenMs: 10_000 }, clock: new StallingClock() });
  t.teardown(() => harness.stop());
  const live = await harness.call();
  // The sweep runs once for all the time that passed, before any socket was looked at.
  (harness.clock as StallingClock).stall(60_000, 1_000);
  t.ok(await hearsAndSpeaks(live));
  harness.advance(3_000);
  t.equal(harness.delegate.events.length, 1);
});

void t.test("a socket that never says start gives its slot back", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  const { mediaPath, callId } = await harness.ring();
  const phone = await harness.dial(mediaPath);
  harness.advance(5_500);
  t.match(await phone.closed, { code: 1008, reason: "no start message" });
  t.match(harness.delegate.events, [{ kind: "expired", callId }]);
});

void t.test("idle connections past the limit are refused with 503, and calls go on", async (t) => {
  const idleMax = 100;
  const harness = await Harness.start({ edge: { maxSockets: idleMax + 1 } });
  const healthy = await harness.call();
  const clients: Socket[] = [];
  t.teardown(async () => {
    for (const client of clients) client.destroy();
    await harness.stop();
  });
  // The webhook's connection is going, but may not have gone.
  await connectionsAre(harness, 1);
  const refusals = await new Promise<string[]>((resolve) => {
    const answers: string[] = [];
    for (let count = 0; count < 1_000; count++) {
      const client = connect(harness.port, "127.0.0.1");
      client.on("error", () => {});
      client.on("data", (data: Buffer) => {
        answers.push(data.toString());
        if (answers.length === 1_000 - idleMax) resolve(answers);
      });
      clients.push(client);
    }
  });
  t.ok(
    refusals.every(
      (answer) => answer.startsWith("HTTP/1.1 503 ") && answer.includes("EDGE_SOCKETS_EXHAUSTED"),
    ),
  );
  t.equal(harness.edge.connectionCount, idleMax + 1);
  t.ok(await hearsAndSpeaks(healthy));
  t.equal((await harness.badInput())["tooManySockets"], 900);
  for (const client of clients) client.destroy();
  await connectionsAre(harness, 1);
  t.match((await harness.post("/twilio/voice", voiceForm(CALL))).text, "<Connect>", "room again");
});

void t.test("the admin port refuses connections past its bound, and takes some again after", async (t) => {
  const harness = await Harness.start();
  const clients: Socket[] = [];
  t.teardown(async () => {
    for (const client of clients) client.destroy();
    await harness.stop();
  });
  const refusal = await new Promise<string>((resolve) => {
    for (let count = 0; count < ADMIN_SOCKETS_MAX + 1; count++) {
      const client = connect(harness.adminPort, "127.0.0.1");
      client.on("error", () => {});
      client.on("data", (data: Buffer) => resolve(data.toString()));
      clients.push(client);
    }
  });
  t.match(refusal, /^HTTP\/1.1 503 [^]*EDGE_SOCKETS_EXHAUSTED/);
  t.equal((await harness.badInput())["tooManyAdminSockets"], 1);
  for (const client of clients) client.destroy();
  const live = `http://127.0.0.1:${harness.adminPort}/healthz/live`;
  while ((await fetch(live)).status !== 200) await setImmediate(); // it hears of the closes a turn later
});

void t.test("connections of calls and requests that are over leave no trace in the count", async (t) => {
  const harness = await Harness.start({ edge: { maxSockets: 4 }, slotCount: 1 });
  t.teardown(() => harness.stop());
  for (let round = 0; round < 10; round++) {
    const { phone, callId } = await harness.call();
    if (round % 2 === 0) harness.edge.hangUp(callId);
    else phone.destroy();
    await phone.closed;
    await harness.delegate.event("ended", callId);
    await connectionsAre(harness, 0);
  }
});

/** The edge hears of a closed connection a turn or more after we do. */
async function connectionsAre(harness: Harness, count: number): Promise<void> {
  while (harness.edge.connectionCount !== count) await setImmediate();
}

void t.test("an error in one leg's handling ends that leg alone", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  const healthy = await harness.call();
  const { delegate } = harness;
  const mediaOpened = delegate.mediaOpened.bind(delegate);
  delegate.mediaOpened = () => {
    throw new Error("no shard");
  };
  const { mediaPath, carrierCallId, callId } = await harness.ring();
  const phone = await harness.dial(mediaPath);
  phone.start(carrierCallId);
  t.match(await phone.closed, { code: 1011, reason: "internal error" });
  t.match(await delegate.event("ended", callId), { end: LegEnd.evicted });
  delegate.mediaOpened = mediaOpened;
  t.ok(await hearsAndSpeaks(healthy));
});

void t.test("close() says 1001 to every call, ends each once, and frees the ports", async (t) => {
  // Fixed ports, as in production: those that the kernel chose are bound without leave to be reused.
  const [port, adminPort] = [await freePort(), await freePort()];
  const harness = await Harness.start({ edge: { port, adminPort } });
  t.teardown(() => harness.stop());
  const calls = [await harness.call(), await harness.call()];
  const waiting = await harness.ring();
  await harness.edge.close();
  await harness.edge.close();
  for (const { phone, callId, shard } of calls) {
    t.match(await phone.closed, { code: 1001, reason: "server going away" });
    t.equal(harness.delegate.events.filter((event) => event.callId === callId).length, 2);
    t.equal(shard.of(RecordKind.legEnded).length, 1);
  }
  t.match(
    harness.delegate.events.filter(({ kind }) => kind === "expired"),
    [{ callId: waiting.callId }],
  );
  t.equal(harness.delegate.freeSlotCount, 4);
  const again = await Harness.start({ edge: { port, adminPort } });
  await again.stop();
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

void t.test("a port that is taken is said so, and two edges never share one", async (t) => {
  const first = await Harness.start();
  t.teardown(() => first.stop());
  const second = new Harness({ edge: { port: first.port } });
  t.teardown(() => second.stop());
  await t.rejects(second.edge.listen(), {
    code: "EDGE_LISTEN_FAILED",
    message: /cannot listen on 127\.0\.0\.1/,
  });
});

void t.test("options that cannot work are refused by name", async (t) => {
  const good = { port: 0, adminPort: 0, carriers: [createTwilio({ authTokens: [] })] };
  t.match(resolveEdgeOptions(good), {
    playoutLeadMs: 400,
    host: "0.0.0.0",
    adminHost: "127.0.0.1",
    publicUrl: null,
  });
  t.equal(
    resolveEdgeOptions({ ...good, publicUrl: "https://voice.example.com/" }).publicUrl,
    "https://voice.example.com",
  );
  for (const [options, message] of [
    [{ port: -1 }, /^port must be/],
    [{ port: 1.5 }, /^port must be/],
    [{ playoutLeadMs: 100 }, /^playoutLeadMs must be a whole number from 140/],
    [{ publicUrl: "voice.example.com" }, /^publicUrl must be/],
    [{ publicUrl: "https://voice.example.com/?a=1" }, /^publicUrl must be/],
    [{ mediaTokenKey: new Uint8Array(4) }, /^mediaTokenKey must have/],
    [{ carriers: [] }, /^carriers must be/],
    [{ carriers: [...good.carriers, ...good.carriers] }, /^carriers must be/],
  ] as const) {
    t.throws(() => resolveEdgeOptions({ ...good, ...options }), { code: "SETTING_INVALID", message });
  }
});

void t.test("the admin port answers health, metrics, calls and journals, and nothing else", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  const { callId } = await harness.ring();
  t.strictSame(await harness.admin("/healthz/live"), {
    status: 200,
    contentType: "application/json",
    text: '{"live":true}\n',
  });
  const ready = await harness.admin("/healthz/ready");
  t.equal(ready.status, 200);
  t.strictSame(JSON.parse(ready.text), { ready: true, draining: false, slots: 3 });
  harness.delegate.isReady = false;
  t.equal((await harness.admin("/healthz/ready")).status, 503);
  const metrics = await harness.admin("/metrics");
  t.match(metrics, {
    status: 200,
    contentType: "text/plain; version=0.0.4; charset=utf-8",
    text: "metrics 1\n",
  });
  t.match(await harness.admin("/metrics.json"), { status: 200, text: "[]\n" });
  t.strictSame(JSON.parse((await harness.admin("/calls")).text), { calls: [callId] });
  t.strictSame(JSON.parse((await harness.admin(`/calls/${callId}/journal`)).text), { journal: [{ callId }] });
  t.equal((await harness.admin("/calls/none/journal")).status, 404);
  t.equal((await harness.admin("/")).status, 404);
  t.equal((await harness.admin("/metrics", "POST")).status, 405);
  t.equal((await harness.request("GET", "/metrics")).status, 404, "not on the carriers' port");
  harness.delegate.metricsText = () => Promise.reject(new Error("a shard does not answer"));
  t.equal((await harness.admin("/metrics")).status, 500);
});

void t.test("sockets, frames and pacing are in the metrics", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  const live = await harness.call();
  await hearsAndSpeaks(live);
  live.shard.bumpEpoch();
  await live.phone.count("clear", 1);
  const values = new Map(
    (await harness.metrics.snapshot()).flatMap(({ name, values }) =>
      values.map(({ metricName, labels, value }): [string, number] => [
        [metricName ?? name, ...Object.values(labels)].join(" "),
        value,
      ]),
    ),
  );
  t.equal(values.get("lumentra_edge_sockets"), 1);
  t.equal(values.get("lumentra_edge_media_frames_total in"), 1);
  t.equal(values.get("lumentra_edge_media_frames_total out"), 1);
  t.equal(values.get("lumentra_edge_clears_total"), 1);
  t.equal(values.get("lumentra_edge_http_requests_total twilio voice 200"), 1);
  t.equal(values.get("lumentra_edge_buffered_max_bytes"), 0);
});

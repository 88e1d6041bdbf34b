import t from "tap";
import { generator, mediaOf, randomFrame } from "./cxml-frames.fixture.js";
import { readCxmlFast, readCxmlSlowly } from "./cxml-media.js";
import { InboundKind, InboundMessage } from "./inbound-message.js";

const AUDIO = Buffer.from(Array.from({ length: 160 }, (_, index) => (index * 7) & 0xff));
const PAYLOAD = AUDIO.toString("base64");
const TWILIO = `{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"20","payload":"${PAYLOAD}"},"streamSid":"MZ00000000000000000000000000000001"}`;

function slowly(text: string | Uint8Array, byteOrder: "le" | "be" = "le"): InboundMessage {
  const message = new InboundMessage();
  readCxmlSlowly(Buffer.from(text), message, byteOrder);
  return message;
}

/** What the fast twin makes of it, null when it declines. */
function fast(text: string | Uint8Array): InboundMessage | null {
  const message = new InboundMessage();
  return readCxmlFast(Buffer.from(text), message) ? message : null;
}

void t.test("the carriers' own frames take the fast way, and both ways read the same", async (t) => {
  const frames = [
    TWILIO,
    // SignalWire: no streamSid.
    `{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"0","payload":"${PAYLOAD}"}}`,
    ` { "media" : { "payload" : "${PAYLOAD}" , "timestamp" : "40" } ,\r\n\t"event" : "media" , "sequenceNumber" : 7 } `,
    `{"event":"media","media":{"payload":"${PAYLOAD.replace(/=+$/, "")}"}}`,
  ];
  for (const frame of frames) {
    const read = fast(frame);
    t.ok(read !== null, frame);
    t.strictSame(mediaOf(read!), mediaOf(slowly(frame)));
    t.equal(mediaOf(read!).audio, AUDIO.toString("hex"));
  }
  t.match(fast(TWILIO), { chunk: 1, timestampMs: 20 });
  t.match(fast(frames[3]!), { chunk: -1, timestampMs: -1 });
});

void t.test("unusual but sound JSON is read slowly", async (t) => {
  const escaped = PAYLOAD.replaceAll("/", "\\/");
  for (const frame of [
    TWILIO.replace(PAYLOAD, escaped),
    TWILIO.replace('"event"', '"\\u0065vent"'),
    TWILIO.replace('"sequenceNumber":"2"', '"extra":[1,{"a":null}],"ok":true'),
    TWILIO.replace('"chunk":"1"', '"chunk":1,"x":null'),
    TWILIO.replace('"streamSid"', '"日本"'),
  ]) {
    const read = slowly(frame);
    t.equal(mediaOf(read).audio, AUDIO.toString("hex"), frame);
    t.match(read, { chunk: 1, timestampMs: 20 });
    const quick = fast(frame);
    if (quick !== null) t.strictSame(mediaOf(quick), mediaOf(read));
  }
});

void t.test("broken messages are told apart", async (t) => {
  const cases: [string | Uint8Array, string][] = [
    ["", "notJson"],
    ["hello", "notJson"],
    [TWILIO.slice(0, -1), "notJson"],
    [`${TWILIO}x`, "notJson"],
    ["[1]", "notJson"],
    ["null", "notJson"],
    ['{"media":{}}', "notJson"],
    ['{"event":7}', "notJson"],
    [Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), "notJson"],
    ['{"event":"media"}', "badMedia"],
    ['{"event":"media","media":[]}', "badMedia"],
    ['{"event":"media","media":{"payload":7}}', "badMedia"],
    ['{"event":"media","media":{"payload":""}}', "badMedia"],
    ['{"event":"media","media":{"payload":"===="}}', "badBase64"],
    ['{"event":"media","media":{"payload":"AAA"}}', ""],
    ['{"event":"media","media":{"payload":"AAAAA"}}', "badBase64"],
    ['{"event":"media","media":{"payload":"AA-_"}}', "badBase64"],
    ['{"event":"media","media":{"payload":"āāāā"}}', "badBase64"],
    ['{"event":"media","media":{"payload":"AA AA"}}', "badBase64"],
    [TWILIO.replace('"inbound"', '"outbound"'), "wrongTrack"],
    ['{"event":"dtmf"}', "badDtmf"],
    ['{"event":"dtmf","dtmf":{"digit":"55"}}', "badDtmf"],
    ['{"event":"dtmf","dtmf":{"digit":"x"}}', "badDtmf"],
    ['{"event":"mark","mark":{}}', "badMark"],
    [`{"event":"mark","mark":{"name":"${"m".repeat(200)}"}}`, "badMark"],
    ['{"event":"start"}', "badStart"],
  ];
  for (const [frame, problem] of cases) {
    const read = slowly(frame);
    t.equal(read.kind === InboundKind.invalid ? read.problem : "", problem, String(frame));
    if (problem !== "") t.equal(fast(frame), null, `the fast twin declines ${String(frame)}`);
  }
});

void t.test("start is read from either carrier, and refused when it cannot be served", async (t) => {
  const start = (overrides: object, top: object = {}): InboundMessage =>
    slowly(
      JSON.stringify({
        event: "start",
        start: {
          accountSid: "AC1",
          streamSid: "MZ1",
          callSid: "CA1",
          mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 },
          customParameters: { session: "s-1" },
          ...overrides,
        },
        ...top,
      }),
    );
  t.match(start({}).start, {
    streamId: "MZ1",
    carrierCallId: "CA1",
    accountId: "AC1",
    format: { encoding: "mulaw", sampleRateHz: 8000 },
    customParameters: { session: "s-1" },
  });
  const uuid = "5f3b2a10-0000-4000-8000-000000000001";
  t.match(start({ streamSid: undefined, customParameters: undefined }, { streamSid: uuid }).start, {
    streamId: uuid,
    customParameters: {},
  });
  const l16 = { encoding: "audio/x-L16", sampleRate: 16000, channels: 1 };
  t.match(start({ mediaFormat: l16 }).start?.format, { encoding: "l16le", sampleRateHz: 16000 });
  const bigEndian = slowly(
    JSON.stringify({ event: "start", start: { streamSid: "MZ1", callSid: "CA1", mediaFormat: l16 } }),
    "be",
  );
  t.match(bigEndian.start?.format, { encoding: "l16be" });

  for (const [overrides, problem] of [
    [{ callSid: undefined }, "badStart"],
    [{ streamSid: 'MZ"' }, "badStart"],
    [{ streamSid: "M".repeat(200) }, "badStart"],
    [{ customParameters: { a: 1 } }, "badStart"],
    [{ customParameters: { a: "x".repeat(600) } }, "badStart"],
    [
      { customParameters: Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, ""])) },
      "badStart",
    ],
    [{ mediaFormat: undefined }, "badFormat"],
    [{ mediaFormat: { encoding: "audio/opus", sampleRate: 8000, channels: 1 } }, "badFormat"],
    [{ mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 11025, channels: 1 } }, "badFormat"],
    [{ mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 2 } }, "badFormat"],
  ] as const) {
    t.match(start(overrides), { kind: InboundKind.invalid, problem }, JSON.stringify(overrides).slice(0, 80));
  }
});

void t.test("the other events", async (t) => {
  t.match(slowly('{"event":"connected","protocol":"Call","version":"1.0.0"}'), {
    kind: InboundKind.connected,
  });
  t.match(slowly('{"event":"dtmf","dtmf":{"digit":"#","duration":2000}}'), {
    kind: InboundKind.dtmf,
    digit: "#".charCodeAt(0),
  });
  t.match(slowly('{"event":"mark","mark":{"name":"3.17"}}'), { kind: InboundKind.mark, markName: "3.17" });
  t.match(slowly('{"event":"stop","sequenceNumber":"5"}'), { kind: InboundKind.stop });
  t.match(slowly('{"event":"streamReconnecting"}'), { kind: InboundKind.unknown });
});

const seed = Number(process.env["TEST_SEED"] ?? Date.now() % 2 ** 31);

void t.test(`whatever the fast way accepts, the slow way reads the same (TEST_SEED=${seed})`, async (t) => {
  const random = generator(seed);
  const quick = new InboundMessage();
  const slow = new InboundMessage();
  let accepted = 0;
  for (let round = 0; round < 30_000; round++) {
    let frame = Buffer.from(randomFrame(random));
    // A third of them damaged: a byte changed, cut short, or doubled.
    const damage = random(9);
    if (damage === 0) frame[random(frame.length)] = random(256);
    else if (damage === 1) frame = frame.subarray(0, random(frame.length));
    else if (damage === 2) frame = Buffer.concat([frame, frame.subarray(random(frame.length))]);
    if (!readCxmlFast(frame, quick)) continue;
    accepted++;
    readCxmlSlowly(frame, slow, "le");
    const [left, right] = [mediaOf(quick), mediaOf(slow)];
    if (JSON.stringify(left) !== JSON.stringify(right)) {
      t.fail("the twins differ", {
        frame: frame.toString("latin1"),
        left,
        right,
        problem: slow.problem,
        seed,
        round,
      });
      return;
    }
  }
  t.ok(accepted > 3_000, `${accepted} of 30000 went the fast way`);
});

import t from "tap";
import { generator, mediaOf, randomFrame } from "./cxml-frames.fixture.js";
import { readCxml, readCxmlFast, readCxmlSlowly } from "./cxml-media.js";
import { InboundKind, InboundMessage } from "./inbound-message.js";
import { MediaShape, MediaShapes, SHAPES_MAX, SHARED_SHAPES_MAX } from "./media-shape.js";

const PAYLOAD = Buffer.from(Array.from({ length: 160 }, (_, index) => (index * 7) & 0xff)).toString("base64");

function twilio(number: number, payload = PAYLOAD, streamSid = "MZ1"): string {
  return `{"event":"media","sequenceNumber":"${number + 1}","media":{"track":"inbound","chunk":"${number}","timestamp":"${number * 20}","payload":"${payload}"},"streamSid":"${streamSid}"}`;
}

/** A frame as uWebSockets.js gives it: a buffer of its own. */
function frameOf(text: string | Uint8Array): ArrayBuffer {
  return new Uint8Array(Buffer.from(text)).buffer;
}

/** Reads with a shape; says whether the message had it, or was read in another way. */
function read(
  shape: MediaShape,
  text: string | Uint8Array,
): { readonly hadShape: boolean; message: InboundMessage } {
  const message = new InboundMessage();
  const frame = frameOf(text);
  const hadShape = shape.read(frame, new Uint8Array(frame), message);
  readCxml(frame, message, shape, "le");
  return { hadShape, message };
}

void t.test("a message has the shape of the last until a counter grows by a digit", async (t) => {
  const shape = new MediaShape(new MediaShapes());
  const hadShape: number[] = [];
  for (let number = 1; number <= 1_200; number++) {
    const quick = read(shape, twilio(number));
    t.match(quick.message, {
      kind: InboundKind.media,
      chunk: number,
      timestampMs: number * 20,
      audioLength: 160,
    });
    if (!quick.hadShape) hadShape.push(number);
  }
  // The first; timestamps 100, 1000, 10000; sequence numbers and chunks 10, 100, 1000.
  t.strictSame(hadShape, [1, 5, 9, 10, 50, 99, 100, 500, 999, 1_000]);
});

void t.test("what differs from the shape in a byte that counts is read with care", async (t) => {
  const frame = twilio(41);
  for (const [what, other] of [
    ["a quote in the stream's id", twilio(42, PAYLOAD, 'M"1')],
    ["an escape in the stream's id", twilio(42, PAYLOAD, "M\\n")],
    ["a control character in the stream's id", twilio(42, PAYLOAD, "M\n1")],
    ["other than ASCII in the stream's id", twilio(42, PAYLOAD, "M\u00e9")],
    ["another key for the stream's id", twilio(42).replace("streamSid", "streamSie")],
    ["another track", twilio(42).replace("inbound", "outbund")],
    ["another event", twilio(42).replace('"media",', '"mebia",')],
    ["a counter that is none", twilio(42).replace('"chunk":"42"', '"chunk":"4:"')],
    ["a quote in a counter", twilio(42).replace('"43"', '"4""')],
    ["an escape in a counter", twilio(42).replace('"43"', '"\\\\"')],
    ["an escape in the audio", twilio(42, `\\/${PAYLOAD.slice(2)}`)],
    ["no base64", twilio(42, `-${PAYLOAD.slice(1)}`)],
    ["a shorter payload", twilio(42, PAYLOAD.slice(4))],
    ["the last byte", `${twilio(42).slice(0, -1)}]`],
  ] as const) {
    const shape = new MediaShape(new MediaShapes());
    read(shape, frame);
    const { hadShape, message } = read(shape, other);
    t.notOk(hadShape, what);
    const slow = new InboundMessage();
    readCxmlSlowly(Buffer.from(other), slow, "le");
    t.strictSame(mediaOf(message), mediaOf(slow), what);
  }
});

void t.test("legs of one carrier share their shapes", async (t) => {
  const shared = new MediaShapes();
  const first = new MediaShape(shared);
  const second = new MediaShape(shared);
  read(first, twilio(41, PAYLOAD, "MZ1"));
  t.ok(read(first, twilio(42, PAYLOAD, "MZ2")).hadShape, "nobody reads the stream's id");
  t.notOk(read(second, twilio(45, PAYLOAD, "MZ3")).hadShape, "a leg's first message is always walked");
  t.ok(read(second, twilio(46, PAYLOAD, "MZ3")).hadShape);
  t.equal(shared.size, 1);
  read(second, twilio(100, PAYLOAD, "MZ3"));
  t.equal(shared.size, 2, "a counter grew");
});

void t.test("more shapes than are shared are read all the same", async (t) => {
  const shared = new MediaShapes();
  for (let length = 1; length <= SHARED_SHAPES_MAX + 2; length++) {
    const shape = new MediaShape(shared);
    const stream = "M".repeat(length);
    read(shape, twilio(41, PAYLOAD, stream));
    const { hadShape, message } = read(shape, twilio(42, PAYLOAD, stream));
    t.ok(hadShape && message.chunk === 42, `${length} characters`);
  }
  t.equal(shared.size, SHARED_SHAPES_MAX);
});

void t.test("a carrier whose messages never look alike is not learned from for ever", async (t) => {
  const shape = new MediaShape(new MediaShapes());
  const message = new InboundMessage();
  for (let round = 0; round < SHAPES_MAX; round++) {
    readCxml(frameOf(twilio(round, PAYLOAD, "M".repeat(1 + (round & 1)))), message, shape, "le");
  }
  t.notOk(read(shape, twilio(41)).hadShape);
  t.notOk(read(shape, twilio(42)).hadShape, "the one before was not learned");
  t.equal(read(shape, twilio(43)).message.chunk, 43, "and is read all the same");
});

const seed = Number(process.env["TEST_SEED"] ?? Date.now() % 2 ** 31);

void t.test(`what has the shape is read as the slow way reads it (TEST_SEED=${seed})`, async (t) => {
  const random = generator(seed);
  const quick = new InboundMessage();
  const slow = new InboundMessage();
  let learned = 0;
  let accepted = 0;
  for (let round = 0; round < 3_000; round++) {
    const original = random(3) === 0 ? twilio(random(100_000)) : randomFrame(random);
    const bytes = Buffer.from(original);
    if (!readCxmlFast(bytes, quick)) continue;
    learned++;
    const shape = new MediaShape(new MediaShapes());
    readCxml(frameOf(bytes), quick, shape, "le");
    for (let change = 0; change < 40; change++) {
      const changed = mutated(bytes, random);
      const frame = frameOf(changed);
      if (!shape.read(frame, new Uint8Array(frame), quick)) continue;
      accepted++;
      readCxmlSlowly(changed, slow, "le");
      const [left, right] = [mediaOf(quick), mediaOf(slow)];
      if (JSON.stringify(left) !== JSON.stringify(right)) {
        t.fail("the twins differ", {
          original,
          changed: changed.toString("latin1"),
          left,
          right,
          seed,
          round,
        });
        return;
      }
    }
  }
  t.ok(learned > 500, `${learned} shapes`);
  t.ok(accepted > learned * 5, `${accepted} of ${learned * 40} changed messages had the shape`);
});

/** Up to three bytes changed: mostly digits to digits and audio to audio, at times anything to anything. */
function mutated(bytes: Buffer, random: (limit: number) => number): Buffer {
  const changed = Buffer.from(bytes);
  for (let count = 1 + random(3); count > 0; count--) {
    const at = random(changed.length);
    const byte = changed[at]!;
    const isDigit = byte >= 0x30 && byte <= 0x39;
    if (random(8) === 0) changed[at] = random(256);
    else if (isDigit) changed[at] = 0x30 + random(random(4) === 0 ? 16 : 10);
    else if (/[A-Za-z+/]/.test(String.fromCharCode(byte))) {
      changed[at] = PAYLOAD.charCodeAt(random(PAYLOAD.length));
    } else changed[at] = ['"', "\\", "}", ",", " ", "0"][random(6)]!.charCodeAt(0);
  }
  return changed;
}

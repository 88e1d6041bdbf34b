import t from "tap";
import { seededRandom } from "#runtime/actor";
import { EVENT_MAX_CHARS, SseParser } from "./sse-parser.js";

type Event = readonly [name: string, data: string];

function parse(chunks: readonly Buffer[]): readonly Event[] {
  const events: Event[] = [];
  const parser = new SseParser({
    onSseEvent: (name, data) => events.push([name, data]),
    onSseOverflow: () => events.push(["overflow", ""]),
  });
  for (const chunk of chunks) parser.push(chunk);
  return events;
}

const stream = [
  ": keep-alive\n\n",
  'data: {"text":"grüß dich 👋"}\n\n',
  "event: error\r\ndata:no space\r\n\r\n",
  "data: first line\ndata: second line\nid: 7\nretry: 10\n\n",
  "event: nothing\n\n",
  "data:\n\n",
  "data: [DONE]\n\n",
].join("");

const expected: readonly Event[] = [
  ["", '{"text":"grüß dich 👋"}'],
  ["error", "no space"],
  ["", "first line\nsecond line"],
  ["", ""],
  ["", "[DONE]"],
];

void t.test("comments, line ends, fields and lines of data are read as the protocol says", async (t) => {
  t.same(parse([Buffer.from(stream)]), expected);
});

void t.test("events come out the same wherever the bytes are cut", async (t) => {
  const bytes = Buffer.from(stream);
  t.same(parse([...bytes].map((byte) => Buffer.from([byte]))), expected, "byte by byte");
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = seededRandom(seed);
  for (let round = 0; round < 200; round++) {
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const length = 1 + Math.floor(random.next() * 40);
      chunks.push(bytes.subarray(at, at + length));
      at += length;
    }
    t.same(parse(chunks), expected, `seed ${seed}`);
  }
});

void t.test("an event that never ends is reported once and nothing follows", async (t) => {
  const piece = Buffer.from(`data: ${"x".repeat(10_000)}`);
  const chunks = Array.from({ length: 40 }, () => piece);
  t.same(parse([...chunks, Buffer.from("\n\n")]), [["overflow", ""]]);
  const lines = Array.from({ length: 40 }, () => Buffer.concat([piece, Buffer.from("\n")]));
  t.same(parse([...lines, Buffer.from("\n")]), [["overflow", ""]], "nor does one of many lines");
  t.ok(EVENT_MAX_CHARS < 40 * 10_000);
});

void t.test(
  "a sink that stops the parser in an event hears no other, in the same chunk or later",
  async (t) => {
    const events: string[] = [];
    const parser: SseParser = new SseParser({
      onSseEvent: (_name, data) => {
        events.push(data);
        parser.stop();
      },
      onSseOverflow: () => t.fail("no overflow"),
    });
    parser.push(Buffer.from("data: a\n\ndata: b\n\n"));
    parser.push(Buffer.from("data: c\n\n"));
    t.same(events, ["a"]);
  },
);

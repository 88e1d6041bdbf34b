import t from "tap";
import { MULAW_8K } from "#runtime/media";
import { BRISK_AFTER_SPEECH_MS, SttFeed } from "./stt-feed.js";

function setUp() {
  const written: { readonly audio: Buffer; readonly brisk: boolean | undefined }[] = [];
  let flushCount = 0;
  const feed = new SttFeed(
    {
      write: (audio, brisk) => void written.push({ audio: Buffer.from(audio), brisk }),
      flush: () => void (flushCount += 1),
      nudge() {},
      finalize() {},
      close() {},
    },
    MULAW_8K,
  );
  return { feed, written, flushes: () => flushCount };
}

void t.test("every byte is handed on once, in order, whatever the record sizes", async (t) => {
  const { feed, written } = setUp();
  const all: number[] = [];
  let next = 0;
  for (let index = 0; index < 500; index += 1) {
    const scratch = new Uint8Array(160);
    const length = 1 + ((index * 37) % 160);
    for (let at = 0; at < length; at += 1) scratch[at] = next = (next + 1) & 255;
    all.push(...scratch.subarray(0, length));
    feed.push(scratch, length, index % 7 < 3);
  }
  t.same(Buffer.concat(written.map(({ audio }) => audio)), Buffer.from(all));
});

void t.test("when the caller falls silent what is batched leaves at once, and only then", async (t) => {
  const { feed, flushes } = setUp();
  const frame = new Uint8Array(160);
  for (const isSpeech of [false, true, true]) feed.push(frame, 160, isSpeech);
  t.equal(flushes(), 0);
  for (const isSpeech of [false, false, false]) feed.push(frame, 160, isSpeech);
  t.equal(flushes(), 1);
});

void t.test("the provider is told to be brisk in speech and shortly after it", async (t) => {
  const { feed, written } = setUp();
  const frame = new Uint8Array(160);
  feed.push(frame, 160, false);
  t.equal(written.at(-1)!.brisk, false);
  feed.push(frame, 160, true);
  for (let ms = 20; ms < BRISK_AFTER_SPEECH_MS; ms += 20) feed.push(frame, 160, false);
  t.equal(written.at(-1)!.brisk, true);
  feed.push(frame, 160, false);
  t.equal(written.at(-1)!.brisk, false);
});

void t.test(
  "a frame that fades may be the last: the stream is told, and silence is still a flush",
  async (t) => {
    const told: string[] = [];
    const feed = new SttFeed(
      {
        write: () => {},
        flush: () => void told.push("flush"),
        nudge: () => void told.push("nudge"),
        finalize() {},
        close() {},
      },
      MULAW_8K,
    );
    const frame = new Uint8Array(160);
    feed.push(frame, 160, true, false);
    feed.push(frame, 160, true, true);
    feed.push(frame, 160, false, false);
    t.same(told, ["nudge", "flush"]);
    told.length = 0;
    for (let ms = 20; ms < BRISK_AFTER_SPEECH_MS + 200; ms += 20) feed.push(frame, 160, false, false);
    t.equal(
      told.length,
      Math.ceil((BRISK_AFTER_SPEECH_MS - 40) / 20),
      "nor is the silence that is waited for gathered",
    );
    t.ok(told.every((word) => word === "nudge"));
  },
);

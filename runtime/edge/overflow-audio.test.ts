import t from "tap";
import { Harness } from "./edge.fixture.js";
import { AUDIO_MAX_BYTES, OverflowAudio, mulawWav } from "./overflow-audio.js";

const audio = (byte: number, length = 1_600): Uint8Array => new Uint8Array(length).fill(byte);

void t.test("the message is µ-law in a WAV with even chunks, sample for sample", async (t) => {
  const wav = Buffer.from(mulawWav(Uint8Array.of(1, 2, 3)));
  t.equal(wav.toString("latin1", 0, 4), "RIFF");
  t.equal(wav.readUInt32LE(4), wav.length - 8);
  t.equal(wav.toString("latin1", 8, 16), "WAVEfmt ");
  t.strictSame([wav.readUInt16LE(20), wav.readUInt16LE(22), wav.readUInt32LE(24)], [7, 1, 8_000]);
  t.strictSame([wav.toString("latin1", 38, 42), wav.readUInt32LE(46)], ["fact", 3]);
  t.strictSame([wav.toString("latin1", 50, 54), wav.readUInt32LE(54)], ["data", 3]);
  t.strictSame([...wav.subarray(58)], [1, 2, 3, 0]);
});

void t.test(
  "the carrier gets the tenant's own audio, by a name that changes with words and voice",
  async (t) => {
    const harness = await Harness.start();
    t.teardown(() => harness.stop());
    const { overflowAudio } = harness.edge;
    t.equal(overflowAudio.url("one", "Call later."), null, "nothing was rendered yet");
    overflowAudio.set("one", "Call later.", audio(1));
    overflowAudio.set("two", "Call later.", audio(2));
    const urls = ["one", "two"].map((tenantId) => overflowAudio.url(tenantId, "Call later.")!);
    for (const [index, url] of urls.entries()) {
      t.match(url, /^https:\/\/edge\.example\.test\/overflow\/[\w-]{22}\.wav$/);
      const response = await fetch(`http://127.0.0.1:${harness.port}${new URL(url).pathname}`);
      t.equal(response.headers.get("content-type"), "audio/wav");
      t.strictSame(new Uint8Array(await response.arrayBuffer()), new Uint8Array(mulawWav(audio(index + 1))));
    }
    overflowAudio.set("one", "Call later.", audio(1));
    t.equal(overflowAudio.url("one", "Call later."), urls[0], "another shard tells the same");
    overflowAudio.set("one", "Call later.", audio(3));
    t.not(overflowAudio.url("one", "Call later."), urls[0], "another voice");
    t.equal((await harness.request("GET", new URL(urls[0]!).pathname)).status, 404, "the old one is gone");
    t.equal(overflowAudio.url("one", "Call tomorrow."), null, "other words are not what was rendered");
  },
);

void t.test("what is not a message is answered as such", async (t) => {
  const harness = await Harness.start();
  t.teardown(() => harness.stop());
  harness.edge.overflowAudio.set("one", "Call later.", audio(1));
  const path = new URL(harness.edge.overflowAudio.url("one", "Call later.")!).pathname;
  for (const wrong of [
    path.slice(0, -4),
    path.replace(/.\.wav$/, ".wav"),
    "/overflow/one.wav",
    "/overflow/",
  ]) {
    t.equal((await harness.request("GET", wrong)).status, 404, wrong);
  }
  t.equal((await harness.request("POST", path)).status, 405);
});

void t.test("memory is bounded: the tenant refused longest ago falls back to text", async (t) => {
  const messages = new OverflowAudio(() => "https://edge.example.test");
  const third = Math.floor(AUDIO_MAX_BYTES / 3);
  for (const tenantId of ["one", "two"]) messages.set(tenantId, "x", audio(1, third));
  t.ok(messages.url("one", "x"));
  messages.set("three", "x", audio(1, third));
  t.strictSame(
    ["one", "two", "three"].map((tenantId) => messages.url(tenantId, "x") !== null),
    [true, false, true],
  );
  messages.set("one", "y", audio(1, AUDIO_MAX_BYTES));
  t.equal(messages.url("one", "y"), null, "larger than all there may be");
  t.ok(messages.url("three", "x"));
});

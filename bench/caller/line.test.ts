import t from "tap";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { ToneDecoder, toneVoice } from "#bench/speech";
import { decodeInto, encodeInto } from "#runtime/media";
import { twilioDialect } from "./carrier.js";
import { encodeSpeech } from "./encoded-speech.js";
import { type LineImpairments, LineOut } from "./line.js";
import { MediaLeg } from "./media-leg.js";
import { Microphone } from "./microphone.js";

const noop = (): void => {};

/** What a node would receive over this line: chunk numbers, instants, and the audio. */
function listenAtTheNode(line: LineImpairments, seed = 11) {
  const clock = new VirtualClock();
  const frames: { chunk: number; atMs: number; samples: Int16Array }[] = [];
  const leg = new MediaLeg(
    {
      dialect: twilioDialect,
      ids: { accountSid: "AC1", callSid: "CA1", streamSid: "MZ1" },
      clock,
      random: seededRandom(seed),
      line,
      recording: null,
      transport: {
        send: (text) => {
          const body = JSON.parse(text) as { event: string; media: { chunk: string; payload: string } };
          if (body.event !== "media") return;
          const audio = Buffer.from(body.media.payload, "base64");
          const samples = new Int16Array(audio.length);
          decodeInto("mulaw", audio, 0, audio.length, samples, 0);
          frames.push({ chunk: Number(body.media.chunk), atMs: clock.nowMs(), samples });
        },
        close: noop,
        terminate: noop,
      },
      // biome-ignore format: six times nothing
      listener: { onWord: noop, onMedia: noop, onCleared: noop, onDtmf: noop, onViolation: noop, onFrame: noop },
    },
    {},
  );
  return { clock, leg, frames };
}

function rmsDbfs(samples: Int16Array): number {
  let energy = 0;
  for (const sample of samples) energy += sample * sample;
  return 10 * Math.log10(energy / samples.length / 32_768 ** 2 + 1e-12);
}

function joined(frames: readonly { samples: Int16Array }[]): Int16Array {
  const samples = new Int16Array(frames.length * 160);
  for (const [index, frame] of frames.entries()) samples.set(frame.samples, index * 160);
  return samples;
}

void t.test("jitter delays messages by up to its bound and never changes their order", (t) => {
  const { clock, leg, frames } = listenAtTheNode({ jitterMs: 60 });
  clock.advance(20_000);
  const lateMs = frames.map((frame) => frame.atMs - leg.originMs - frame.chunk * 20);
  t.same(
    frames.map((frame) => frame.chunk),
    frames.map((_, index) => index + 1),
  );
  t.ok(Math.max(...lateMs) > 40 && Math.max(...lateMs) <= 65, `at most ${Math.max(...lateMs)} ms`);
  t.ok(Math.min(...lateMs) >= 0);
  leg.drop();
  t.end();
});

void t.test("a lost frame leaves a gap in the numbers, at about the ratio asked for", (t) => {
  const { clock, leg, frames } = listenAtTheNode({ lossRatio: 0.05 });
  clock.advance(60_000);
  t.equal(frames.length + leg.line.lostFrames, 3000);
  t.ok(leg.line.lostFrames > 100 && leg.line.lostFrames < 200, `${leg.line.lostFrames} of 3000`);
  t.equal(frames.at(-1)!.chunk, 3000, "numbers are used up");
  leg.drop();
  t.end();
});

void t.test("a stall holds everything back and then lets it all go at once, in order, without drift", (t) => {
  const { clock, leg, frames } = listenAtTheNode({ stall: { atMs: 1_000, durationMs: 500 } });
  clock.advance(3_000);
  t.same(
    frames.map((frame) => frame.chunk),
    Array.from({ length: 150 }, (_, index) => index + 1),
  );
  const startMs = frames[0]!.atMs - 20;
  const during = frames.filter((frame) => frame.atMs > startMs + 1_010 && frame.atMs < startMs + 1_490);
  t.equal(during.length, 0);
  const burst = frames.filter((frame) => frame.atMs - leg.originMs - frame.chunk * 20 > 10);
  t.ok(burst.length >= 24 && burst.length <= 26, `${burst.length} frames in the burst`);
  t.equal(frames.at(-1)!.atMs - leg.originMs, 3_000, "back on time afterwards");
  leg.drop();
  t.end();
});

void t.test("a line that was whole can be stalled at an exact instant", (t) => {
  const { clock, leg, frames } = listenAtTheNode({});
  clock.advance(1_000);
  const before = frames.length;
  leg.stall(500);
  clock.advance(490);
  t.equal(frames.length, before);
  clock.advance(510);
  t.equal(frames.length, 100);
  leg.drop();
  t.end();
});

void t.test("a stall longer than the bound drops the oldest and counts them", (t) => {
  const sent: string[] = [];
  const line = new LineOut({}, seededRandom(1), (text) => sent.push(text));
  line.stall(0, 1e9);
  for (let i = 0; i < 3_100; i++) line.push(String(i), i);
  line.flushAll();
  t.equal(line.droppedMessages, 100);
  t.equal(sent[0], "100");
  t.equal(sent.length, 3_000);
  t.end();
});

void t.test("the agent's voice comes back this much quieter and this much later", (t) => {
  for (const delayMs of [0, 35, 300]) {
    const { clock, leg, frames } = listenAtTheNode({ echo: { gainDb: -20, delayMs } });
    clock.advance(100);
    const playedFrom = Math.round((clock.nowMs() - leg.originMs) * 8);
    const tone = Int16Array.from({ length: 8_000 }, (_, i) => Math.round(8_000 * Math.sin(i / 3)));
    const audio = new Uint8Array(tone.length);
    encodeInto("mulaw", tone, 0, tone.length, audio, 0);
    leg.receive(
      JSON.stringify({
        event: "media",
        streamSid: "MZ1",
        media: { payload: Buffer.from(audio).toString("base64") },
      }),
    );
    clock.advance(2_000);
    const line = joined(frames);
    const firstSample = line.findIndex((sample) => Math.abs(sample) > 100);
    t.ok(
      Math.abs(firstSample - playedFrom - delayMs * 8) < 8,
      `delayed by ${(firstSample - playedFrom) / 8} ms, not ${delayMs}`,
    );
    const level = rmsDbfs(line.subarray(firstSample, firstSample + 7_000)) - rmsDbfs(tone);
    t.ok(Math.abs(level + 20) < 0.5, `${level} dB`);
    leg.drop();
  }
  t.end();
});

// Frames of a late tick repeated the newest 20 ms of echo and skipped the rest: echo was misheard that a real
// telephone would have sent whole.
void t.test("a frame that is made late holds the echo of its own time", (t) => {
  const tone = Int16Array.from({ length: 8_000 }, (_, i) => Math.round(8_000 * Math.sin((i * i) / 4_000)));
  const framesWhen = (aheadFrames: number): string[] => {
    const microphone = new Microphone({ echo: { gainDb: -20, delayMs: 60 } }, seededRandom(1));
    let rendered = 0;
    return Array.from({ length: 40 }, (_, frame) => {
      // At every fifth frame the earpiece is that far ahead already.
      const until = Math.max(rendered, (frame + 1 + (frame % 5 === 0 ? aheadFrames : 0)) * 160);
      microphone.hearPlayed(tone.subarray(rendered, until));
      rendered = until;
      return microphone.nextFrame(frame * 20, frame * 20, null);
    });
  };
  t.same(framesWhen(4), framesWhen(0));
  t.end();
});

void t.test("noise lies under speech and silence alike, and the words come through", (t) => {
  const { clock, leg, frames } = listenAtTheNode({ noise: { snrDb: 20 } });
  clock.advance(1_000);
  leg.say({ speech: encodeSpeech(toneVoice, "Is there parking?"), onStarted: noop, onEnded: noop });
  clock.advance(4_000);
  const line = joined(frames);
  const quiet = rmsDbfs(line.subarray(0, 7_000));
  t.ok(Math.abs(quiet + 38) < 1, `noise at ${quiet} dBFS, 20 dB under -18`);
  const heard: string[] = [];
  new ToneDecoder((word) => heard.push(word.word)).push(line);
  t.same(heard, ["Is", "there", "parking?"]);
  leg.drop();
  t.end();
});

void t.test("the same seed gives the same line", (t) => {
  const listen = (seed: number): string => {
    const { clock, leg, frames } = listenAtTheNode(
      { jitterMs: 40, lossRatio: 0.1, noise: { snrDb: 15 } },
      seed,
    );
    clock.advance(2_000);
    leg.drop();
    return JSON.stringify(frames.map((frame) => [frame.chunk, frame.atMs - leg.originMs, frame.samples[80]]));
  };
  t.equal(listen(3), listen(3));
  t.not(listen(3), listen(4));
  t.end();
});

void t.test("frames that are mixed up change places with the next, and none is lost", (t) => {
  const { clock, leg, frames } = listenAtTheNode({ reorderRatio: 0.2 });
  for (let tick = 0; tick < 500; tick += 1) clock.advance(20);
  leg.hangUp();
  const chunks = frames.map(({ chunk }) => chunk);
  const swapped = chunks.filter((chunk, index) => chunk !== index + 1).length;
  t.ok(swapped > 50 && swapped < 400, `${swapped} of ${chunks.length} are not in their place`);
  t.ok(
    chunks.every((chunk, index) => Math.abs(chunk - index - 1) <= 1),
    "each is next to it at most",
  );
  t.equal(new Set(chunks).size, chunks.length);
  t.end();
});

import t from "tap";
import { Arena, RecordKind } from "#runtime/media";
import { CallFixture } from "./call.fixture.js";
import { LULL_AFTER_MS, LULL_FRAMES, Lull } from "./lull.js";

const FRAME = new Uint8Array(160).fill(0xff);

function ring(firstSequence = 0) {
  const arena = Arena.create({ slotCount: 1 });
  const edge = arena.edgeSide(0);
  edge.reset(firstSequence);
  const consumer = arena.shardSide(0).in;
  return { edge: edge.in, consumer, lull: new Lull(consumer) };
}

void t.test(
  "in a lull audio waits for as much as is looked at together, and anything else for nothing",
  async (t) => {
    for (const first of [0, 0x7fff_fffd, 0xffff_fffe]) {
      const { edge, consumer, lull } = ring(first);
      edge.writeAudio(FRAME, 0, 160, 0);
      t.notOk(lull.mayWait, "no lull");
      lull.isOn = true;
      for (let waiting = 1; waiting < LULL_FRAMES; waiting += 1) {
        t.ok(lull.mayWait, `${waiting} wait`);
        edge.writeAudio(FRAME, 0, 160, waiting * 20);
      }
      t.notOk(lull.mayWait, "enough");
      while (consumer.read());
      t.ok(lull.mayWait);
      edge.writeAudio(FRAME, 0, 160, 100);
      edge.writeByteEvent(RecordKind.dtmf, 101, 0x31);
      t.notOk(lull.mayWait, "a key");
      edge.writeAudio(FRAME, 0, 160, 120);
      t.notOk(lull.mayWait, "behind it, audio");
    }
  },
);

void t.test("a lull is a second of silence in which nothing is said, prepared or unanswered", async (t) => {
  const fixture = new CallFixture();
  const isOn = (): boolean => fixture.lull.isOn;
  fixture.run(400);
  t.notOk(isOn(), "the agent greets");
  fixture.run(3_000);
  t.ok(isOn(), "the caller has not said a word");
  fixture.callerSpeaks = true;
  fixture.run(20);
  t.notOk(isOn(), "with the first frame of a voice");
  fixture.callerSpeaks = false;
  fixture.run(LULL_AFTER_MS);
  t.ok(isOn(), "it was a click");
  fixture.say("I need an appointment", LULL_AFTER_MS / 2);
  t.notOk(isOn(), "he may go on, and the reply is prepared");
  fixture.run(LULL_AFTER_MS);
  t.equal(fixture.facts("agentTurn").length, 2, "greeting and reply");
  fixture.run(LULL_AFTER_MS);
  t.ok(isOn());
  fixture.interim(["well"], fixture.clock.nowMs() - 200);
  fixture.run(20);
  t.notOk(isOn(), "words without a voice that was noticed");
  fixture.run(3_000);
  t.ok(isOn(), "answered");
  t.equal(fixture.facts("agentTurn").length, 3);
  while (fixture.facts("agentTurn").length === 3 && fixture.lull.isOn) fixture.run(20);
  fixture.run(200);
  t.notOk(isOn(), "the agent asks whether he is there");
});

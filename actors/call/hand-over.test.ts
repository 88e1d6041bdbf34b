/** Another actor goes on with the call at an instant at which nothing is lost by it. */
import t from "tap";
import { CallFixture, MS_PER_WORD } from "./call.fixture.js";
import { HAND_OVER_WITHIN_MS } from "./hand-over.js";

function listening(): CallFixture {
  const fixture = new CallFixture();
  fixture.run(3_000);
  return fixture;
}

void t.test("at once while nobody speaks and nothing is owed", (t) => {
  const fixture = listening();
  fixture.call.handOver();
  t.same(fixture.outcome, { kind: "handedOver" });
  t.end();
});

/**
 * A recogniser took seconds for what was said, its shard was drained meanwhile, and the call moved at once since nobody
 * spoke: the words left with the recogniser, their audio had left the in-ring, and the caller was never answered. Found by
 * the simulator.
 */
void t.test("not while the recogniser owes what was said, however long ago", (t) => {
  const fixture = listening();
  const words = ["what", "about", "parking"];
  const fromMs = fixture.positionMs;
  fixture.callerSpeaks = true;
  fixture.run(words.length * MS_PER_WORD);
  fixture.callerSpeaks = false;
  fixture.run(4_000); // more than the ring holds
  fixture.call.handOver();
  fixture.run(3_000);
  t.equal(fixture.outcome, null, "it waits");
  fixture.final(words, fromMs);
  fixture.run(HAND_OVER_WITHIN_MS);
  t.same(fixture.outcome, { kind: "handedOver" });
  t.match(
    fixture.facts("callerTurn").map(({ pii }) => pii.said),
    ["what about parking"],
  );
  t.end();
});

void t.test("sound that was no word keeps nothing waiting", (t) => {
  const fixture = listening();
  const fromMs = fixture.positionMs;
  fixture.callerSpeaks = true;
  fixture.run(300);
  fixture.callerSpeaks = false;
  fixture.run(1_000);
  fixture.call.handOver();
  t.equal(fixture.outcome, null, "words may come");
  fixture.noWords(fromMs);
  fixture.run(20);
  t.same(fixture.outcome, { kind: "handedOver" });
  t.end();
});

void t.test("a recogniser that never tells keeps it waiting no longer than anything else", (t) => {
  const fixture = listening();
  fixture.callerSpeaks = true;
  fixture.run(300);
  fixture.callerSpeaks = false;
  fixture.run(400);
  fixture.call.handOver();
  fixture.run(HAND_OVER_WITHIN_MS - 100);
  t.equal(fixture.outcome, null);
  fixture.run(200);
  t.same(fixture.outcome, { kind: "handedOver" });
  t.end();
});

import t from "tap";
import { PlayoutPosition } from "./playout-position.js";

/** A second was written, with marks 1 to 4 at its quarters; its first byte left at instant 100. */
function playing() {
  const position = new PlayoutPosition();
  position.reset(false);
  for (const [index, positionMs] of [250, 500, 750, 1_000].entries()) position.addMark(index + 1, positionMs);
  position.start(100);
  return position;
}

void t.test(
  "before the first byte left nothing was heard, whatever was written and however long ago",
  async (t) => {
    const position = new PlayoutPosition();
    position.reset(false);
    t.equal(position.at(60_000, 1_000), 0);
    t.notOk(position.isStarted);
    position.reset(true);
    t.ok(position.at(60_000, 1_000) < 0, "not even a word without length");
  },
);

void t.test(
  "PP1: the clock stops short of a mark that has not come back, and goes on from it when it does",
  async (t) => {
    const position = playing();
    t.equal(position.at(300, 1_000), 200);
    t.equal(position.at(90, 1_000), 0, "an instant before the start is no harm");
    t.equal(position.at(9_000, 1_000), 249.5);
    position.confirm(1, 9_000);
    t.equal(position.at(9_100, 1_000), 350);
    t.equal(position.at(9_100, 300), 300, "nor past what was written");
  },
);

void t.test("a mark tells of those before it, and what comes of them later tells nothing", async (t) => {
  const position = playing();
  position.confirm(3, 400);
  t.equal(position.confirmedMs, 750);
  t.notOk(position.awaits(1));
  t.notOk(position.awaits(3), "nor does the same a second time");
  t.ok(position.awaits(4));
  t.notOk(position.isConfirmed);
  position.confirm(4, 500);
  t.ok(position.isConfirmed);
});

void t.test("a pause holds the clock, but not the marks of what the carrier still plays", async (t) => {
  const position = playing();
  t.equal(position.at(200, 1_000), 100);
  position.pause();
  t.equal(position.at(340, 1_000), 0, "until the carrier tells, only what is sure");
  position.confirm(2, 700);
  t.equal(position.at(5_000, 1_000), 500);
  position.resume(5_000, 1_000);
  t.equal(position.at(5_100, 1_000), 600);
});

void t.test(
  "of a reply that was cut nothing was heard beyond what had left, whenever it is asked",
  async (t) => {
    const position = playing();
    position.pause();
    position.cut(180);
    t.notOk(position.isPaused);
    t.equal(position.at(9_000, 1_000), 180);
    position.confirm(1, 9_000);
    t.equal(position.at(9_000, 1_000), 250, "but a mark is the truth");
  },
);

void t.test("the next reply knows nothing of the one before", async (t) => {
  const position = playing();
  position.confirm(2, 300);
  position.noteDry(5_000, 1_000);
  position.pause();
  position.cut(10);
  position.reset(false);
  t.equal(position.confirmedMs, 0);
  t.notOk(position.awaits(3));
  t.notOk(position.isPaused);
  position.start(6_000);
  t.equal(position.at(6_400, 1_000), 400);
});

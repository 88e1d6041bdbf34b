import t from "tap";
import { Arena } from "./arena.js";

const SLOT_COUNT = 100;

function open() {
  const { inBell, outBell } = Arena.create({ slotCount: SLOT_COUNT, inRecordCount: 2, outRecordCount: 2 });
  const visited: number[] = [];
  const visit = (slot: number) => void visited.push(slot);
  return { bell: inBell, otherBell: outBell, visited, visit };
}

void t.test("the first ring of a batch asks for a wake-up, and no other until the next drain", async (t) => {
  const { bell, visit, visited } = open();
  t.equal(bell.ring(5), true);
  t.equal(bell.ring(5), false);
  t.equal(bell.ring(99), false);
  t.equal(bell.drain(visit), 2);
  t.same(visited, [5, 99]);
  t.equal(bell.ring(5), true);
});

void t.test("every slot can ring, each is visited once, in order", async (t) => {
  const { bell, visit, visited } = open();
  for (let slot = SLOT_COUNT - 1; slot >= 0; slot--) bell.ring(slot);
  t.equal(bell.drain(visit), SLOT_COUNT);
  t.same(visited, [...Array(SLOT_COUNT).keys()]);
  t.equal(bell.drain(visit), 0);
  t.equal(visited.length, SLOT_COUNT);
});

void t.test("the two bells of an arena are apart", async (t) => {
  const { bell, otherBell, visit, visited } = open();
  t.equal(bell.ring(1), true);
  t.equal(otherBell.ring(2), true);
  otherBell.drain(visit);
  t.same(visited, [2]);
});

void t.test("a ring from within a visit is found by this drain or wakes the next one", async (t) => {
  const { bell, visited } = open();
  const woken: boolean[] = [];
  bell.ring(40);
  const visit = (slot: number) => {
    visited.push(slot);
    if (slot === 40) woken.push(bell.ring(40), bell.ring(3), bell.ring(70));
  };
  bell.drain(visit);
  t.same(woken, [true, false, false], "the drain lowered the flag, so the first of them asks for a wake-up");
  bell.drain(visit);
  t.same(
    [...new Set(visited)].sort((a, b) => a - b),
    [3, 40, 70],
  );
});

void t.test("a visit that throws costs no other slot its visit", async (t) => {
  const { bell, visited } = open();
  for (const slot of [1, 2, 3, 64]) bell.ring(slot);
  t.throws(() =>
    bell.drain((slot) => {
      visited.push(slot);
      if (slot === 2) throw new Error("one bad call");
    }),
  );
  t.equal(bell.ring(80), true, "the next ring wakes");
  bell.drain((slot) => void visited.push(slot));
  t.same(visited, [1, 2, 3, 64, 80]);
});

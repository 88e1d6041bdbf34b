/** The placement simulator, tiny: it keeps compiling, keeps its books, and sees what it is there to see. */
import t from "tap";
import { seededRandom } from "#runtime/actor";
import { run } from "./placement.js";
import { simulate } from "./placement-simulation.js";
import { TimeHeap } from "./placement-time-heap.js";

const TINY = { nodes: 20, calls: 20_000, seed: 3 } as const;

void t.test(
  "run tiny: every phase has its figures, and nothing was refused for want of looking",
  async (t) => {
    const { rows, notes, failures } = await run({ ...TINY, seconds: 0, json: true });
    t.same(failures, []);
    const phase = (name: string) => rows.find((row) => row["phase"] === name)!;
    t.ok(Number(phase("steady")["meanLoadPct"]) > 60, "it was worth balancing");
    t.ok(Number(phase("overload, five times")["refused"]) > 0, "there was more than there is room for");
    t.equal(phase("steady")["refused"], 0);
    t.ok(Number(phase("a tenth of the nodes lost")["resumed"]) > 0, "calls of lost nodes went on elsewhere");
    t.ok(Number(phase("a region gone")["resumed"]) > 0);
    const spread = (name: string): number => Number(phase(name)["stdevPct"]);
    t.ok(spread("two sampled, none preferred, steady") < spread("any node with room, steady") / 2);
    t.match(notes.at(-1), /^digest \d+$/);
    t.comment(notes.join("; "));
  },
);

void t.test("the same seed is the same day, another one is not", async (t) => {
  const digest = (seed: number): number =>
    simulate({ ...TINY, calls: 4_000, seed, choosing: "placement" }).digest;
  t.equal(digest(5), digest(5));
  t.not(digest(5), digest(6));
});

void t.test("the heap gives back what it holds by time", async (t) => {
  const random = seededRandom(11);
  const heap = new TimeHeap(500);
  const due: number[] = [];
  const taken: number[] = [];
  const instants: number[] = [];
  for (let value = 0; value < 500; value++) {
    instants.push(Math.floor(random.next() * 100));
    heap.push(instants[value]!, value);
    if (random.next() < 0.3) {
      due.push(heap.nextAtMs);
      taken.push(heap.pop());
    }
  }
  while (heap.size > 0) {
    due.push(heap.nextAtMs);
    taken.push(heap.pop());
  }
  t.same(
    taken.map((value) => instants[value]),
    due,
    "each with the instant it was given",
  );
  t.equal(new Set(taken).size, 500, "each once");
  t.same(
    due.slice(-300),
    due.slice(-300).toSorted((a, b) => a - b),
    "in order once nothing is added",
  );
  t.equal(heap.nextAtMs, Number.POSITIVE_INFINITY);
});

import t from "tap";
import { seededRandom } from "#runtime/actor";
import { type ChooseRequest, ClusterView, type ViewedNode, rounds } from "./index.js";

const SEED = 20_261_121;
const ANYWHERE: ChooseRequest = { preferredNodeId: null, region: "" };

function node(nodeId: string, changes: Partial<ViewedNode> = {}): ViewedNode {
  return {
    nodeId,
    region: "east",
    mediaUrl: `wss://${nodeId}.example`,
    capacityCalls: 100,
    calls: 0,
    alive: true,
    ready: true,
    draining: false,
    stopping: false,
    pressure: { rung: 0 },
    ...changes,
  };
}

function viewOf(...nodes: ViewedNode[]): ClusterView {
  const view = new ClusterView();
  view.beginRefresh();
  view.replace(nodes);
  return view;
}

function named(view: ClusterView, request: ChooseRequest): string[] {
  return [...rounds(view, request, seededRandom(SEED))].flatMap((round) => round.nodeIds);
}

void t.test("only nodes that take calls and have room are asked", async (t) => {
  const view = viewOf(
    node("good"),
    node("lost", { alive: false }),
    node("starting", { ready: false }),
    node("drained", { draining: true }),
    node("stopping", { stopping: true }),
    node("pressed", { pressure: { rung: 3 } }),
    node("overflowing", { pressure: { rung: 4 } }),
    node("full", { calls: 100 }),
    node("no-outbound", { pressure: { rung: 2 } }),
  );
  t.same(named(view, ANYWHERE).sort(), ["good", "no-outbound"]);
});

void t.test("every node with room is asked once, and the rounds end", async (t) => {
  const nodes = Array.from({ length: 250 }, (_, i) =>
    node(`n${i}`, { region: i % 3 === 0 ? "west" : "east" }),
  );
  const asked = named(viewOf(...nodes), { preferredNodeId: "n1", region: "" });
  t.equal(asked.length, 250);
  t.equal(new Set(asked).size, 250);
});

void t.test(
  "the node that asks goes first while it is at most 10 points above its region's mean",
  async (t) => {
    const first = (calls: number): readonly string[] => {
      const view = viewOf(node("asking", { calls }), node("b", { calls: 10 }), node("c", { calls: 10 }));
      return rounds(view, { preferredNodeId: "asking", region: "" }, seededRandom(SEED)).next().value!
        .nodeIds;
    };
    // (calls + 20) / 300 is the mean: 25 calls are exactly 10 points above it.
    t.equal(first(25)[0], "asking");
    t.not(first(26)[0], "asking");
  },
);

void t.test("the node that asks keeps its place in the order, sampled ones are compared", async (t) => {
  const view = viewOf(node("a"), node("b"), node("c"), node("d"));
  t.equal(rounds(view, { preferredNodeId: "a", region: "" }, seededRandom(SEED)).next().value!.pickOf, 1);
  t.equal(rounds(view, ANYWHERE, seededRandom(SEED)).next().value!.pickOf, 2);
});

void t.test(
  "the asked region comes first, even before the node that asks; others follow when it is full",
  async (t) => {
    const view = viewOf(
      node("e1"),
      node("e2"),
      node("w1", { region: "west", calls: 90 }),
      node("w2", { region: "west", calls: 90 }),
    );
    const asked = named(view, { preferredNodeId: "e1", region: "west" });
    t.same(asked.slice(0, 2).sort(), ["w1", "w2"]);
    t.same(asked.slice(2).sort(), ["e1", "e2"]);
    t.same(named(view, { preferredNodeId: null, region: "nowhere" }).length, 4);
  },
);

void t.test(
  "what is placed between two refreshes counts at once, and during one is not forgotten",
  async (t) => {
    const view = viewOf(node("small", { capacityCalls: 2 }), node("big"));
    view.countUp("small");
    t.ok(view.openNode("small"));
    view.countUp("small");
    t.equal(view.openNode("small"), null);
    view.beginRefresh();
    view.countUp("big");
    view.replace([node("small", { capacityCalls: 2, calls: 1 }), node("big", { calls: 7 })]);
    t.equal(view.openNode("small")?.calls, 1);
    t.equal(view.openNode("big")?.calls, 8);
  },
);

void t.test("a node found full is not asked again before the next refresh", async (t) => {
  const view = viewOf(node("a"), node("b"), node("c"));
  view.markFull("b");
  t.same(named(view, ANYWHERE).sort(), ["a", "c"]);
  view.replace([node("a"), node("b"), node("c")]);
  t.same(named(view, ANYWHERE).sort(), ["a", "b", "c"]);
});

void t.test("two choices spread calls far better than one, from the same stale view", async (t) => {
  const spread = (choices: 1 | 2): number => {
    const random = seededRandom(SEED);
    const calls = Array.from({ length: 100 }, () => 0);
    const records = (): ViewedNode[] =>
      calls.map((count, i) => node(`${i}`, { calls: count, capacityCalls: 1_000 }));
    const view = viewOf(...records());
    for (let placed = 0; placed < 10_000; placed++) {
      const { nodeIds } = rounds(view, ANYWHERE, random).next().value!;
      const index = choices === 2 ? Number(nodeIds[0]) : Math.floor(random.next() * 100);
      calls[index]!++;
      view.countUp(`${index}`);
      // Another placer's calls are seen only now and then.
      if (placed % 500 === 0) view.replace(records());
    }
    return Math.max(...calls) / 100;
  };
  const [two, one] = [spread(2), spread(1)];
  t.ok(two < 1.05, `two choices: the fullest has ${two.toFixed(3)} of the mean`);
  t.ok(one > 1.2, `one: ${one.toFixed(3)}`);
});

import t from "tap";
import { ToolCallAssembler } from "./tool-calls.js";

function assemble(fragments: readonly unknown[], cut = false) {
  const assembler = new ToolCallAssembler();
  for (const fragment of fragments) assembler.add(fragment);
  return assembler.finish(cut, "made_up_");
}

const book = { id: "call_a", name: "book", argumentsJson: '{"day":"mon"}' };
const weather = { id: "call_b", name: "weather", argumentsJson: "{}" };

void t.test("fragments are joined by index, and calls come in its order", async (t) => {
  const calls = assemble([
    { index: 1, id: "call_b", type: "function", function: { name: "weather", arguments: "{" } },
    { index: 0, id: "call_a", type: "function", function: { name: "book", arguments: "" } },
    { index: 0, function: { arguments: '{"da' } },
    { index: 1, function: { arguments: "}" } },
    { index: 0, function: { arguments: 'y":"mon"}' } },
  ]);
  t.same(calls, [book, weather]);
});

void t.test("a whole call in one fragment is a call", async (t) => {
  t.same(assemble([{ index: 0, id: "call_a", function: { name: "book", arguments: '{"day":"mon"}' } }]), [
    book,
  ]);
});

void t.test("id and name repeated on every fragment are taken once", async (t) => {
  const calls = assemble([
    { index: 0, id: "call_a", function: { name: "book", arguments: '{"day"' } },
    { index: 0, id: "call_a", function: { name: "book", arguments: ':"mon"' } },
    { index: 0, id: "", function: { name: "", arguments: "}" } },
  ]);
  t.same(calls, [book]);
});

void t.test(
  "without an index a fragment goes on with the last call, and a new id begins a new one",
  async (t) => {
    const calls = assemble([
      { id: "call_a", function: { name: "book", arguments: '{"day"' } },
      { function: { arguments: ':"mon"}' } },
      { id: "call_b", index: null, function: { name: "weather", arguments: "" } },
    ]);
    t.same(calls, [book, weather]);
  },
);

void t.test(
  "no arguments are an empty object, an object is written out, and a missing id is made up",
  async (t) => {
    const calls = assemble([
      { index: 0, id: "call_b", function: { name: "weather" } },
      { index: 1, function: { name: "book", arguments: { day: "mon" } } },
    ]);
    t.same(calls, [weather, { ...book, id: "made_up_1" }]);
  },
);

void t.test(
  "a reply cut at its length keeps the calls that are whole and leaves out the torn one",
  async (t) => {
    const fragments = [
      { index: 0, id: "call_a", function: { name: "book", arguments: '{"day":"mon"}' } },
      { index: 1, id: "call_c", function: { name: "book", arguments: '{"day":"tu' } },
    ];
    t.same(assemble(fragments, true), [book]);
    t.equal(assemble(fragments, false).length, 2, "not cut, the caller of the model gets to correct it");
  },
);

void t.test("a fragment without a name, or that is none, makes no call", async (t) => {
  t.same(assemble([null, "x", { index: 0, function: null }, { index: 3 }]), []);
});

void t.test("calls and arguments past their bound are refused", async (t) => {
  const assembler = new ToolCallAssembler();
  const added = Array.from({ length: 40 }, (_, index) => assembler.add({ index, id: `c${index}` }));
  t.equal(added.indexOf(false), 32);
  const long = new ToolCallAssembler();
  const piece = { index: 0, function: { name: "book", arguments: "x".repeat(10_000) } };
  t.ok(Array.from({ length: 10 }, () => long.add(piece)).includes(false));
});

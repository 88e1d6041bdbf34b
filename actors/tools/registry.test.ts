import t from "tap";
import { z } from "zod";
import { VirtualClock } from "#runtime/actor";
import { parseTenantsFile } from "#actors/tenants";
import { TOOL_DEADLINE_MS, ToolRegistry } from "./registry.js";
import { defineTool } from "./tool.js";

const tenant = parseTenantsFile("config/tenants.json")[0]!;

function setUp() {
  const clock = new VirtualClock();
  const context = { tenant, clock, callId: "call-1" };
  const hanging = defineTool({
    name: "hanging",
    description: "Never answers.",
    parameters: z.strictObject({}),
    run: () => new Promise<never>(() => {}),
  });
  const throwing = defineTool({
    name: "throwing",
    description: "Fails.",
    parameters: z.strictObject({}),
    run: () => {
      throw new Error("no line");
    },
  });
  return { clock, context, extra: [hanging, throwing] };
}

const call = (name: string, argumentsJson: string) => ({ id: "1", name, argumentsJson });

void t.test("tools are offered with a JSON Schema of their arguments", async (t) => {
  const offered = new ToolRegistry().offered(["end_call", "check_opening_hours", "nothing"]);
  t.same(
    offered.map((tool) => tool.name),
    ["end_call", "check_opening_hours"],
  );
  t.match(offered[1]!.parameters, { type: "object", properties: { at: { type: "string" } } });
});

void t.test("the opening hours are told for now and for a named time, in the tenant's zone", async (t) => {
  const { context } = setUp();
  const tools = new ToolRegistry();
  const run = (argumentsJson: string) =>
    tools.run(call("check_opening_hours", argumentsJson), ["check_opening_hours"], context);
  t.match(await run('{"at":"2026-03-05T18:30"}'), { ok: true, text: /Thursday 18:30: open/ });
  t.match(await run('{"at":"2026-03-06T18:30"}'), { ok: true, text: /Friday 18:30: closed/ });
  t.match(await run(""), { ok: true, text: /Hours that day/ });
});

void t.test("whatever is wrong comes back as words the model can act on", async (t) => {
  const { context, extra } = setUp();
  const tools = new ToolRegistry(extra);
  t.match(await tools.run(call("hanging", "{not json"), ["hanging"], context), {
    ok: false,
    text: /valid JSON/,
  });
  t.match(await tools.run(call("hanging", '{"a":1}'), ["hanging"], context), {
    ok: false,
    text: /do not fit/,
  });
  t.match(await tools.run(call("hanging", "{}"), [], context), { ok: false, text: /no tool named hanging/ });
  t.match(await tools.run(call("throwing", "{}"), ["throwing"], context), { ok: false, text: /no line/ });
});

void t.test("a tool that does not answer is given up at its deadline", async (t) => {
  const { clock, context, extra } = setUp();
  const answer = new ToolRegistry(extra).run(call("hanging", "{}"), ["hanging"], context);
  clock.advance(TOOL_DEADLINE_MS + 1);
  t.match(await answer, { ok: false, text: /did not answer in time/ });
});

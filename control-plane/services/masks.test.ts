import t from "tap";
import type { Tenant__Output } from "#proto";
import { withMask } from "./masks.js";

const MESSAGE = "lumentra.control.v1.Tenant";
const ALLOWED = ["suspended", "config"];

function tenant(change: object): Tenant__Output {
  return { id: "x", suspended: false, numbers: [], config: null, ...change } as unknown as Tenant__Output;
}

void t.test("a mask sets its paths and nothing else", async (t) => {
  const target = tenant({
    config: { name: "Old", llm: { model: "m1", temperature: 0.5 }, facts: { a: "1" } },
  });
  const source = tenant({
    id: "y",
    suspended: true,
    config: { name: "New", llm: { model: "m2" }, facts: { b: "2" }, timeZone: "UTC" },
  });
  const set = (...paths: string[]) => withMask(MESSAGE, target, source, paths, ALLOWED);
  t.strictSame(set("config.name"), tenant({ config: { ...target.config, name: "New" } }));
  t.strictSame(
    set("config.llm.model", "config.time_zone"),
    tenant({ config: { ...target.config, llm: { model: "m2", temperature: 0.5 }, timeZone: "UTC" } }),
  );
  t.strictSame(set("config.llm"), tenant({ config: { ...target.config, llm: { model: "m2" } } }));
  t.strictSame(set("config.facts").config?.facts, { b: "2" }, "a map is set as a whole");
  t.strictSame(
    set("config.llm.temperature").config?.llm,
    { model: "m1" },
    "what the source left out is cleared",
  );
  t.equal(set("suspended").suspended, true);
  t.strictSame(set(), tenant({ ...source, id: "x" }), "an empty mask sets all that may be set");
  t.strictSame(
    withMask(MESSAGE, tenant({}), source, ["config.llm.model"], ALLOWED).config?.llm,
    { model: "m2" },
    "messages on the way are made",
  );
  t.strictSame(target.config?.name, "Old", "the target itself is left alone");
});

void t.test("a path that is not there, or not to be set, is refused", async (t) => {
  const wrong = [
    "",
    "id",
    "etag",
    "nonsense",
    "config.nonsense",
    "config.timeZone",
    "config.name.x",
    "config.facts.Parking",
    "config.hours.monday",
    "config.overflow.message",
    "config..name",
    "config.__proto__",
    "__proto__",
    "constructor.prototype",
    "*",
  ];
  for (const path of wrong) {
    t.throws(() => withMask(MESSAGE, tenant({}), tenant({}), [path], ALLOWED), {
      code: "REQUEST_INVALID",
      detail: { violations: [{ field: "update_mask" }] },
    });
  }
  t.throws(() => withMask(MESSAGE, tenant({}), tenant({}), Array<string>(101).fill("suspended"), ALLOWED), {
    code: "REQUEST_INVALID",
  });
});

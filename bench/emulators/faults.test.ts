import t from "tap";
import { ARMED_FAULTS_MAX, FaultSwitch, faultOf } from "./faults.js";

type Fault = { readonly kind: "a" } | { readonly kind: "b"; readonly ms: number };

void t.test("an armed fault befalls so many things that match, and then no more", (t) => {
  const faults = new FaultSwitch<Fault, string>();
  const armed = faults.arm({ kind: "a" }, { count: 2, when: (info) => info === "x" });
  faults.arm({ kind: "b", ms: 5 });
  t.same(faults.take("y"), [{ kind: "b", ms: 5 }]);
  t.same(faults.take("x"), [{ kind: "a" }]);
  t.equal(armed.remaining, 1);
  armed.disarm();
  t.same(faults.take("x"), []);
  faults.arm({ kind: "a" });
  faults.clear();
  t.same(faults.take("x"), []);
  t.end();
});

void t.test("several faults may befall one thing", (t) => {
  const faults = new FaultSwitch<Fault, null>();
  faults.arm({ kind: "a" });
  faults.arm({ kind: "b", ms: 7 });
  const taken = faults.take(null);
  t.equal(faultOf(taken, "b")?.ms, 7);
  t.ok(faultOf(taken, "a"));
  t.equal(faultOf<Fault, "a">([], "a"), undefined);
  t.end();
});

void t.test("arming without end is a bug that shows", (t) => {
  const faults = new FaultSwitch<Fault, null>();
  for (let count = 0; count < ARMED_FAULTS_MAX; count++) faults.arm({ kind: "a" });
  t.throws(() => faults.arm({ kind: "a" }), /clear/);
  t.end();
});

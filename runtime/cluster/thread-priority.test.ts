/** The thread of this test is raised, where the system lets it, and put back. */
import { spawnSync } from "node:child_process";
import { getPriority } from "node:os";
import t from "tap";
import { atOrdinaryPriority, raiseOwnThread, restoreOwnThread } from "./thread-priority.js";

const OWN = 0;
/** Elsewhere a niceness is the whole process's, and nothing is done: there is nothing to see. */
const skip = process.platform === "linux" ? false : "only Linux gives each thread a niceness of its own";

void t.test("a thread that goes first anyhow is left as it is, and owes nothing", { skip }, (t) => {
  const before = getPriority(OWN);
  t.same(raiseOwnThread(before), { kind: "already", nice: before });
  restoreOwnThread();
  t.equal(
    atOrdinaryPriority(() => getPriority(OWN)),
    before,
  );
  t.equal(getPriority(OWN), before);
  t.end();
});

void t.test("what a raised thread makes is not raised, whatever becomes of it", { skip }, (t) => {
  const before = getPriority(OWN);
  const outcome = raiseOwnThread(before - 1);
  t.teardown(restoreOwnThread);
  if (outcome.kind === "refused") {
    t.equal(getPriority(OWN), before, "where it may not be, all is as it was");
    t.end();
    return;
  }
  t.same(outcome, { kind: "raised", from: before });
  t.equal(
    atOrdinaryPriority(() => getPriority(OWN)),
    before,
  );
  t.equal(getPriority(OWN), before - 1);
  const fails = (): never => {
    throw new Error("no thread");
  };
  t.throws(() => atOrdinaryPriority(fails), /no thread/);
  t.equal(getPriority(OWN), before - 1);
  restoreOwnThread();
  t.equal(getPriority(OWN), before);
  t.end();
});

/** It was thrown out of the start of a shard, whose thread then belonged to nobody. */
void t.test("a thread that may not be raised again makes others all the same", { skip }, (t) => {
  const script = `
    const { atOrdinaryPriority, raiseOwnThread } = await import(${JSON.stringify(new URL("./thread-priority.js", import.meta.url))});
    const os = await import("node:os");
    if (raiseOwnThread(os.getPriority(0) - 1).kind !== "raised") process.exit(0);
    const made = atOrdinaryPriority(() => {
      process.setuid(65534);
      return "made";
    });
    if (made !== "made" || atOrdinaryPriority(() => "next") !== "next") process.exit(1);
  `;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script]);
  t.equal(status, 0, stderr.toString());
  t.end();
});

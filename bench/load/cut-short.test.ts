import t from "tap";
import { UNPRESSED } from "#bench/processes";
import { parseMix } from "./mix.js";
import type { LoadResult, LoadWindow } from "./results.js";
import { runLoad } from "./run.js";
import { startSubject } from "./subject.js";

/** Ctrl-C in the twentieth hour of a soak left nothing at all, and a node that died was dialled until the load's end. */
void t.test("a load that is cut short leaves what it measured", { timeout: 120_000 }, async (t) => {
  const mix = parseMix({ callers: [{ kind: "conversation", thinkMs: [50, 100] }] });
  if (mix.front !== "calls") throw new Error("these callers call");
  const subject = await startSubject({ calls: 2, settings: UNPRESSED });
  t.teardown(() => subject.stop());
  const load = { subject, mix, mixName: "conversation", calls: 2, rampS: 0, settleS: 0, warmUpCalls: 0 };
  const hasTalked = (window: LoadWindow): boolean => window.phase === "steady" && window.turns > 0;

  const interruption = new AbortController();
  const interrupted = await runLoad({
    ...load,
    seconds: 600,
    interrupted: interruption.signal,
    onWindow: (window) => {
      if (hasTalked(window)) interruption.abort(130);
    },
  });
  t.match(interrupted, { failures: [], failureCount: 0 });
  t.ok(interrupted.seconds < 300, `${interrupted.seconds} s`);
  t.ok(figureOf(interrupted, "turns") > 0 && figureOf(interrupted, "added p50") >= 0);
  t.match(interrupted.notes.join("\n"), /^interrupted: [\d.]+ of 600 s were measured/m);

  const early = new AbortController();
  early.abort(143);
  t.equal(
    await runLoad({ ...load, seconds: 600, interrupted: early.signal }).catch((error: unknown) => error),
    143,
    "nothing was measured",
  );

  const died = await runLoad({
    ...load,
    seconds: 600,
    onWindow: (window) => {
      if (hasTalked(window) && window.nodeCores !== null) process.kill(subject.pid!, "SIGKILL");
    },
  });
  t.match(died.failures[0], /^the node's process ended under load/);
  t.ok(figureOf(died, "turns") > 0, "what it did before stands");
});

function figureOf({ figures }: LoadResult, name: string): number {
  return figures.find((figure) => figure.name === name)?.value ?? -1;
}

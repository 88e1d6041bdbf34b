import t from "tap";
import { ActorSystem, VirtualClock, seededRandom } from "#runtime/actor";
import { silentLogger } from "#runtime/telemetry";
import type { CallOutcome } from "#runtime/cluster";
import { type CallActorDeps, callActorProps } from "./call-actor.js";

/** Whose code runs is what a shard that hangs is blamed for: one that had broken while it was built was blamed for others. */
void t.test(
  "a call that crashes while it is built gives up its slot, and its code runs no more",
  async (t) => {
    const outcomes: CallOutcome[] = [];
    let running = 0;
    const deps = {
      start: { callId: "call-1" },
      get leg(): never {
        throw new Error("scripted");
      },
      enter: () => (running += 1),
      leave: () => (running -= 1),
      onEnded: (outcome: CallOutcome) => outcomes.push(outcome),
    } as unknown as CallActorDeps;
    const system = new ActorSystem({ clock: new VirtualClock(), log: silentLogger, random: seededRandom(1) });
    system.spawn(callActorProps(deps));
    system.runReady();
    t.same(outcomes, [{ kind: "actorCrashed", code: "INTERNAL" }]);
    t.equal(running, 0);
    await system.shutdown();
  },
);

/** Shared by the tests of this folder: an actor system on virtual time that runs only when told to. */
import { silentLogger } from "#runtime/telemetry";
import type { Actor, ActorProps } from "./actor.js";
import { seededRandom } from "./random.js";
import { ActorSystem, type ActorSystemOptions } from "./system.js";
import { VirtualClock } from "./virtual-clock.js";

export interface ActorWorld {
  readonly system: ActorSystem;
  readonly clock: VirtualClock;
  readonly deadLetters: { path: string; message: unknown }[];
  readonly escalations: { path: string; error: unknown }[];
  /** Runs until nobody has anything to do; returns the number of messages handled. */
  readonly settle: () => number;
}

/** Rounds after which a test's actors are taken to keep each other busy for ever. */
const MAX_SETTLE_ROUNDS = 10_000;

export function actorWorld(options: Partial<ActorSystemOptions> = {}): ActorWorld {
  const clock = new VirtualClock();
  const deadLetters: { path: string; message: unknown }[] = [];
  const escalations: { path: string; error: unknown }[] = [];
  const system = new ActorSystem({
    clock,
    random: seededRandom(1),
    log: silentLogger,
    onDeadLetter: (path, message) => void deadLetters.push({ path, message }),
    onEscalated: (path, error) => void escalations.push({ path, error }),
    schedule: () => {},
    ...options,
  });
  const settle = (): number => {
    let total = 0;
    for (let round = 0; round < MAX_SETTLE_ROUNDS; round++) {
      const handled = system.runReady();
      if (handled === 0) return total;
      total += handled;
    }
    throw new Error("the actors never came to rest");
  };
  return { system, clock, deadLetters, escalations, settle };
}

/** Props with the fields most tests do not care about. */
export function props<M>(
  name: string,
  create: () => Actor<M>,
  rest: Partial<ActorProps<M>> = {},
): ActorProps<M> {
  return { name, create, mailboxCapacity: 16, ...rest };
}

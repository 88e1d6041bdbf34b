/**
 * Actors, clocks and randomness of one thread.
 *
 * ```ts
 * class Greeter extends Actor<{ kind: "greet"; name: string; reply: (text: string) => void }> {
 *   receive(message) {
 *     message.reply(`Hello, ${message.name}`);
 *   }
 * }
 * const system = new ActorSystem({ clock: new SystemClock(), random: systemRandom, log });
 * const greeter = system.spawn({ name: "greeter", create: () => new Greeter(), mailboxCapacity: 16 });
 * const text = await system.ask(greeter, (reply) => ({ kind: "greet", name: "Ada", reply }), 1_000);
 * await system.shutdown();
 * ```
 */
export {
  Actor,
  type ActorContext,
  type ActorProps,
  type ActorRef,
  type AnyActorRef,
  type StopReason,
  type SupervisionDecision,
  type TellResult,
} from "./actor.js";
export type { Clock, TimerHandle } from "./clock.js";
export { type Random, seededRandom, systemRandom } from "./random.js";
export { RestartBudget, type RestartBudgetOptions } from "./restart-budget.js";
export { ActorSystem, type ActorSystemOptions, type ActorSystemStats } from "./system.js";
export { SystemClock } from "./system-clock.js";
export { VirtualClock, VirtualTimer } from "./virtual-clock.js";

/**
 * One incarnation of an actor: the instance its props made, and the context that instance sees. It owns
 * what must not outlive the instance: timers, pipes and watches. Restarting replaces the whole of it.
 */
import { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import type { Actor, ActorContext, ActorProps, ActorRef, AnyActorRef, StopReason } from "./actor.js";
import type { Clock, TimerHandle } from "./clock.js";
import { OwedLane } from "./owed-lane.js";
import type { Random } from "./random.js";

/** What an incarnation needs of the cell it lives in. */
export interface IncarnationOwner<M> extends ActorRef<M> {
  readonly log: Logger;
  /** There is something to do. */
  wake(): void;
  spawnChild<C>(props: ActorProps<C>): ActorRef<C>;
  stopActor(ref: AnyActorRef): void;
  /** The owner will hear of the end of this actor, at once if it has ended. */
  startWatching(target: AnyActorRef): void;
  stopWatching(target: AnyActorRef): void;
}

export class Incarnation<M> implements ActorContext<M> {
  readonly self: ActorRef<M>;
  readonly clock: Clock;
  readonly random: Random;
  readonly owed: OwedLane<M>;
  /** Null until `create` has returned. */
  actor: Actor<M> | null = null;
  readonly #owner: IncarnationOwner<M>;
  /** Null until the first. */
  #watches: Map<AnyActorRef, (reason: StopReason) => M> | null = null;
  #closed = false;

  constructor(owner: IncarnationOwner<M>, clock: Clock, random: Random) {
    this.#owner = owner;
    this.self = owner;
    this.clock = clock;
    this.random = random;
    this.owed = new OwedLane(clock, () => owner.wake());
  }

  get log(): Logger {
    return this.#owner.log;
  }

  spawn<C>(props: ActorProps<C>): ActorRef<C> {
    if (this.#closed) throw new LumentraError("ACTOR_STOPPED", `${this.self.path} can spawn no more`);
    return this.#owner.spawnChild(props);
  }

  stop(ref: AnyActorRef = this.self): void {
    this.#owner.stopActor(ref);
  }

  watch(ref: AnyActorRef, onTerminated: (reason: StopReason) => M): void {
    if (this.#closed) return;
    (this.#watches ??= new Map()).set(ref, onTerminated);
    this.#owner.startWatching(ref);
  }

  unwatch(ref: AnyActorRef): void {
    if (this.#watches?.delete(ref) === true) this.#owner.stopWatching(ref);
  }

  setTimer(delayMs: number, message: M): TimerHandle {
    return this.owed.addTimer(delayMs, message);
  }

  pipe<T>(promise: Promise<T>, onValue: (value: T) => M, onError: (error: unknown) => M): void {
    this.owed.addPromise(promise, onValue, onError);
  }

  /** The builder for the end of a watched actor, once; null when it is not or no longer watched. */
  takeWatch(target: AnyActorRef): ((reason: StopReason) => M) | null {
    const onTerminated = this.#watches?.get(target) ?? null;
    this.#watches?.delete(target);
    return onTerminated;
  }

  /** From here on the context is inert. */
  close(): void {
    this.#closed = true;
    this.owed.close();
    for (const target of this.#watches?.keys() ?? []) this.#owner.stopWatching(target);
    this.#watches = null;
  }
}

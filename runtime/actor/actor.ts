/**
 * What an actor is, as its author and its callers see it.
 *
 * An actor handles one message at a time, synchronously; what takes time is started with a callback or with
 * `context.pipe` and comes back as a message. It fails by throwing: its props say what happens then.
 *
 * Messages reach `receive` from three lanes. The system lane (stop, a watched actor's end, a child's
 * escalation) goes first. What the actor asked for itself, timers and piped results, is next and takes
 * turns with the mailbox; both kinds were admitted when they were asked for and are never refused. Only the
 * mailbox, filled by others, can be full.
 */
import type { Logger } from "#runtime/telemetry";
import type { Clock, TimerHandle } from "./clock.js";
import type { Random } from "./random.js";

export abstract class Actor<M> {
  /** Before the first message of this incarnation. Throwing here is a failure like any other. */
  preStart?(context: ActorContext<M>): void;

  abstract receive(message: M, context: ActorContext<M>): void;

  /** The last call this instance gets: no message follows. Timers and children are gone already. */
  postStop?(context: ActorContext<M>, reason: StopReason): void;

  /**
   * In place of postStop on an instance that failed and is replaced. Give back here what the next instance
   * must be able to take.
   */
  preRestart?(context: ActorContext<M>, error: unknown): void;
}

/** Why an actor is no more. */
export type StopReason =
  /** It, its parent or somebody else asked for it. */
  | { readonly kind: "stopped" }
  /** It failed, and was not or no longer to be restarted. */
  | { readonly kind: "failed"; readonly error: unknown }
  /** The whole system is shutting down. */
  | { readonly kind: "shutdown" };

/**
 * `accepted`: in the mailbox; it may still end as a dead letter when the actor stops first.
 * `full`: the mailbox is at its bound; nothing was kept.
 * `stopped`: the actor is gone or going.
 */
export type TellResult = "accepted" | "full" | "stopped";

/** Where an actor can be reached. Stays valid over restarts. Of the thread it was made on only. */
export interface ActorRef<M> {
  /** `/call-7/playout`: names from the root down. */
  readonly path: string;
  /** Does not allocate; never runs the actor. */
  tell(message: M): TellResult;
  /**
   * As `tell`, unless this very message (by identity) waits in the mailbox already: then nothing is added.
   * For constant messages of the kind "there is something to look at", at most 8 different ones per actor.
   */
  tellOnce(message: M): TellResult;
}

/** Any actor, when only its identity matters. */
export type AnyActorRef = ActorRef<never>;

/** What failing leads to. `escalate`: the actor stops and its parent fails with the same error. */
export type SupervisionDecision = "restart" | "stop" | "escalate";

export interface ActorProps<M> {
  /** Unique among its siblings while it lives; not empty, no `/`. */
  readonly name: string;
  /** Called for the first incarnation and again at each restart. */
  readonly create: () => Actor<M>;
  /** Most messages waiting; at the bound `tell` returns `full`. */
  readonly mailboxCapacity: number;
  /** @default restart on every error */
  readonly supervise?: (error: unknown) => SupervisionDecision;
  /** Restarts allowed within `withinMs`; one more failure stops the actor. @default 3 */
  readonly maxRestarts?: number;
  /** @default 10_000 */
  readonly withinMs?: number;
}

/**
 * What an actor may use of the world. It belongs to one incarnation: once that has ended, callbacks that
 * still hold it can do no harm (timers and pipes are inert, `spawn` throws ACTOR_STOPPED).
 */
export interface ActorContext<M> {
  readonly self: ActorRef<M>;
  readonly clock: Clock;
  readonly random: Random;
  /** Carries the actor's path. */
  readonly log: Logger;

  /** Starts a child; it stops when this actor stops or restarts. */
  spawn<C>(props: ActorProps<C>): ActorRef<C>;

  /** Asks an actor, by default this one, to stop. It handles no further message; idempotent. */
  stop(ref?: AnyActorRef): void;

  /** When `ref` has stopped (now, if it has already), `onTerminated` makes the message that says so. */
  watch(ref: AnyActorRef, onTerminated: (reason: StopReason) => M): void;

  unwatch(ref: AnyActorRef): void;

  /**
   * Delivers `message` to this actor after `delayMs`. After `cancel()` it is never received, even when the
   * delay had passed and the message was waiting its turn. Gone at stop and restart.
   * At most 1,024 timers and pipes at a time, together; more is a failure of the actor.
   */
  setTimer(delayMs: number, message: M): TimerHandle;

  /**
   * Delivers the promise's outcome to this actor. The builders run in the actor's turn: throwing in one
   * is a failure of the actor. Ignored when the incarnation is over by then. Bounded with the timers.
   */
  pipe<T>(promise: Promise<T>, onValue: (value: T) => M, onError: (error: unknown) => M): void;
}

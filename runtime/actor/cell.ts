/**
 * An actor's life: its lanes, its phases, its children and its supervision.
 *
 * ```
 *            create, preStart                    stop, or failed for good
 * starting ------------------> running ---------------------------------> stopping --> stopped
 *     ^                           |  failed, and may restart                  ^  children gone,
 *     |      children gone        v                                           |  postStop
 *     +---------------------- restarting ------------------------------------+
 * ```
 * Invariants
 * C1 `receive` runs only while running, never inside another `receive`, and never after a stop was asked
 *    for by a message handled before.
 * C2 the system lane is emptied before any other message. It is bounded by structure: one stop, one end per
 *    watched actor, one escalation per child.
 * C3 an actor outlives its children: it restarts or stops only when they are gone.
 * C4 the end is told once to each watcher, after the name is free again.
 */
import assert from "node:assert/strict";
import type { ErrorCode } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import type { ActorProps, AnyActorRef, StopReason, SupervisionDecision, TellResult } from "./actor.js";
import type { Clock } from "./clock.js";
import { Incarnation, type IncarnationOwner } from "./incarnation.js";
import { Mailbox } from "./mailbox.js";
import type { Random } from "./random.js";
import { RestartBudget } from "./restart-budget.js";

/** Three quick failures are a bug that a fourth start will not cure; ten seconds is many turns of a call. */
const DEFAULT_MAX_RESTARTS = 3;
const DEFAULT_WITHIN_MS = 10_000;

export type AnyCell = ActorCell<unknown>;

/** What a cell needs of the system it lives in. */
export interface CellHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Put the cell in the queue of those with something to do. */
  enqueue(cell: AnyCell): void;
  noteStarted(cell: AnyCell): void;
  noteRestarted(): void;
  noteRefused(): void;
  /** The cell is stopped; its name is free. */
  noteStopped(cell: AnyCell): void;
  deadLetter(path: string, message: unknown): void;
  /** A top-level actor escalated: there is nobody above it. */
  escalated(path: string, error: unknown): void;
}

type Phase<M> =
  /** The instance is made on the actor's next turn. */
  | { readonly kind: "starting" }
  | { readonly kind: "running"; readonly incarnation: Incarnation<M> }
  /** It failed; its children are on their way out, then it starts anew. Messages wait. */
  | { readonly kind: "restarting" }
  /** Its children are on their way out, then it is stopped. Messages are refused. */
  | { readonly kind: "stopping"; readonly reason: StopReason; readonly incarnation: Incarnation<M> | null }
  | { readonly kind: "stopped"; readonly reason: StopReason };

type SystemMessage =
  | { readonly kind: "stop"; readonly reason: StopReason }
  | { readonly kind: "terminated"; readonly target: AnyCell; readonly reason: StopReason }
  | { readonly kind: "escalated"; readonly error: unknown };

/** An ask whose answer this actor owes. */
interface OpenAsk {
  fail(code: ErrorCode, what: string): void;
}

export class ActorCell<M> implements IncarnationOwner<M> {
  readonly path: string;
  readonly name: string;
  /** The system's: whether the cell stands in the ready queue, and who is behind it. */
  queued = false;
  nextReady: AnyCell | null = null;

  readonly #host: CellHost;
  readonly #parent: AnyCell | null;
  readonly #props: ActorProps<M>;
  readonly #mailbox: Mailbox<M>;
  readonly #restarts: RestartBudget;
  readonly #system: SystemMessage[] = [];
  // Null until the first of them: most actors have none, and empty ones take half a KiB.
  #children: Map<string, AnyCell> | null = null;
  #watchers: Set<AnyCell> | null = null;
  #asks: Set<OpenAsk> | null = null;
  #phase: Phase<M> = { kind: "starting" };
  /** Owed messages and the mailbox take turns, so that neither can starve the other. */
  #owedIsNext = true;
  #log: Logger | null = null;

  constructor(host: CellHost, parent: AnyCell | null, props: ActorProps<M>) {
    assert(props.name !== "" && !props.name.includes("/"), `an actor cannot be named "${props.name}"`);
    this.#host = host;
    this.#parent = parent;
    this.#props = props;
    this.name = props.name;
    this.path = `${parent?.path ?? ""}/${props.name}`;
    this.#mailbox = new Mailbox(props.mailboxCapacity);
    this.#restarts = new RestartBudget({
      maxRestarts: props.maxRestarts ?? DEFAULT_MAX_RESTARTS,
      withinMs: props.withinMs ?? DEFAULT_WITHIN_MS,
    });
    host.noteStarted(this);
    this.wake();
  }

  get log(): Logger {
    this.#log ??= this.#host.log.child({ actor: this.path });
    return this.#log;
  }

  get mailboxDepth(): number {
    return this.#mailbox.count;
  }

  tell(message: M): TellResult {
    if (this.#isEnding()) return this.#refuseStopped(message);
    if (!this.#mailbox.push(message)) return this.#refuseFull();
    if (!this.queued) this.#host.enqueue(this);
    return "accepted";
  }

  tellOnce(message: M): TellResult {
    if (this.#isEnding()) return this.#refuseStopped(message);
    if (!this.#mailbox.pushOnce(message)) return this.#refuseFull();
    if (!this.queued) this.#host.enqueue(this);
    return "accepted";
  }

  /** Handles up to `limit` steps; returns how many there were. Called by the system only. */
  run(limit: number): number {
    let handled = 0;
    while (handled < limit && this.#step()) handled++;
    return handled;
  }

  hasWork(): boolean {
    const phase = this.#phase;
    switch (phase.kind) {
      case "starting":
        return true;
      case "running":
        return this.#system.length > 0 || this.#mailbox.count > 0 || phase.incarnation.owed.hasDue();
      case "restarting":
      case "stopping":
        return this.#system.length > 0 || !this.#hasChildren;
      case "stopped":
        break;
    }
    return false;
  }

  wake(): void {
    if (!this.queued && this.#phase.kind !== "stopped") this.#host.enqueue(this);
  }

  requestStop(reason: StopReason): void {
    if (this.#isEnding() || this.#system.some((message) => message.kind === "stop")) return;
    this.#pushSystem({ kind: "stop", reason });
  }

  spawnChild<C>(props: ActorProps<C>): ActorCell<C> {
    const children = (this.#children ??= new Map());
    assert(!children.has(props.name), `${this.path} has a child named "${props.name}" already`);
    const child = new ActorCell(this.#host, this, props);
    children.set(props.name, child);
    return child;
  }

  stopActor(ref: AnyActorRef): void {
    cellOf(ref).requestStop({ kind: "stopped" });
  }

  startWatching(ref: AnyActorRef): void {
    const target = cellOf(ref);
    if (target.#phase.kind === "stopped") this.#noteTerminated(target, target.#phase.reason);
    else (target.#watchers ??= new Set()).add(this);
  }

  stopWatching(ref: AnyActorRef): void {
    cellOf(ref).#watchers?.delete(this);
  }

  /** The ask fails with ACTOR_STOPPED should this actor end first. */
  addAsk(ask: OpenAsk): void {
    (this.#asks ??= new Set()).add(ask);
  }

  removeAsk(ask: OpenAsk): void {
    this.#asks?.delete(ask);
  }

  #step(): boolean {
    const message = this.#system.shift();
    if (message !== undefined) {
      this.#handleSystem(message);
      return true;
    }
    const phase = this.#phase;
    switch (phase.kind) {
      case "starting":
        this.#start();
        return true;
      case "running":
        return this.#handleNext(phase.incarnation);
      case "restarting":
        if (this.#hasChildren) return false;
        this.#phase = { kind: "starting" };
        return true;
      case "stopping":
        if (this.#hasChildren) return false;
        this.#finishStop(phase.incarnation, phase.reason);
        return true;
      case "stopped":
        break;
    }
    return false;
  }

  #start(): void {
    const incarnation = new Incarnation<M>(this, this.#host.clock, this.#host.random);
    this.#phase = { kind: "running", incarnation };
    try {
      incarnation.actor = this.#props.create();
      incarnation.actor.preStart?.(incarnation);
    } catch (error) {
      this.#fail(incarnation, error);
    }
  }

  #handleNext(incarnation: Incarnation<M>): boolean {
    const owed = incarnation.owed.hasDue();
    if (owed && (this.#owedIsNext || this.#mailbox.count === 0)) {
      this.#owedIsNext = false;
      this.#deliverBuilt(incarnation, incarnation.owed.take());
      return true;
    }
    this.#owedIsNext = true;
    if (this.#mailbox.count === 0) return false;
    const message = this.#mailbox.take();
    try {
      incarnation.actor!.receive(message, incarnation);
    } catch (error) {
      this.#fail(incarnation, error);
    }
    return true;
  }

  #deliverBuilt(incarnation: Incarnation<M>, build: () => M): void {
    try {
      incarnation.actor!.receive(build(), incarnation);
    } catch (error) {
      this.#fail(incarnation, error);
    }
  }

  #handleSystem(message: SystemMessage): void {
    switch (message.kind) {
      case "stop":
        this.#beginStop(message.reason);
        return;
      case "terminated": {
        if (this.#phase.kind !== "running") return;
        const { incarnation } = this.#phase;
        const onTerminated = incarnation.takeWatch(message.target);
        if (onTerminated !== null) this.#deliverBuilt(incarnation, () => onTerminated(message.reason));
        return;
      }
      case "escalated":
        // A parent that is on its way out or starting anew takes its children with it anyhow.
        if (this.#phase.kind === "running") this.#fail(this.#phase.incarnation, message.error);
        return;
    }
  }

  #fail(incarnation: Incarnation<M>, error: unknown): void {
    let decision = this.#decide(error);
    this.log.warn({ err: error, decision }, "actor failed");
    if (decision === "restart" && !this.#restarts.tryTake(this.#host.clock.nowMs())) {
      this.log.error({ err: error }, "actor failed too often; it is stopped");
      decision = "stop";
    }
    switch (decision) {
      case "restart":
        this.#beginRestart(incarnation, error);
        return;
      case "escalate":
        if (this.#parent === null) this.#host.escalated(this.path, error);
        else this.#parent.#pushSystem({ kind: "escalated", error });
        this.#beginStop({ kind: "failed", error });
        return;
      case "stop":
        this.#beginStop({ kind: "failed", error });
        return;
    }
  }

  #decide(error: unknown): SupervisionDecision {
    try {
      return this.#props.supervise?.(error) ?? "restart";
    } catch (superviseError) {
      this.log.error({ err: superviseError }, "supervise itself failed; the actor is stopped");
      return "stop";
    }
  }

  #beginRestart(incarnation: Incarnation<M>, error: unknown): void {
    this.#host.noteRestarted();
    try {
      incarnation.actor?.preRestart?.(incarnation, error);
    } catch (hookError) {
      this.log.error({ err: hookError }, "preRestart failed");
    }
    incarnation.close();
    this.#phase = { kind: "restarting" };
    this.#stopChildren({ kind: "stopped" });
  }

  #beginStop(reason: StopReason): void {
    if (this.#isEnding()) return;
    const incarnation = this.#phase.kind === "running" ? this.#phase.incarnation : null;
    incarnation?.close();
    this.#phase = { kind: "stopping", reason, incarnation };
    this.#stopChildren(reason.kind === "shutdown" ? reason : { kind: "stopped" });
  }

  #stopChildren(reason: StopReason): void {
    for (const child of this.#children?.values() ?? []) child.requestStop(reason);
  }

  get #hasChildren(): boolean {
    return this.#children !== null && this.#children.size > 0;
  }

  #finishStop(incarnation: Incarnation<M> | null, reason: StopReason): void {
    try {
      incarnation?.actor?.postStop?.(incarnation, reason);
    } catch (hookError) {
      this.log.error({ err: hookError }, "postStop failed");
    }
    this.#phase = { kind: "stopped", reason };
    while (this.#mailbox.count > 0) this.#host.deadLetter(this.path, this.#mailbox.take());
    for (const ask of this.#asks ?? []) ask.fail("ACTOR_STOPPED", "stopped before it answered");
    this.#asks = null;
    // The name first, then the news (C4): whoever hears it may spawn a successor at once.
    if (this.#parent !== null) {
      this.#parent.#children?.delete(this.name);
      this.#parent.wake();
    }
    this.#host.noteStopped(this);
    for (const watcher of this.#watchers ?? []) watcher.#noteTerminated(this, reason);
    this.#watchers = null;
  }

  #noteTerminated(target: AnyCell, reason: StopReason): void {
    this.#pushSystem({ kind: "terminated", target, reason });
  }

  #pushSystem(message: SystemMessage): void {
    if (this.#phase.kind === "stopped") return;
    this.#system.push(message);
    this.wake();
  }

  #isEnding(): boolean {
    return this.#phase.kind === "stopping" || this.#phase.kind === "stopped";
  }

  #refuseStopped(message: M): TellResult {
    this.#host.deadLetter(this.path, message);
    return "stopped";
  }

  #refuseFull(): TellResult {
    this.#host.noteRefused();
    return "full";
  }
}

function cellOf(ref: AnyActorRef): AnyCell {
  if (ref instanceof ActorCell) return ref;
  throw new TypeError(`${ref.path} is not an actor of this thread`);
}

/**
 * An actor system: the actors of one thread and the loop that runs them. Actors with something to do stand
 * in a queue; each gets a turn of a bounded number of messages, then the next, so that one busy call cannot
 * hold up the others.
 *
 * It does not run on its own stack: `schedule` (setImmediate unless given) is asked to call `runReady` when
 * there is work. A host with a tick of its own may call `runReady` as well, at any time.
 */
import assert from "node:assert/strict";
import { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import type { ActorProps, ActorRef } from "./actor.js";
import { ActorCell, type AnyCell, type CellHost } from "./cell.js";
import type { Clock } from "./clock.js";
import { PendingAsk } from "./pending-ask.js";
import type { Random } from "./random.js";

/**
 * Messages an actor handles per turn. Large enough that the turn itself costs nothing beside them, small
 * enough that a thousand actors with full mailboxes still all run within a few milliseconds.
 */
const DEFAULT_THROUGHPUT = 32;

export interface ActorSystemOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Told of each message that no actor will handle; it must not throw. Without it they are only counted. */
  readonly onDeadLetter?: (path: string, message: unknown) => void;
  /** A top-level actor escalated and is stopping. @default one line in the log */
  readonly onEscalated?: (path: string, error: unknown) => void;
  /** Must call `run` soon, and never synchronously. @default setImmediate */
  readonly schedule?: (run: () => void) => void;
  /** Messages an actor handles per turn. @default 32 */
  readonly throughput?: number;
}

export interface ActorSystemStats {
  readonly actorCount: number;
  /** Messages waiting in the fullest mailbox, now. */
  readonly deepestMailbox: number;
  /** Since the start: tells that found a full mailbox. */
  readonly refusedMessages: number;
  /** Since the start: messages to actors that were gone, or that ended with them in the mailbox. */
  readonly deadLetters: number;
  /** Since the start. */
  readonly restarts: number;
}

export class ActorSystem {
  readonly #options: ActorSystemOptions;
  readonly #throughput: number;
  readonly #schedule: (run: () => void) => void;
  readonly #host: CellHost;
  readonly #cells = new Set<AnyCell>();
  readonly #rootNames = new Map<string, AnyCell>();
  readonly #onSchedule = (): void => {
    this.#scheduled = false;
    this.runReady();
  };
  #firstReady: AnyCell | null = null;
  #lastReady: AnyCell | null = null;
  #readyCount = 0;
  #scheduled = false;
  #running = false;
  #closing = false;
  readonly #onEmpty: (() => void)[] = [];
  #refusedMessages = 0;
  #deadLetters = 0;
  #restarts = 0;

  constructor(options: ActorSystemOptions) {
    this.#options = options;
    this.#throughput = options.throughput ?? DEFAULT_THROUGHPUT;
    assert(this.#throughput >= 1, "throughput must be at least 1");
    this.#schedule = options.schedule ?? ((run): void => void setImmediate(run));
    this.#host = this.#createHost();
  }

  /** Starts a top-level actor: its `create` and `preStart` run on its first turn. */
  spawn<M>(props: ActorProps<M>): ActorRef<M> {
    if (this.#closing) throw new LumentraError("ACTOR_STOPPED", "the actor system is shutting down");
    assert(!this.#rootNames.has(props.name), `there is a top-level actor named "${props.name}" already`);
    const cell = new ActorCell(this.#host, null, props);
    this.#rootNames.set(props.name, cell);
    return cell;
  }

  /** Asks a top-level actor, or any other, to stop. */
  stop(ref: ActorRef<never>): void {
    assert(ref instanceof ActorCell, "not an actor of this system");
    ref.requestStop({ kind: "stopped" });
  }

  /**
   * Tells a message that carries a way to reply, and waits for the reply: for code outside actors.
   * Rejects with ACTOR_ASK_TIMEOUT after `deadlineMs`, with ACTOR_STOPPED when the actor ends or has ended
   * without replying, with ACTOR_MAILBOX_FULL when the message was not accepted.
   */
  ask<M, R>(ref: ActorRef<M>, build: (reply: (value: R) => void) => M, deadlineMs: number): Promise<R> {
    return new Promise((resolve, reject) => {
      assert(ref instanceof ActorCell, "not an actor of this system");
      let pending: PendingAsk<R> | null = null;
      const message = build((value) => pending?.reply(value));
      pending = new PendingAsk<R>({
        path: ref.path,
        clock: this.#options.clock,
        deadlineMs,
        resolve,
        reject,
        onSettled: (ask) => ref.removeAsk(ask),
      });
      ref.addAsk(pending);
      const result = ref.tell(message);
      if (result === "full") pending.fail("ACTOR_MAILBOX_FULL", "has a full mailbox");
      if (result === "stopped") pending.fail("ACTOR_STOPPED", "is stopped");
    });
  }

  /**
   * Gives each actor that has something to do now one turn, and returns the number of messages handled.
   * What is left or came up meanwhile is scheduled.
   */
  runReady(): number {
    if (this.#running) return 0;
    this.#running = true;
    let handled = 0;
    try {
      for (let turns = this.#readyCount; turns > 0; turns--) {
        const cell = this.#takeReady();
        handled += cell.run(this.#throughput);
        if (!cell.queued && cell.hasWork()) this.#host.enqueue(cell);
      }
    } finally {
      this.#running = false;
      if (this.#readyCount > 0) this.#ensureScheduled();
    }
    return handled;
  }

  /** Stops every actor, children first; no more can be spawned. Resolves when the last is gone. */
  shutdown(): Promise<void> {
    this.#closing = true;
    for (const cell of this.#rootNames.values()) cell.requestStop({ kind: "shutdown" });
    if (this.#cells.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty.push(resolve);
    });
  }

  stats(): ActorSystemStats {
    let deepestMailbox = 0;
    for (const cell of this.#cells) deepestMailbox = Math.max(deepestMailbox, cell.mailboxDepth);
    return {
      actorCount: this.#cells.size,
      deepestMailbox,
      refusedMessages: this.#refusedMessages,
      deadLetters: this.#deadLetters,
      restarts: this.#restarts,
    };
  }

  #createHost(): CellHost {
    const { clock, random, log, onDeadLetter } = this.#options;
    const onEscalated =
      this.#options.onEscalated ??
      ((path, error): void => log.error({ err: error, actor: path }, "a top-level actor escalated"));
    return {
      clock,
      random,
      log,
      enqueue: (cell) => this.#enqueue(cell),
      noteStarted: (cell) => void this.#cells.add(cell),
      noteRestarted: () => void this.#restarts++,
      noteRefused: () => void this.#refusedMessages++,
      noteStopped: (cell) => this.#noteStopped(cell),
      deadLetter: (path, message) => {
        this.#deadLetters++;
        onDeadLetter?.(path, message);
      },
      escalated: onEscalated,
    };
  }

  #noteStopped(cell: AnyCell): void {
    this.#cells.delete(cell);
    if (this.#rootNames.get(cell.name) === cell) this.#rootNames.delete(cell.name);
    if (this.#cells.size > 0) return;
    for (const resolve of this.#onEmpty.splice(0)) resolve();
  }

  #enqueue(cell: AnyCell): void {
    cell.queued = true;
    if (this.#lastReady === null) this.#firstReady = cell;
    else this.#lastReady.nextReady = cell;
    this.#lastReady = cell;
    this.#readyCount++;
    if (!this.#running) this.#ensureScheduled();
  }

  #takeReady(): AnyCell {
    const cell = this.#firstReady;
    assert(cell !== null, "the ready queue holds as many actors as it counts");
    this.#firstReady = cell.nextReady;
    if (this.#firstReady === null) this.#lastReady = null;
    cell.nextReady = null;
    // Before its turn, not after: what it tells itself meanwhile puts it at the end of the queue.
    cell.queued = false;
    this.#readyCount--;
    return cell;
  }

  #ensureScheduled(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#schedule(this.#onSchedule);
  }
}

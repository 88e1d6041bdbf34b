/**
 * Commands to nodes, from any control plane to the one that holds the node's stream: over the directory, on
 * `node:<id>`, and to a stream of our own without that way round.
 *
 * Invariants
 * C1 A stream sees a command once, though it may come both ways and be sent again.
 * C2 `tell` is a hint: what it says can also be learned otherwise (a claim's verdict, a welcome). `deliver` says
 *    whether a stream took it.
 */
import { randomUUID } from "node:crypto";
import type { Clock, TimerHandle } from "#runtime/actor";
import type { Logger } from "#runtime/telemetry";
import type { Directory } from "../directory/directory.js";

export type NodeCommand =
  | { readonly kind: "drain"; readonly draining: boolean }
  | { readonly kind: "hangUp"; readonly callId: string; readonly reason: string }
  | { readonly kind: "leaseLost"; readonly callId: string; readonly epoch: number }
  | { readonly kind: "reportLeases" };

interface Envelope {
  readonly id: string;
  /** Topic on which to say that a stream took it; null when nobody waits. */
  readonly replyTo: string | null;
  readonly command: NodeCommand;
}

/** Returns false when the stream is ending. */
export type CommandSink = (command: NodeCommand) => boolean;

interface Attached {
  readonly sink: CommandSink;
  /** Ids of the last commands, oldest first (C1). */
  readonly seen: Set<string>;
}

/** Commands remembered per stream: those of the last seconds, even while an operator hangs up a tenant's calls. */
const SEEN_MAX = 1_024;
/** A node that reconnects is without a stream for a moment: the command is published again. */
const RESEND_MS = 500;
/** Deliveries waiting at once, per control plane. */
const WAITING_MAX = 10_000;

export interface NodeCommandsOptions {
  readonly directory: Directory;
  readonly controlPlaneId: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export class NodeCommands {
  readonly #options: NodeCommandsOptions;
  readonly #streams = new Map<string, Set<Attached>>();
  readonly #waiting = new Map<string, () => void>();
  #unsubscribe: (() => void) | null = null;

  constructor(options: NodeCommandsOptions) {
    this.#options = options;
  }

  /** @throws LumentraError DIRECTORY_UNAVAILABLE */
  async start(): Promise<void> {
    this.#unsubscribe = await this.#options.directory.subscribe(this.#replies, (id) => {
      this.#waiting.get(id)?.();
    });
  }

  close(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  /** A node's stream is here; the returned function takes it away again. */
  async attach(nodeId: string, sink: CommandSink): Promise<() => void> {
    const attached: Attached = { sink, seen: new Set() };
    const streams = this.#streams.get(nodeId) ?? new Set();
    this.#streams.set(nodeId, streams.add(attached));
    const forget = (): void => {
      streams.delete(attached);
      if (streams.size === 0 && this.#streams.get(nodeId) === streams) this.#streams.delete(nodeId);
    };
    try {
      const unsubscribe = await this.#options.directory.subscribe(topicOf(nodeId), (message) => {
        this.#take(attached, JSON.parse(message) as Envelope);
      });
      return () => {
        unsubscribe();
        forget();
      };
    } catch (error) {
      forget();
      throw error;
    }
  }

  /** C2. Never rejects. */
  async tell(nodeId: string, command: NodeCommand): Promise<void> {
    await this.#send(nodeId, { id: randomUUID(), replyTo: null, command }).catch((error: unknown) =>
      this.#options.log.warn({ error, nodeId, command: command.kind }, "a node could not be told"),
    );
  }

  /** True when a stream of the node took it; false when none did in time. @throws DIRECTORY_UNAVAILABLE */
  async deliver(nodeId: string, command: NodeCommand, timeoutMs: number): Promise<boolean> {
    const { clock } = this.#options;
    if (this.#waiting.size >= WAITING_MAX) return false;
    const envelope: Envelope = { id: randomUUID(), replyTo: this.#replies, command };
    const timers = new Set<TimerHandle>();
    try {
      return await new Promise<boolean>((resolve, reject) => {
        this.#waiting.set(envelope.id, () => resolve(true));
        const send = (): void => {
          void this.#send(nodeId, envelope).catch(reject);
          timers.add(clock.setTimer(RESEND_MS, send));
        };
        timers.add(clock.setTimer(timeoutMs, () => resolve(false)));
        send();
      });
    } finally {
      this.#waiting.delete(envelope.id);
      for (const timer of timers) timer.cancel();
    }
  }

  get #replies(): string {
    return `told:${this.#options.controlPlaneId}`;
  }

  async #send(nodeId: string, envelope: Envelope): Promise<void> {
    for (const attached of this.#streams.get(nodeId) ?? []) this.#take(attached, envelope);
    // Also when there was one here: it may be the half-open rest of a node that is connected elsewhere by now.
    await this.#options.directory.publish(topicOf(nodeId), JSON.stringify(envelope));
  }

  #take(attached: Attached, { id, replyTo, command }: Envelope): void {
    const { seen, sink } = attached;
    if (!seen.has(id)) {
      if (!sink(command)) return;
      seen.add(id);
      if (seen.size > SEEN_MAX)
        for (const oldest of seen) {
          seen.delete(oldest);
          break;
        }
    }
    if (replyTo === null) return;
    if (replyTo === this.#replies) this.#waiting.get(id)?.();
    else
      void this.#options.directory.publish(replyTo, id).catch((error: unknown) => {
        this.#options.log.warn({ error }, "a command's sender could not be told that it arrived");
      });
  }
}

function topicOf(nodeId: string): string {
  return `node:${nodeId}`;
}

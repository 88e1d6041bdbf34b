/**
 * One socket to a voice with many contexts on it: routes what comes in to the context it belongs to.
 *
 * Invariants:
 * K1  A context hears its own messages only; what comes for an unknown one (cancelled, ended) is dropped.
 * K2  When the socket ends, every context on it hears `onSocketLost` exactly once, then the owner `onGone`.
 * K3  Never more contexts than `contextsPerSocket`; where the vendor counts those we left until it has ended
 *     them (`lingers`), so do we, for LINGER_MAX_MS at most.
 */
import type { Clock } from "#runtime/actor";
import { type DueSweep, NEVER } from "../due-sweep.js";
import type { Failure } from "../failures.js";
import type { Network } from "../network.js";
import { WireSocket, type WireSocketOwner } from "../wire-socket.js";
import type { ContextDialect, ContextMessage } from "./context-dialect.js";
import type { TtsVoice } from "./provider.js";

/** A chunk is some 100 ms of audio; a second of 48 kHz PCM in base64 is 128 KB. */
const MESSAGE_MAX_BYTES = 1024 * 1024;
/** A context we left is taken for ended after this long: a whole reply is made and sent in less. */
const LINGER_MAX_MS = 10_000;

export interface VoiceContext {
  readonly contextId: string;
  onMessage(message: ContextMessage): void;
  onSocketLost(failure: Failure): void;
}

export interface ContextSocketOwner {
  onOpen(socket: ContextSocket): void;
  /** A context that lingered is over. */
  onRoom(): void;
  onGone(socket: ContextSocket, failure: Failure | null): void;
  /** Whatever a context's handler threw: the other contexts must not feel it. */
  onHandlerThrew(contextId: string, error: unknown): void;
}

export class ContextSocket implements WireSocketOwner {
  /** When it opened; NEVER until then. */
  openedAtMs = NEVER;
  /** Since when no context was on it. */
  idleSinceMs: number;
  /** To be closed as soon as it has no context: takes no new ones. */
  retiring = false;
  readonly #clock: Clock;
  readonly #owner: ContextSocketOwner;
  readonly #wire: WireSocket;
  readonly #dialect: ContextDialect;
  readonly #contexts = new Map<string, VoiceContext>();
  /** Left and not ended, with the instants until which they count. */
  readonly #lingering = new Map<string, number>();

  constructor(
    owner: ContextSocketOwner,
    dialect: ContextDialect,
    voice: TtsVoice,
    clock: Clock,
    sweep: DueSweep,
    network: Network | undefined,
  ) {
    this.#owner = owner;
    this.#clock = clock;
    this.#dialect = dialect;
    this.idleSinceMs = clock.nowMs();
    const options = {
      ...dialect.socketOptions(voice),
      connectTimeoutMs: dialect.settings.connectTimeoutMs,
      messageMaxBytes: MESSAGE_MAX_BYTES,
    };
    this.#wire = new WireSocket(options, this, clock, sweep, network);
  }

  get isOpen(): boolean {
    return this.#wire.isOpen;
  }

  get contextCount(): number {
    return this.#contexts.size + this.#lingering.size;
  }

  get hasRoom(): boolean {
    return this.isOpen && !this.retiring && this.contextCount < this.#dialect.settings.contextsPerSocket;
  }

  get bufferedBytes(): number {
    return this.#wire.bufferedBytes;
  }

  /** Only when `hasRoom` (K3). */
  add(context: VoiceContext): void {
    this.#contexts.set(context.contextId, context);
  }

  /** It is over; `ended` when the vendor said so. */
  remove(context: VoiceContext, ended: boolean): void {
    if (!this.#contexts.delete(context.contextId)) return;
    if (!ended && this.#dialect.lingers) {
      this.#lingering.set(context.contextId, this.#clock.nowMs() + LINGER_MAX_MS);
    }
    this.#noteIdle();
  }

  /** Ends the lingering of contexts the vendor never spoke of again. */
  tend(nowMs: number): void {
    for (const [contextId, untilMs] of this.#lingering) {
      if (untilMs <= nowMs && this.#lingering.delete(contextId)) this.#onRoom();
    }
  }

  send(text: string): void {
    this.#wire.send(text);
  }

  close(): void {
    this.#wire.close();
  }

  // WireSocketOwner

  onOpen(): void {
    this.openedAtMs = this.#clock.nowMs();
    this.#owner.onOpen(this);
  }

  onText(text: string): void {
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      message = null;
    }
    if (typeof message !== "object" || message === null) {
      // Whose it was cannot be told, so all of them miss something.
      this.#wire.fail({ reason: "PROTOCOL_ERROR", what: "sent a message that is not a JSON object" });
      return;
    }
    const fields = message as ContextMessage;
    const contextId = this.#dialect.contextIdOf(fields);
    if (contextId === null) {
      const failure = this.#dialect.socketFailureOf(fields);
      if (failure !== null) this.#wire.fail(failure);
      return;
    }
    try {
      this.#contexts.get(contextId)?.onMessage(fields); // K1
    } catch (error) {
      this.#owner.onHandlerThrew(contextId, error);
    }
    if (this.#dialect.isLast(fields) && this.#lingering.delete(contextId)) this.#onRoom();
  }

  onClosed(failure: Failure | null): void {
    const lost = failure ?? { reason: "CLOSED", what: "connection was closed by us" };
    const contexts = [...this.#contexts.values()];
    this.#contexts.clear();
    for (const context of contexts) context.onSocketLost(lost); // K2
    this.#owner.onGone(this, failure);
  }

  #onRoom(): void {
    this.#noteIdle();
    this.#owner.onRoom();
  }

  #noteIdle(): void {
    if (this.contextCount > 0) return;
    this.idleSinceMs = this.#clock.nowMs();
    if (this.retiring) this.close();
  }
}

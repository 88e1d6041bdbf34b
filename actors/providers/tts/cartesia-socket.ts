/**
 * One socket to Cartesia with many contexts on it: routes what comes in to the context it belongs to.
 *
 * A thin client on `ws` rather than `@cartesia/cartesia-js` 4.2: that package's ES modules do not load on
 * Node 20, it insists on `wss:` (no emulator without a TLS certificate), and after a drop it reconnects
 * without a word, forgets every context and ends them as if they were complete. What is left of the
 * protocol is four messages out and five in.
 *
 * Invariants:
 * K1  A context hears its own messages only; what comes for an unknown one (cancelled, ended) is dropped.
 * K2  When the socket ends, every context on it hears `onSocketLost` exactly once, then the owner `onGone`.
 * K3  Never more contexts than `contextsMax`.
 */
import type { Clock } from "#runtime/actor";
import { type DueSweep, NEVER } from "../due-sweep.js";
import type { Failure } from "../failures.js";
import type { Network } from "../network.js";
import { type CartesiaSettings, webSocketOrigin } from "../settings.js";
import { WireSocket, type WireSocketOwner } from "../wire-socket.js";
import { type CartesiaMessage, failureOf } from "./cartesia-messages.js";

/** A chunk is some 100 ms of audio; a second of 48 kHz PCM in base64 is 128 KB. */
const MESSAGE_MAX_BYTES = 1024 * 1024;

export interface CartesiaContext {
  readonly contextId: string;
  onMessage(message: CartesiaMessage): void;
  onSocketLost(failure: Failure): void;
}

export interface CartesiaSocketOwner {
  onOpen(socket: CartesiaSocket): void;
  onGone(socket: CartesiaSocket, failure: Failure | null): void;
  /** Whatever a context's handler threw: the other contexts must not feel it. */
  onHandlerThrew(contextId: string, error: unknown): void;
}

export class CartesiaSocket implements WireSocketOwner {
  /** When it opened; NEVER until then. */
  openedAtMs = NEVER;
  /** Since when no context was on it. */
  idleSinceMs: number;
  /** To be closed as soon as it has no context: takes no new ones. */
  retiring = false;
  readonly #clock: Clock;
  readonly #owner: CartesiaSocketOwner;
  readonly #wire: WireSocket;
  readonly #contextsMax: number;
  readonly #contexts = new Map<string, CartesiaContext>();

  constructor(
    owner: CartesiaSocketOwner,
    settings: CartesiaSettings,
    clock: Clock,
    sweep: DueSweep,
    network: Network | undefined,
  ) {
    this.#owner = owner;
    this.#clock = clock;
    this.#contextsMax = settings.contextsPerSocket;
    this.idleSinceMs = clock.nowMs();
    const options = {
      url: `${webSocketOrigin(settings.url)}/tts/websocket`,
      headers: { "X-API-Key": settings.apiKey, "Cartesia-Version": settings.version },
      connectTimeoutMs: settings.connectTimeoutMs,
      messageMaxBytes: MESSAGE_MAX_BYTES,
      requestIdHeader: "x-request-id",
    };
    this.#wire = new WireSocket(options, this, clock, sweep, network);
  }

  get isOpen(): boolean {
    return this.#wire.isOpen;
  }

  get contextCount(): number {
    return this.#contexts.size;
  }

  get hasRoom(): boolean {
    return this.isOpen && !this.retiring && this.#contexts.size < this.#contextsMax;
  }

  get bufferedBytes(): number {
    return this.#wire.bufferedBytes;
  }

  /** Only when `hasRoom` (K3). */
  add(context: CartesiaContext): void {
    this.#contexts.set(context.contextId, context);
  }

  remove(context: CartesiaContext): void {
    this.#contexts.delete(context.contextId);
    if (this.#contexts.size > 0) return;
    this.idleSinceMs = this.#clock.nowMs();
    if (this.retiring) this.close();
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
    const fields = message as CartesiaMessage;
    const contextId = fields["context_id"];
    if (typeof contextId !== "string") {
      if (fields["type"] === "error") this.#wire.fail(failureOf(fields));
      return;
    }
    try {
      this.#contexts.get(contextId)?.onMessage(fields); // K1
    } catch (error) {
      this.#owner.onHandlerThrew(contextId, error);
    }
  }

  onClosed(failure: Failure | null): void {
    const lost = failure ?? { reason: "CLOSED", what: "connection was closed by us" };
    const contexts = [...this.#contexts.values()];
    this.#contexts.clear();
    for (const context of contexts) context.onSocketLost(lost); // K2
    this.#owner.onGone(this, failure);
  }
}

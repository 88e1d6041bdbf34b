/**
 * One connection to Deepgram: its address, its messages, and the socket under them.
 *
 * Without the SDK at run time: it is 500 files, 0.3 s of CPU and 9 MB for each thread that loads it, a connection of its
 * holds 30 KiB, and of all that it does four messages and an address are used. Its types hold our requests to the API,
 * and it runs against the emulator in tests.
 *
 * Invariants:
 * C1  The owner hears `onReady` at most once, then messages, then `onEnd` exactly once; after `release()`
 *     nothing.
 * C2  A session serves one stream. Ahead of that it belongs to the pool; `adopt()` hands it over.
 */
import type { Clock } from "#runtime/actor";
import type { DueSweep } from "../due-sweep.js";
import type { Failure } from "../failures.js";
import type { Network } from "../network.js";
import { type DeepgramSettings, webSocketOrigin } from "../settings.js";
import { WireSocket, type WireSocketOwner } from "../wire-socket.js";
import { CLOSE_STREAM, type DeepgramControls, type DeepgramDialect } from "./deepgram-dialect.js";
import type { SessionOwner, SessionRequest, SttSession } from "./stt-dialect.js";

/** The longest message is a final with hundreds of words, some 100 KB. */
const MESSAGE_MAX_BYTES = 1024 * 1024;

export interface SessionDeps {
  readonly settings: DeepgramSettings;
  readonly clock: Clock;
  readonly sweep: DueSweep;
  readonly network?: Network | undefined;
  /** Its socket is gone, or never was; after `onEnd` or some time after `release()`. */
  readonly onGone: (session: SttSession) => void;
}

const noOwner: SessionOwner = { onReady() {}, onMessage() {}, onEnd() {} };

export class DeepgramSession implements SttSession, WireSocketOwner {
  readonly openedAtMs: number;
  readonly #onGone: (session: SttSession) => void;
  readonly #wire: WireSocket;
  readonly #controls: DeepgramControls;
  #owner: SessionOwner;
  #stage: "opening" | "ready" | "ended" = "opening";
  /** Audio sent to keep the socket open before it had a caller: part of Deepgram's time, not of the call's. */
  #leadInMs = 0;

  constructor(dialect: DeepgramDialect, request: SessionRequest, owner: SessionOwner, deps: SessionDeps) {
    const { settings, clock, sweep, network } = deps;
    this.#owner = owner;
    this.#onGone = deps.onGone;
    this.#controls = dialect.controls(settings);
    this.openedAtMs = clock.nowMs();
    const options = {
      url: addressOf(dialect, request, settings),
      headers: { authorization: `Token ${settings.apiKey}` },
      connectTimeoutMs: settings.connectTimeoutMs,
      messageMaxBytes: MESSAGE_MAX_BYTES,
      requestIdHeader: "dg-request-id",
      errorHeader: "dg-error",
    };
    this.#wire = new WireSocket(options, this, clock, sweep, network);
  }

  get isReady(): boolean {
    return this.#stage === "ready";
  }

  get leadInMs(): number {
    return this.#leadInMs;
  }

  get bufferedBytes(): number {
    return this.#wire.bufferedBytes;
  }

  /** C2. */
  adopt(owner: SessionOwner): void {
    this.#owner = owner;
  }

  /** Audio in the requested format; sent at once. Only when ready. */
  sendAudio(audio: Uint8Array): void {
    if (this.#stage === "ready") this.#wire.send(audio);
  }

  /** Silence that holds the socket open while it waits for a caller. */
  sendLeadIn(silence: Uint8Array, durationMs: number): void {
    this.#leadInMs += durationMs;
    this.sendAudio(silence);
  }

  keepAlive(): void {
    this.#say(this.#controls.keepAlive);
  }

  finalize(): void {
    this.#say(this.#controls.finalize);
  }

  /** Says goodbye and leaves; the owner hears nothing more (C1). Idempotent. */
  release(): void {
    this.#owner = noOwner;
    if (this.#stage === "ended") return;
    this.#say(CLOSE_STREAM);
    this.#stage = "ended";
    this.#wire.close();
  }

  /** The peer broke the protocol: leaves at once; the owner hears `onEnd`. */
  fail(failure: Failure): void {
    this.#wire.fail(failure);
  }

  // What the socket tells

  onOpen(): void {
    if (this.#stage !== "opening") return;
    this.#stage = "ready";
    this.#owner.onReady();
  }

  onText(text: string): void {
    if (this.#stage === "ready") this.#owner.onMessage(parsed(text));
  }

  onClosed(failure: Failure | null): void {
    this.#end(failure ?? { reason: "CLOSED", what: "connection was closed by us" });
    this.#onGone(this);
  }

  #say(text: string | null): void {
    if (this.#stage === "ready" && text !== null) this.#wire.send(text);
  }

  #end(failure: Failure): void {
    if (this.#stage === "ended") return;
    this.#stage = "ended";
    const owner = this.#owner;
    this.#owner = noOwner;
    // 1008 (DATA-0000): it cannot decode what we send, so sending it again would not help.
    const refused = failure.reason === "STREAM_BROKEN" && failure.detail?.closeCode === 1008;
    owner.onEnd(refused ? { ...failure, reason: "REJECTED" } : failure);
  }
}

function addressOf(dialect: DeepgramDialect, request: SessionRequest, settings: DeepgramSettings): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(dialect.query(request, settings))) {
    for (const one of Array.isArray(value) ? (value as readonly string[]) : [value]) {
      query.append(name, String(one));
    }
  }
  return `${webSocketOrigin(settings.url)}${dialect.path}?${query.toString()}`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

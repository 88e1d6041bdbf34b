/**
 * One connection to Deepgram: the SDK writes the address, the headers and the control messages; the bytes go
 * over a WireSocket of ours, handed to the SDK as its transport. That keeps the SDK's knowledge of the API and
 * leaves out its socket: compression, 30 reconnects of its own, time-outs on the machine's clock, refused
 * upgrades without status. One client object per connection, since a transport factory is not told which
 * connection it dials for. Once the socket is open the SDK has written down its control messages and is let
 * go: a connection of its, with its listeners, would be a quarter of a call's memory.
 *
 * Audio and results, which are frequent, go past the SDK: its way of handing a message on (an iterator's queue
 * and a promise for each) was an eighth of a busy shard's time. It costs 9 MB and 100 ms per shard to load.
 *
 * Invariants:
 * C1  The owner hears `onReady` at most once, then messages, then `onEnd` exactly once; after `release()`
 *     nothing.
 * C2  A session serves one stream. Ahead of that it belongs to the pool; `adopt()` hands it over.
 */
import { DeepgramClient } from "@deepgram/sdk";
import type { Clock } from "#runtime/actor";
import type { DueSweep } from "../due-sweep.js";
import type { Failure } from "../failures.js";
import type { Network } from "../network.js";
import { type DeepgramSettings, webSocketOrigin } from "../settings.js";
import { WireSocket, type WireSocketOptions } from "../wire-socket.js";
import type { DeepgramControls, DeepgramDialect } from "./deepgram-dialect.js";
import type { SessionOwner, SessionRequest, SttSession } from "./stt-dialect.js";

/** The longest message is a final with hundreds of words, some 100 KB. */
const MESSAGE_MAX_BYTES = 1024 * 1024;
/** The SDK arms a timer of its own for the handshake; ours (connectTimeoutMs) is shorter and clears it. */
const SDK_CONNECT_TIMEOUT_S = 3_600;

export interface SessionDeps {
  readonly settings: DeepgramSettings;
  readonly clock: Clock;
  readonly sweep: DueSweep;
  readonly network?: Network | undefined;
  /** Its socket is gone, or never was; after `onEnd` or some time after `release()`. */
  readonly onGone: (session: SttSession) => void;
}

type DeepgramTransport = ReturnType<
  Extract<NonNullable<ConstructorParameters<typeof DeepgramClient>[0]>["transportFactory"], object>
>;

/** What the SDK sends for each; null where this API has no such message. */
interface ControlTexts {
  readonly keepAlive: string | null;
  readonly finalize: string | null;
  readonly closeStream: string | null;
}

const noTexts: ControlTexts = { keepAlive: null, finalize: null, closeStream: null };

const noOwner: SessionOwner = { onReady() {}, onMessage() {}, onEnd() {} };

export class DeepgramSession implements SttSession {
  readonly openedAtMs: number;
  readonly #clock: Clock;
  readonly #settings: DeepgramSettings;
  readonly #onGone: (session: SttSession) => void;
  #owner: SessionOwner;
  #wire: WireSocket | null = null;
  /** The SDK's connection, until the socket is open. */
  #controls: DeepgramControls | null = null;
  #texts = noTexts;
  #stage: "opening" | "ready" | "ended" = "opening";
  /** Audio sent to keep the socket open before it had a caller: part of Deepgram's time, not of the call's. */
  #leadInMs = 0;

  constructor(dialect: DeepgramDialect, request: SessionRequest, owner: SessionOwner, deps: SessionDeps) {
    this.#owner = owner;
    this.#clock = deps.clock;
    this.#settings = deps.settings;
    this.#onGone = deps.onGone;
    this.openedAtMs = deps.clock.nowMs();
    this.#open(dialect, request, deps).catch((error: unknown) => this.#refusedBySdk(error));
  }

  get isReady(): boolean {
    return this.#stage === "ready";
  }

  get leadInMs(): number {
    return this.#leadInMs;
  }

  get bufferedBytes(): number {
    return this.#wire?.bufferedBytes ?? 0;
  }

  /** C2. */
  adopt(owner: SessionOwner): void {
    this.#owner = owner;
  }

  /** Audio in the requested format; sent at once. Only when ready. */
  sendAudio(audio: Uint8Array): void {
    if (this.#stage === "ready") this.#wire?.send(audio);
  }

  /** Silence that holds the socket open while it waits for a caller. */
  sendLeadIn(silence: Uint8Array, durationMs: number): void {
    this.#leadInMs += durationMs;
    this.sendAudio(silence);
  }

  keepAlive(): void {
    this.#say(this.#texts.keepAlive);
  }

  finalize(): void {
    this.#say(this.#texts.finalize);
  }

  /** Says goodbye and leaves; the owner hears nothing more (C1). Idempotent. */
  release(): void {
    this.#owner = noOwner;
    if (this.#stage === "ended") return;
    this.#say(this.#texts.closeStream);
    this.#stage = "ended";
    // The SDK's close() would tell our transport to close; doing it ourselves works before it has one, too.
    this.#detach();
    this.#wire?.close();
  }

  /** The peer broke the protocol: leaves at once; the owner hears `onEnd`. */
  fail(failure: Failure): void {
    if (this.#wire !== null) this.#wire.fail(failure);
    else this.#end(failure);
  }

  #say(text: string | null): void {
    if (this.#stage === "ready" && text !== null) this.#wire?.send(text);
  }

  #detach(): void {
    this.#controls?.detach();
    this.#controls = null;
  }

  async #open(dialect: DeepgramDialect, request: SessionRequest, deps: SessionDeps): Promise<void> {
    const { apiKey, url, connectTimeoutMs } = this.#settings;
    const client = new DeepgramClient({
      apiKey,
      baseUrl: webSocketOrigin(url),
      transportFactory: (address, headers) => {
        const options = {
          url: address,
          headers,
          connectTimeoutMs,
          messageMaxBytes: MESSAGE_MAX_BYTES,
          requestIdHeader: "dg-request-id",
          errorHeader: "dg-error",
        };
        return this.#dial(options, deps);
      },
    });
    const controls = await dialect.open(client, request, this.#settings, SDK_CONNECT_TIMEOUT_S);
    if (this.#stage === "ended") {
      this.#onGone(this);
      return;
    }
    this.#controls = controls;
    controls.start();
  }

  /** The SDK sees a transport; what happens on it goes to the owner straight and to the SDK as it needs. */
  #dial(options: WireSocketOptions, { sweep, network }: SessionDeps): DeepgramTransport {
    let sdkOpened: (() => void) | undefined;
    let sdkClosed: ((event: { code: number }) => void) | undefined;
    /** Where the SDK's messages and its close go: to the socket, to be written down, or nowhere any more. */
    let sdkSays: ((text: string) => void) | null = null;
    const written = (say: () => void): string | null => {
      let message: string | null = null;
      sdkSays = (text) => void (message = text);
      say();
      return message;
    };
    const wire = new WireSocket(
      options,
      {
        onOpen: () => {
          if (this.#stage !== "opening") return;
          sdkOpened?.();
          const controls = this.#controls!;
          this.#texts = {
            keepAlive: written(() => controls.keepAlive()),
            finalize: written(() => controls.finalize()),
            closeStream: written(() => controls.closeStream()),
          };
          sdkSays = () => undefined;
          this.#detach();
          sdkOpened = undefined;
          sdkClosed = undefined;
          this.#stage = "ready";
          this.#owner.onReady();
        },
        onText: (text) => {
          if (this.#stage === "ready") this.#owner.onMessage(parsed(text));
        },
        onClosed: (failure) => {
          // 1000 whatever happened: anything else is an invitation to reconnect.
          sdkClosed?.({ code: 1000 });
          this.#end(failure ?? { reason: "CLOSED", what: "connection was closed by us" });
          this.#onGone(this);
        },
      },
      this.#clock,
      sweep,
      network,
    );
    this.#wire = wire;
    if (this.#stage === "ended") wire.close(); // released before the SDK got round to dialling
    return {
      send: (data) => sdkSays?.(data as string),
      onOpen: (listener) => void (sdkOpened = listener),
      onMessage: () => undefined,
      onError: () => undefined,
      onClose: (listener) => void (sdkClosed = listener),
      isOpen: () => wire.isOpen,
      close: () => {
        if (sdkSays === null) wire.close();
      },
      ping: () => undefined,
    };
  }

  #refusedBySdk(_error: unknown): void {
    // Only the SDK's own checks of the options end here; their text may quote keyterms, so it is left out.
    this.#end({ reason: "REJECTED", what: "client library refused the request's options" });
    this.#onGone(this);
  }

  #end(failure: Failure): void {
    if (this.#stage === "ended") return;
    this.#stage = "ended";
    this.#detach();
    const owner = this.#owner;
    this.#owner = noOwner;
    // 1008 (DATA-0000): it cannot decode what we send, so sending it again would not help.
    const refused = failure.reason === "STREAM_BROKEN" && failure.detail?.closeCode === 1008;
    owner.onEnd(refused ? { ...failure, reason: "REJECTED" } : failure);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

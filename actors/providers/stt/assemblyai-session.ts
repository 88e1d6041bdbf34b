/**
 * One connection to AssemblyAI: a WireSocket that is ready when the session's `Begin` came, not before. A key
 * that is wrong and an account that is full are told by close codes after the upgrade, so they are read here.
 *
 * No SDK: its socket would bring reconnects and timers of its own, and the protocol is a dozen fields.
 */
import type { Clock } from "#runtime/actor";
import type { AudioEncoding } from "#runtime/media";
import { type Due, type DueSweep, NEVER } from "../due-sweep.js";
import type { Failure, FailureReason } from "../failures.js";
import type { Network } from "../network.js";
import { type AssemblySettings, webSocketOrigin } from "../settings.js";
import { WireSocket } from "../wire-socket.js";
import { type SessionOwner, type SessionRequest, type SttSession, textOf } from "./stt-dialect.js";

/** A turn's words with their times; a caller who speaks for minutes makes some 100 KB. */
const MESSAGE_MAX_BYTES = 1024 * 1024;

/** Byte order is settled before audio gets here; A-law it does not know. */
const ASSEMBLY_ENCODING = {
  mulaw: "pcm_mulaw",
  alaw: null,
  l16le: "pcm_s16le",
  l16be: "pcm_s16le",
} as const satisfies Record<AudioEncoding, string | null>;

export interface AssemblySessionDeps {
  readonly settings: AssemblySettings;
  readonly clock: Clock;
  readonly sweep: DueSweep;
  readonly network?: Network | undefined;
  /** Its socket is gone, or never was. */
  readonly onGone: (session: SttSession) => void;
}

const noOwner: SessionOwner = { onReady() {}, onMessage() {}, onEnd() {} };

export class AssemblySession implements SttSession, Due {
  readonly openedAtMs: number;
  /** Until `Begin`. */
  dueAtMs = NEVER;
  readonly #deps: AssemblySessionDeps;
  readonly #wire: WireSocket | null;
  #owner: SessionOwner;
  #stage: "opening" | "ready" | "ended" = "opening";
  #leadInMs = 0;

  constructor(request: SessionRequest, owner: SessionOwner, deps: AssemblySessionDeps) {
    this.#deps = deps;
    this.#owner = owner;
    this.openedAtMs = deps.clock.nowMs();
    const encoding = ASSEMBLY_ENCODING[request.format.encoding];
    if (encoding === null) {
      this.#wire = null;
      queueMicrotask(() => this.#ended({ reason: "REJECTED", what: "takes no audio in A-law" }));
      return;
    }
    const { settings, clock, sweep, network } = deps;
    deps.sweep.add(this);
    this.#wire = new WireSocket(
      {
        url: addressOf(request, encoding, settings),
        headers: { authorization: settings.apiKey },
        connectTimeoutMs: settings.connectTimeoutMs,
        messageMaxBytes: MESSAGE_MAX_BYTES,
        requestIdHeader: "x-request-id",
        errorHeader: "x-error",
      },
      {
        onOpen: () => {
          this.dueAtMs = clock.nowMs() + settings.connectTimeoutMs;
        },
        onText: (text) => this.#onText(text),
        onClosed: (failure) =>
          this.#ended(this.#meant(failure ?? { reason: "CLOSED", what: "connection was closed by us" })),
      },
      clock,
      sweep,
      network,
    );
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

  adopt(owner: SessionOwner): void {
    this.#owner = owner;
  }

  sendAudio(audio: Uint8Array): void {
    if (this.#stage === "ready") this.#wire?.send(audio);
  }

  sendLeadIn(silence: Uint8Array, durationMs: number): void {
    this.#leadInMs += durationMs;
    this.sendAudio(silence);
  }

  /** The socket's pings are enough: without an `inactivity_timeout` a session waits for hours. */
  keepAlive(): void {}

  finalize(): void {
    if (this.#stage === "ready") this.#wire?.send('{"type":"ForceEndpoint"}');
  }

  release(): void {
    this.#owner = noOwner;
    if (this.#stage === "ended") return;
    if (this.#stage === "ready") this.#wire?.send('{"type":"Terminate"}');
    this.#stage = "ended";
    this.#rest();
    this.#wire?.close();
  }

  onDue(): void {
    this.dueAtMs = NEVER;
    const detail = { phase: "connect" } as const;
    this.#wire?.fail({ reason: "TIMEOUT", what: "did not begin a session in time", detail });
  }

  #onText(text: string): void {
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      message = undefined;
    }
    if (this.#stage === "ready") return this.#owner.onMessage(message);
    if (this.#stage !== "opening" || typeOf(message) !== "Begin") return;
    this.#stage = "ready";
    this.#rest();
    this.#owner.onReady();
  }

  /** What its close codes mean. Before `Begin` nothing was lost by them. */
  #meant(failure: Failure): Failure {
    const code = failure.detail?.closeCode;
    if (failure.reason !== "STREAM_BROKEN" || code === undefined) return failure;
    const reason = reasonOfClose(code, failure.detail?.providerMessage ?? "");
    if (reason !== "STREAM_BROKEN" || this.#stage !== "opening") return { ...failure, reason };
    return { ...failure, reason: "CONNECT_FAILED" };
  }

  #rest(): void {
    this.dueAtMs = NEVER;
    this.#deps.sweep.remove(this);
  }

  #ended(failure: Failure): void {
    const owner = this.#owner;
    this.#owner = noOwner;
    this.#stage = "ended";
    this.#rest();
    owner.onEnd(failure);
    this.#deps.onGone(this);
  }
}

function reasonOfClose(code: number, message: string): FailureReason {
  switch (code) {
    case 1008:
      return /too many|rate|limit/i.test(message) ? "RATE_LIMITED" : "UNAUTHORIZED";
    case 3006: // it cannot read what we send
    case 3007: // pieces too short or too long, or faster than spoken
      return "REJECTED";
    case 3009:
      return "RATE_LIMITED";
    default: // 3005: its own fault; 3008: the session's longest life is over
      return "STREAM_BROKEN";
  }
}

function addressOf(request: SessionRequest, encoding: string, settings: AssemblySettings): string {
  const query = new URLSearchParams({
    speech_model: request.model,
    sample_rate: String(request.format.sampleRateHz),
    encoding,
    format_turns: String(settings.formatTurns),
    end_of_turn_confidence_threshold: String(settings.endOfTurnConfidence),
    min_turn_silence: String(settings.minTurnSilenceMs),
    max_turn_silence: String(settings.maxTurnSilenceMs),
  });
  if (request.keyterms.length > 0) query.set("keyterms_prompt", JSON.stringify(request.keyterms));
  return `${webSocketOrigin(settings.url)}/v3/ws?${query.toString()}`;
}

function typeOf(message: unknown): string {
  return typeof message === "object" && message !== null && "type" in message ? textOf(message.type) : "";
}

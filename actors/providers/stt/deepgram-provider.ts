/** Speech to text by Deepgram, v1 or Flux: streams on sessions opened ahead, or opened now when none is. */
import type { Clock, Random } from "#runtime/actor";
import type { Logger } from "#runtime/telemetry";
import type { DueSweep } from "../due-sweep.js";
import type { Failures } from "../failures.js";
import type { Network } from "../network.js";
import type { DeepgramSettings } from "../settings.js";
import type { DeepgramDialect, SessionRequest } from "./deepgram-dialect.js";
import { DeepgramSession, type SessionDeps, type SessionOwner } from "./deepgram-session.js";
import { DeepgramStream, type DeepgramStreamDeps } from "./deepgram-stream.js";
import type { SttEvents, SttProvider, SttRequest, SttStream } from "./provider.js";
import { WarmPool, type WarmRequest } from "./warm-pool.js";

/** Deepgram takes no more. */
const KEYTERMS_MAX = 100;

export interface DeepgramDeps {
  readonly settings: DeepgramSettings;
  readonly failures: Failures;
  readonly clock: Clock;
  readonly random: Random;
  readonly sweep: DueSweep;
  readonly log: Logger;
  readonly network?: Network | undefined;
}

const unowned: SessionOwner = { onReady() {}, onMessage() {}, onEnd() {} };

export class DeepgramProvider implements SttProvider {
  readonly name: string;
  readonly #dialect: DeepgramDialect;
  readonly #streamDeps: DeepgramStreamDeps;
  readonly #pool: WarmPool;
  readonly #streams = new Set<DeepgramStream>();
  /** Every session whose socket may still be there. */
  readonly #sessions = new Set<DeepgramSession>();
  readonly #sessionDeps: SessionDeps;
  #whenGone: (() => void) | null = null;
  #closed = false;

  constructor(dialect: DeepgramDialect, deps: DeepgramDeps) {
    this.name = dialect.name;
    this.#dialect = dialect;
    this.#streamDeps = { ...deps, onEnded: (stream) => void this.#streams.delete(stream) };
    this.#sessionDeps = { ...deps, onGone: (session) => this.#onGone(session) };
    const { warmPerKind, warmMax } = deps.settings;
    this.#pool = new WarmPool({
      ...deps,
      warmPerKind,
      warmMax,
      leadInRepeats: dialect.leadInRepeats,
      open: (request, owner) => this.#openSession({ ...request, callId: null }, owner),
    });
  }

  /** Sessions open and waiting for a call. */
  get warmCount(): number {
    return this.#pool.readyCount;
  }

  open(request: SttRequest, events: SttEvents): SttStream {
    const bounded = boundKeyterms(request);
    const stream = new DeepgramStream(this.#dialect, bounded, events, this.#streamDeps);
    if (this.#closed) {
      queueMicrotask(() => stream.failWith({ reason: "CLOSED", what: "is closed on this shard" }));
      return stream;
    }
    this.#streams.add(stream);
    stream.attach(this.#pool.take(bounded) ?? this.#openSession(bounded, unowned));
    return stream;
  }

  warm(request: WarmRequest): Promise<void> {
    return this.#pool.warm(boundKeyterms(request));
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#pool.close();
    // On a later tick: no event runs inside a call of theirs.
    return Promise.resolve().then(() => {
      for (const stream of this.#streams) {
        stream.failWith({ reason: "CLOSED", what: "is closed on this shard" });
      }
      if (this.#sessions.size === 0) return undefined;
      return new Promise<void>((resolve) => {
        this.#whenGone = resolve;
      });
    });
  }

  #openSession(request: SessionRequest, owner: SessionOwner): DeepgramSession {
    const session = new DeepgramSession(this.#dialect, request, owner, this.#sessionDeps);
    this.#sessions.add(session);
    return session;
  }

  #onGone(session: DeepgramSession): void {
    this.#sessions.delete(session);
    if (this.#sessions.size === 0) this.#whenGone?.();
  }
}

function boundKeyterms<Request extends WarmRequest>(request: Request): Request {
  if (request.keyterms.length <= KEYTERMS_MAX) return request;
  return { ...request, keyterms: request.keyterms.slice(0, KEYTERMS_MAX) };
}

/** Speech to text over WebSockets: streams on sessions opened ahead, or opened now when none is. */
import type { SttEvents, SttProvider, SttRequest, SttStream } from "./provider.js";
import { SocketStream, type SocketStreamDeps } from "./socket-stream.js";
import type { SessionOwner, SessionRequest, SocketSttDeps, SttDialect, SttSession } from "./stt-dialect.js";
import { WarmPool, type WarmRequest } from "./warm-pool.js";

/** Opens a session for `request`; `onGone` is told once its socket is gone, or never was. */
export type OpenSession = (
  request: SessionRequest,
  owner: SessionOwner,
  onGone: (session: SttSession) => void,
) => SttSession;

/** Neither Deepgram nor AssemblyAI takes more. */
const KEYTERMS_MAX = 100;

const unowned: SessionOwner = { onReady() {}, onMessage() {}, onEnd() {} };

export class SocketStt implements SttProvider {
  readonly name: string;
  readonly #dialect: SttDialect;
  readonly #streamDeps: SocketStreamDeps;
  readonly #pool: WarmPool;
  readonly #streams = new Set<SocketStream>();
  /** Every session whose socket may still be there. */
  readonly #sessions = new Set<SttSession>();
  readonly #openNew: OpenSession;
  #whenGone: (() => void) | null = null;
  #closed = false;

  constructor(dialect: SttDialect, openSession: OpenSession, deps: SocketSttDeps) {
    this.name = dialect.name;
    this.#dialect = dialect;
    this.#streamDeps = {
      ...deps,
      streams: this.#streams,
      onEnded: (stream) => void this.#streams.delete(stream),
    };
    this.#openNew = openSession;
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
    const stream = new SocketStream(this.#dialect, bounded, events, this.#streamDeps);
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

  #openSession(request: SessionRequest, owner: SessionOwner): SttSession {
    const session = this.#openNew(request, owner, (gone) => this.#onGone(gone));
    this.#sessions.add(session);
    return session;
  }

  #onGone(session: SttSession): void {
    this.#sessions.delete(session);
    if (this.#sessions.size === 0) this.#whenGone?.();
  }
}

function boundKeyterms<Request extends WarmRequest>(request: Request): Request {
  if (request.keyterms.length <= KEYTERMS_MAX) return request;
  return { ...request, keyterms: request.keyterms.slice(0, KEYTERMS_MAX) };
}

/**
 * The edge of a simulated node: real legs, admissions and pacing; webhooks and sockets are calls of functions, since
 * HTTP, signatures and tokens are the edge's own tests' matter.
 */
import {
  type Admission,
  Admissions,
  type AfterMedia,
  type Carrier,
  EdgeCounters,
  type EdgeDelegate,
  InboundMessage,
  MediaShapes,
  type InboundCall,
  Leg,
  type LegEnvironment,
  type LegRest,
  LoopTurns,
  Pump,
  createTwilio,
} from "#runtime/edge";
import { type EdgeSlot, RecordKind, type UntoldAudio } from "#runtime/media";
import { type Metrics, silentLogger } from "#runtime/telemetry";
import type { SimThread } from "./sim-time.js";
import { WordEar } from "./word-audio.js";

/** Of all that a ring has, read or not. */
const ALL: UntoldAudio = {
  fromMs: Number.NEGATIVE_INFINITY,
  toldMs: Number.NEGATIVE_INFINITY,
  untilMs: Number.POSITIVE_INFINITY,
  againMs: Number.POSITIVE_INFINITY,
};

/** What an in-ring held when a call's owner was gone and another took over. */
export interface TakeOver {
  readonly callId: string;
  readonly atMs: number;
  /** Of the oldest audio in it. */
  readonly oldestAtMs: number;
  /** Those that are whole in it. */
  readonly words: readonly string[];
}

const ADMISSION_TTL_MS = 8_000;
const SWEEP_MS = 1_000;
const PIECE_MS = 100;
const LEAD_MS = 400;
const HALF_OPEN_MS = 20_000;

export class SimEdge {
  readonly overflowAudio = { url: (): null => null, set: (): void => {} };
  readonly #thread: SimThread;
  readonly #delegate: EdgeDelegate;
  readonly #wakeShards: () => void;
  readonly #onTakeOver: (takeOver: TakeOver) => void;
  readonly #pump: Pump;
  readonly #admissions: Admissions;
  readonly #carrier: Carrier = createTwilio({ authTokens: [] });
  readonly #environment: LegEnvironment;
  readonly #legs = new Set<Leg>();
  readonly #byCallId = new Map<string, Leg>();
  readonly #bySlot = new Map<EdgeSlot, Leg>();
  #isClosed = false;

  /** `wakeShards`: packets were taken, and the rings of some shards may have been written. */
  constructor(
    thread: SimThread,
    delegate: EdgeDelegate,
    metrics: Metrics,
    wakeShards: () => void,
    onTakeOver: (takeOver: TakeOver) => void,
  ) {
    this.#thread = thread;
    this.#onTakeOver = onTakeOver;
    this.#wakeShards = wakeShards;
    this.#delegate = delegate;
    this.#pump = new Pump(thread);
    this.#admissions = new Admissions(thread, ADMISSION_TTL_MS, (callId) => delegate.mediaExpired(callId));
    this.#environment = {
      clock: thread,
      metrics,
      counters: new EdgeCounters(),
      delegate,
      pump: this.#pump,
      // Without a flag to nap by there are no turns: virtual time must not block.
      turns: new LoopTurns(thread, null, this.#pump.grid, {
        onPacketsTaken: () => {},
        lookAtBells: () => {},
        pump: () => {},
      }),
      inbound: new InboundMessage(),
      shapes: new MediaShapes(),
      playoutPieceMs: PIECE_MS,
      playoutLeadMs: LEAD_MS,
      halfOpenMs: HALF_OPEN_MS,
      onSettled: (leg) => {
        if (this.#byCallId.get(leg.callId) === leg) this.#byCallId.delete(leg.callId);
        if (this.#bySlot.get(leg.side) === leg) this.#bySlot.delete(leg.side);
      },
      onClosed: (leg) => this.#legs.delete(leg),
    };
    this.#sweepLater();
  }

  // ---- what the switchboard asks

  pump(side: EdgeSlot): void {
    const leg = this.#bySlot.get(side);
    if (leg !== undefined) this.#pump.wake(leg);
  }

  hangUp(callId: string): void {
    this.#byCallId.get(callId)?.hangUp();
    this.#admissions.expire(callId);
  }

  playAndClose(callId: string, audio: Uint8Array): void {
    const leg = this.#byCallId.get(callId);
    if (leg !== undefined) {
      this.#bySlot.delete(leg.side);
      leg.playAndClose(audio);
    }
    this.#admissions.expire(callId);
  }

  takeRest(callId: string, untold: UntoldAudio): LegRest | null {
    const leg = this.#byCallId.get(callId);
    if (leg !== undefined) this.#onTakeOver(this.#ringOf(leg));
    return leg?.takeRest(untold) ?? null;
  }

  #ringOf(leg: Leg): TakeOver {
    const audio = leg.side.in.held(ALL).filter(({ kind }) => kind === RecordKind.audio);
    const ear = new WordEar();
    const words = audio.flatMap(({ payload }) => ear.hear(payload, 0) ?? []);
    const atMs = this.#thread.nowMs();
    return { callId: leg.callId, atMs, oldestAtMs: audio[0]?.timestampMs ?? atMs, words };
  }

  rebind(callId: string, side: EdgeSlot, ringShard: () => void, { held }: LegRest): void {
    const leg = this.#byCallId.get(callId);
    if (leg === undefined) return;
    if (this.#bySlot.get(leg.side) === leg) this.#bySlot.delete(leg.side);
    leg.rebind(side, ringShard, held);
    this.#bySlot.set(side, leg);
  }

  // ---- what the carrier does

  async voice(call: InboundCall): Promise<Admission> {
    const repeated = this.#admissions.find(call.carrier, call.carrierCallId);
    if (repeated !== null) return repeated.admitted;
    return this.#noteAdmitted(call, await this.#delegate.admit(call));
  }

  async afterMedia(callId: string, epoch: number, call: InboundCall): Promise<AfterMedia> {
    const repeated = this.#admissions.find(call.carrier, call.carrierCallId);
    if (repeated?.admitted.callId === callId) return { kind: "reconnect", admission: repeated.admitted };
    const leg = this.#byCallId.get(callId);
    if (leg !== undefined && leg.epoch <= epoch) leg.lose();
    const after = await this.#delegate.afterMedia(callId, epoch, call);
    if (typeof after === "object" && after.kind === "reconnect") this.#noteAdmitted(call, after.admission);
    return after;
  }

  /** The carrier's status callback: a call is over. */
  carrierEnded(carrierCallId: string): void {
    const { name } = this.#carrier;
    this.#delegate.carrierEnded(name, carrierCallId);
    const waiting = this.#admissions.find(name, carrierCallId);
    if (waiting !== null) this.#admissions.expire(waiting.admitted.callId);
  }

  /** A media socket with a good token knocks. Null: refused. */
  async upgrade(callId: string): Promise<Leg | null> {
    let waiting = this.#admissions.take(callId);
    if (waiting === null) {
      const claimed = await this.#delegate.claim(callId);
      if (claimed === null) return null;
      waiting = {
        ...claimed,
        carrier: this.#carrier.name,
        expiresAtUnixMs: this.#thread.unixMs(),
      };
    }
    const leg = new Leg(this.#environment, this.#carrier, waiting, silentLogger);
    this.#legs.add(leg);
    this.#byCallId.set(leg.callId, leg);
    this.#bySlot.set(leg.side, leg);
    return leg;
  }

  /** One message of a socket's, as `guard`: for the many. */
  take(leg: Leg, message: ArrayBuffer): void {
    try {
      leg.onMessage(message, false);
    } catch {
      leg.abandon();
    }
    this.#wakeShards();
  }

  /** As uWS guards a socket's handlers. */
  guard(leg: Leg, body: () => void): void {
    try {
      body();
    } catch {
      leg.abandon();
    }
    this.#wakeShards();
  }

  get openCount(): number {
    return this.#legs.size + this.#admissions.waitingCount + this.#pump.waitingCount;
  }

  close(): void {
    this.#isClosed = true;
    this.#admissions.expireAll();
    for (const leg of this.#legs) leg.hangUp();
    this.#pump.close();
  }

  #noteAdmitted<A extends Admission>(call: InboundCall, admission: A): A {
    if (admission.kind === "admitted") this.#admissions.add(call.carrier, call.carrierCallId, admission);
    return admission;
  }

  #sweepLater(): void {
    if (this.#isClosed) return;
    this.#thread.setTimer(SWEEP_MS, () => {
      const nowMs = this.#thread.nowMs();
      for (const leg of this.#legs) this.guard(leg, () => leg.sweep(nowMs));
      this.#sweepLater();
    });
  }
}

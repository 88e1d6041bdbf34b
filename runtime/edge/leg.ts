/**
 * A leg: one call's media socket, from upgrade to close. Inbound it copies audio and events into the
 * in-ring, in the order they came; outbound it is the sink of its Playout.
 *
 *   awaitingStart ──start──▶ streaming ──stop, hang-up, eviction, loss──▶ ended
 *         │                      └──shard lost──▶ apologising ──played──▶ ended
 *         └──timeout, eviction, loss──▶ ended
 *
 * G1  settle() is the one way to `ended`; it runs once, writes the legEnded record if the rings are still
 *     ours, and tells the delegate.
 * G2  The slot is not touched after settle(), nor while apologising: it may be another call's by then.
 * G3  Whatever the socket sends, only this leg can suffer from it.
 * G4  What comes in is told to whoever owns the call now (LegOwner), and no mark to another than who set it.
 */
import type { WebSocket } from "uWebSockets.js";
import type { Clock } from "#runtime/actor";
import {
  type AudioFormat,
  type AudioReplay,
  bytesPerMs,
  type EdgeSlot,
  type HeldRecord,
  LegEnd,
  type PlayoutRest,
  RecordKind,
  type UntoldAudio,
  replayOf,
} from "#runtime/media";
import type { Logger, Metrics } from "#runtime/telemetry";
import type { WaitingCall } from "./admissions.js";
import { type BadInput, countBadInput } from "./bad-input.js";
import type { Carrier } from "./carriers/carrier.js";
import {
  INBOUND_FRAME_MAX_BYTES,
  InboundKind,
  type InboundMessage,
  type StreamStart,
} from "./carriers/inbound-message.js";
import { MediaShape, type MediaShapes } from "./carriers/media-shape.js";
import type { EdgeCounters } from "./counters.js";
import type { EdgeDelegate } from "./delegate.js";
import { InboundAudio } from "./inbound-audio.js";
import { LegOwner } from "./leg-owner.js";
import { LegSocket } from "./leg-socket.js";
import { NEVER_MS, type OutRecords, Playout, type PlayoutSink, PreparedRecords } from "./playout.js";
import type { LoopTurns } from "./loop-turns.js";
import type { Pump, Pumped } from "./pump.js";

/** What all legs share. */
export interface LegEnvironment {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly counters: EdgeCounters;
  readonly delegate: EdgeDelegate;
  readonly pump: Pump;
  readonly turns: LoopTurns;
  /** One scratch for all legs: a message is read and used up within one callback. */
  readonly inbound: InboundMessage;
  readonly shapes: MediaShapes;
  readonly playoutPieceMs: number;
  readonly playoutLeadMs: number;
  readonly halfOpenMs: number;
  /** The leg ended; it is not to be found by its call or slot any more. */
  readonly onSettled: (leg: Leg) => void;
  /** Its socket is closed too. */
  readonly onClosed: (leg: Leg) => void;
}

type Phase =
  /** The socket is open, the carrier has not said which stream it is. */
  | { readonly name: "awaitingStart"; readonly deadlineAtMs: number }
  | {
      readonly name: "streaming";
      readonly start: StreamStart;
      readonly audio: InboundAudio;
      readonly playout: Playout;
    }
  /** The shard is gone: we play this and close. */
  | {
      readonly name: "apologising";
      readonly start: StreamStart;
      readonly playout: Playout;
      readonly markName: string;
      readonly deadlineAtMs: number;
    }
  /** Settled. The socket may linger: after `stop` it is the carrier who closes. */
  | { readonly name: "ended"; readonly closeAtMs: number };

/** Carriers send `connected` and `start` back to back. */
const START_TIMEOUT_MS = 5_000;
/** After `stop` the carrier closes; if not, we do. */
const LINGER_MS = 2_000;
/** An apology's mark should come back when it was played; so long past that we close anyhow. */
const APOLOGY_GRACE_MS = 2_000;
/** Messages that make no sense before we close the socket: enough for a hiccup, none of them disturbs. */
const BAD_MESSAGES_MAX = 64;
const CLOSE_NORMAL = 1000;
const CLOSE_POLICY = 1008;
const CLOSE_TOO_BIG = 1009;
const CLOSE_INTERNAL = 1011;

/** How uWS begins its reason when the other side went away without a close frame; its others name a wrong frame. */
const SOCKET_GONE = "Received TCP FIN";

/** What one owner of a leg leaves to the next. */
export interface LegRest extends PlayoutRest {
  /** Of the caller: what nobody has read, and as much of what was read as was asked for. */
  readonly held: readonly HeldRecord[];
  /** Of the beginning of `held`. */
  readonly replay: AudioReplay;
}

/** So much of what was read is given to the next owner when the caller was being listened to over a reply. */
const SPOKE_OVER_MS = 1_500;

/** What uWebSockets.js keeps with each socket. */
export interface LegSocketData {
  readonly leg: Leg;
}

export class Leg implements Pumped, PlayoutSink {
  readonly callId: string;
  readonly carrierName: string;
  pumpIndex = -1;
  pumpDueAtMs = NEVER_MS;

  readonly #environment: LegEnvironment;
  readonly #carrier: Carrier;
  readonly #call: WaitingCall;
  readonly #log: Logger;
  readonly #socket: LegSocket;
  /** Of its media messages. */
  readonly #shape: MediaShape;
  #phase: Phase;
  readonly #owner: LegOwner;
  /** Whether mediaOpened was called, so that legEnded is due rather than mediaExpired. */
  #opened = false;
  #sawConnected = false;
  #badMessageCount = 0;

  /** Made once: uWS corks around a callback, and this runs for every piece sent. */
  readonly #pumpCorked = (): void => {
    this.#pumpResultMs = NEVER_MS;
    try {
      this.#pumpResultMs = this.#pumpPlayout(this.#pumpNowMs);
    } catch (error) {
      this.#log.error({ error }, "sending to the carrier threw");
      this.abandon();
    }
  };
  #pumpNowMs = 0;
  #pumpResultMs = NEVER_MS;

  constructor(environment: LegEnvironment, carrier: Carrier, call: WaitingCall, log: Logger) {
    this.#environment = environment;
    this.#carrier = carrier;
    this.#call = call;
    this.callId = call.admitted.callId;
    this.#owner = new LegOwner(call.admitted.side, call.admitted.ringShard);
    this.carrierName = carrier.name;
    this.#log = log.child({ callId: this.callId, carrier: carrier.name });
    const nowMs = environment.clock.nowMs();
    this.#shape = new MediaShape(environment.shapes);
    this.#socket = new LegSocket(nowMs);
    this.#phase = { name: "awaitingStart", deadlineAtMs: nowMs + START_TIMEOUT_MS };
  }

  /** Of the lease under which its media was opened. */
  get epoch(): number {
    return this.#call.admitted.epoch;
  }

  get carrierCallId(): string {
    return this.#call.carrierCallId;
  }

  get side(): EdgeSlot {
    return this.#owner.side;
  }

  // ---- what the socket does

  onOpen(socket: WebSocket<LegSocketData>): void {
    this.#socket.opened(socket);
  }

  onPong(): void {
    this.#socket.heard(this.#environment.clock.nowMs());
  }

  onMessage(frame: ArrayBuffer, isBinary: boolean): void {
    const phase = this.#phase;
    if (phase.name === "ended") return;
    const nowMs = this.#environment.clock.nowMs();
    this.#socket.heard(nowMs);
    this.#environment.turns.count(nowMs);
    if (isBinary) return this.#bad("binaryFrame");
    if (frame.byteLength > INBOUND_FRAME_MAX_BYTES) {
      return this.#evict("frameTooBig", CLOSE_TOO_BIG, "message too big");
    }
    const message = this.#environment.inbound;
    this.#carrier.media.read(frame, message, this.#shape);
    switch (message.kind) {
      case InboundKind.media:
        if (phase.name === "streaming") {
          phase.audio.take(message, nowMs);
          this.#owner.ringShard();
        } else if (phase.name === "awaitingStart") this.#bad("beforeStart");
        return;
      case InboundKind.mark:
        return this.#takeMark(message.markName, nowMs);
      case InboundKind.dtmf:
        if (phase.name === "streaming") this.#owner.writeByte(RecordKind.dtmf, nowMs, message.digit);
        else if (phase.name === "awaitingStart") this.#bad("beforeStart");
        return;
      case InboundKind.connected:
        if (this.#sawConnected) this.#bad("connectedTwice");
        this.#sawConnected = true;
        return;
      case InboundKind.start:
        return this.#takeStart(message.start!, nowMs);
      case InboundKind.stop:
        // Before `start` as well: the call is over, whatever came first.
        return this.#settle(LegEnd.stopped, nowMs + LINGER_MS);
      case InboundKind.unknown:
        // Carriers add events without notice: counted, never held against them.
        return this.#count("unknownEvent");
      case InboundKind.invalid:
        return this.#bad(message.problem);
    }
  }

  /** `reason` is the close frame's, or what uWS found wrong when it closed by itself. */
  onClose(code: number, reason: string): void {
    this.#socket.closed();
    const brokeProtocol = code === 1006 && reason.startsWith("Received ") && !reason.startsWith(SOCKET_GONE);
    if (brokeProtocol && this.#phase.name !== "ended") this.#count("frameBroken");
    try {
      this.#settle(brokeProtocol ? LegEnd.evicted : LegEnd.socketLost, 0);
    } finally {
      this.#environment.onClosed(this);
    }
  }

  /** Something of ours threw: this leg ends, the rest goes on. Must not throw itself. */
  abandon(): void {
    try {
      this.#settle(LegEnd.evicted, 0);
    } catch (error) {
      this.#log.error({ error }, "ending a leg threw");
    }
    this.#close(CLOSE_INTERNAL, "internal error");
  }

  // ---- what the edge asks for

  pump(nowMs: number): number {
    const { name } = this.#phase;
    if (!this.#socket.isOpen || name === "ended" || name === "awaitingStart") return NEVER_MS;
    this.#pumpNowMs = nowMs;
    this.#socket.cork(this.#pumpCorked);
    return this.#pumpResultMs;
  }

  /** The actor has said all it wanted, or the node wants the call gone. */
  hangUp(closeCode: number = CLOSE_NORMAL, reason = "call ended"): void {
    this.#settle(LegEnd.hungUp, 0);
    this.#close(closeCode, reason);
  }

  /** Its socket is known to be dead, whatever the kernel says. */
  lose(): void {
    this.#settle(LegEnd.socketLost, 0);
    this.#close(CLOSE_NORMAL, "call goes on elsewhere");
  }

  /**
   * Its owner is gone: takes from the rings what another one needs. `rebind` or `playAndClose` follows before
   * anything else happens. Null: it does not stream.
   */
  takeRest(untold: UntoldAudio): LegRest | null {
    const phase = this.#phase;
    if (phase.name !== "streaming") return null;
    const nowMs = this.#environment.clock.nowMs();
    const rest = phase.playout.takeRest(nowMs, this.#owner.echoedMark);
    const spokeOver = rest.wasPaused || rest.wasCut;
    const againMs = spokeOver ? Math.min(untold.againMs, nowMs - SPOKE_OVER_MS) : untold.againMs;
    const held = this.side.in.held({ ...untold, againMs });
    return { ...rest, held, replay: replayOf(held, untold, phase.start.format) };
  }

  /** Another owner's rings, which are reset or hold nothing: the socket, its pace and the line's time stay. */
  rebind(side: EdgeSlot, ringShard: () => void, held: readonly HeldRecord[]): void {
    const phase = this.#phase;
    if (phase.name !== "streaming") return;
    this.#owner.follow(side, ringShard, phase.playout.epoch, held); // G4
    phase.audio.rebind(side.in);
    phase.playout.rebind(side.out);
    ringShard();
    this.#environment.pump.wake(this);
  }

  /** G2: from here on the slot is left alone. `audio` is in the leg's own format. */
  playAndClose(audio: Uint8Array): void {
    const phase = this.#phase;
    if (phase.name !== "streaming") return this.hangUp();
    const { clock, pump } = this.#environment;
    phase.playout.close();
    const epoch = (phase.playout.epoch + 1) >>> 0;
    const markId = 0;
    const playout = this.#newPlayout(
      new PreparedRecords(audio, epoch, markId),
      phase.start.format,
      epoch - 1,
    );
    const durationMs = audio.length / bytesPerMs(phase.start.format);
    this.#phase = {
      name: "apologising",
      start: phase.start,
      playout,
      markName: this.#owner.markName(epoch, markId),
      deadlineAtMs: clock.nowMs() + durationMs + APOLOGY_GRACE_MS,
    };
    pump.wake(this);
  }

  /** Called about once a second: whatever has a deadline, and a look at the ring should a bell have been lost. */
  sweep(nowMs: number): void {
    const phase = this.#phase;
    switch (phase.name) {
      case "awaitingStart":
        if (nowMs >= phase.deadlineAtMs) {
          return this.#evict("startNeverCame", CLOSE_POLICY, "no start message");
        }
        break;
      case "streaming":
        this.#environment.pump.wake(this);
        break;
      case "apologising":
        if (nowMs >= phase.deadlineAtMs) return this.hangUp();
        break;
      case "ended":
        if (nowMs >= phase.closeAtMs) this.#close(CLOSE_NORMAL, "call ended");
        return;
    }
    if (!this.#socket.isLost(nowMs, this.#environment.halfOpenMs)) return;
    this.#count("halfOpen");
    this.#settle(LegEnd.socketLost, 0);
    this.#close(CLOSE_POLICY, "nothing heard");
  }

  bufferedBytes(): number {
    return this.#socket.bufferedBytes();
  }

  // ---- outbound: the sink of the playout

  sendAudio(audio: Buffer, lengthBytes: number): void {
    this.#environment.counters.framesOut++;
    this.#send(this.#carrier.media.mediaMessage(this.#streamId(), audio, lengthBytes));
  }

  sendMark(epoch: number, id: number): void {
    this.#send(this.#carrier.media.markMessage(this.#streamId(), this.#owner.markName(epoch, id)));
  }

  sendClear(epoch: number, nowMs: number): void {
    this.#environment.counters.clears++;
    this.#owner.cleared();
    this.#send(this.#carrier.media.clearMessage(this.#streamId()));
    this.#tellSent(RecordKind.cleared, nowMs, epoch);
  }

  cueSent(id: number, sentAtMs: number): void {
    this.#tellSent(RecordKind.cueSent, sentAtMs, id);
  }

  // ---- inbound

  #takeStart(start: StreamStart, nowMs: number): void {
    const phase = this.#phase;
    if (phase.name !== "awaitingStart") {
      const isRepeat = phase.name !== "ended" && phase.start.streamId === start.streamId;
      if (isRepeat) return this.#bad("startTwice");
      return this.#evict("startTwice", CLOSE_POLICY, "a second start");
    }
    if (start.carrierCallId !== this.#call.carrierCallId) {
      return this.#evict("startWrongCall", CLOSE_POLICY, "start of another call");
    }
    const { counters } = this.#environment;
    const audio = new InboundAudio(this.side.in, start.format, counters, (reason) => this.#count(reason));
    const playout = this.#newPlayout(this.side.out, start.format, 0);
    this.#phase = { name: "streaming", start, audio, playout };
    this.#opened = true;
    this.#log.info({ streamId: start.streamId, format: start.format }, "media opened");
    this.#environment.delegate.mediaOpened(this.callId, start.format, nowMs, start.customParameters);
    // The actor may have written before the socket came.
    this.#environment.pump.wake(this);
  }

  #takeMark(name: string, nowMs: number): void {
    const phase = this.#phase;
    if (phase.name === "apologising") {
      if (name === phase.markName) this.hangUp();
      return;
    }
    if (phase.name !== "streaming") return this.#bad("beforeStart");
    const mark = this.#owner.takeEcho(name, phase.playout.epoch); // G4
    if (mark === false) return this.#bad("markNotOurs");
    if (mark !== null) this.#owner.writeU32(RecordKind.markEchoed, nowMs, mark);
  }

  /** G2: while an apology is played the rings are another call's. */
  #tellSent(kind: RecordKind, atMs: number, value: number): void {
    if (this.#phase.name === "streaming") this.#owner.writeU32(kind, atMs, value);
  }

  // ---- endings

  /** G1 */
  #settle(end: LegEnd, closeAtMs: number): void {
    const phase = this.#phase;
    if (phase.name === "ended") return;
    const { clock, delegate, pump } = this.#environment;
    if (phase.name === "streaming") this.#owner.writeByte(RecordKind.legEnded, clock.nowMs(), end);
    if (phase.name !== "awaitingStart") phase.playout.close();
    this.#phase = { name: "ended", closeAtMs };
    pump.remove(this);
    this.#environment.onSettled(this);
    this.#log.info({ end: nameOfEnd(end) }, "leg ended");
    if (this.#opened) delegate.legEnded(this.callId, end, this.#socket.lastHeardAtMs);
    else delegate.mediaExpired(this.callId);
  }

  #evict(reason: BadInput, code: number, shortMessage: string): void {
    this.#count(reason);
    this.#log.warn({ reason }, "leg evicted");
    this.#settle(LegEnd.evicted, 0);
    this.#close(code, shortMessage);
  }

  /** Counts it, and past a budget closes. */
  #bad(reason: BadInput): void {
    this.#count(reason);
    this.#log.debug({ reason }, "bad message from the carrier");
    if (++this.#badMessageCount > BAD_MESSAGES_MAX) {
      this.#evict("tooManyBadMessages", CLOSE_POLICY, "too many bad messages");
    }
  }

  #count(reason: BadInput): void {
    countBadInput(this.#environment.metrics, reason);
  }

  #close(code: number, reason: string): void {
    // Closing leads to onClose before it returns, which finds the leg settled.
    if (!this.#socket.close(code, reason)) this.#environment.onClosed(this);
  }

  #send(text: string): void {
    if (!this.#socket.send(text)) this.#evict("neverReads", CLOSE_POLICY, "not reading");
  }

  #streamId(): string {
    const phase = this.#phase;
    return phase.name === "streaming" || phase.name === "apologising" ? phase.start.streamId : "";
  }

  #pumpPlayout(nowMs: number): number {
    const phase = this.#phase;
    return phase.name === "streaming" || phase.name === "apologising" ? phase.playout.pump(nowMs) : NEVER_MS;
  }

  #newPlayout(records: OutRecords, format: AudioFormat, firstEpoch: number): Playout {
    const { metrics, playoutPieceMs, playoutLeadMs, pump } = this.#environment;
    return new Playout(records, format, firstEpoch, this, metrics.edgePacingErrorMs, {
      pieceMs: playoutPieceMs,
      leadMs: playoutLeadMs,
      grid: pump.grid,
    });
  }
}

function nameOfEnd(end: LegEnd): string {
  return Object.entries(LegEnd).find(([, value]) => value === end)?.[0] ?? "unknown";
}

/**
 * The carrier's side of one call: rings a node, opens media sockets, plays what comes, sends what the caller says, and asks
 * what comes next when a socket is gone. Its messages are the carrier's own, read and written by the node's real leg.
 *
 *   ringing ──admitted──> connecting ──socket──> talking ──stop, hang-up──> over
 *      ^ refused: over        ^                     │ cut, node dead, closed by the node
 *                             └──reconnect──── asking what comes next ──hang up──> over
 */
import type { Admission, AfterMedia, InboundCall, Leg } from "#runtime/edge";
import type { TimerHandle } from "#runtime/actor";
import { Caller } from "./caller.js";
import { MediaFrames } from "./media-frames.js";
import type { MomentFault } from "./moments.js";
import type { CallScript, CarrierFault } from "./script.js";
import type { Seams } from "./seams.js";
import type { SimNode } from "./sim-node.js";
import type { SimTime } from "./sim-time.js";
import { FRAME_BYTES } from "./word-audio.js";

const FRAME_MS = 20;
const NETWORK_MS = [8, 25] as const;
/** No hurry: carriers tell it as they find time. */
const STATUS_AFTER_MS = 60;
/** A webhook that nobody answers is sent to the next node. */
const WEBHOOK_TIMEOUT_MS = 3_000;
const NOTICE_MS = [20, 400] as const;
const TRIES_MAX = 3;
/** The longest call a script can make; then the caller gives up. */
const LONGEST_MS = 90_000;

export interface LineWorld {
  readonly time: SimTime;
  readonly nodes: readonly SimNode[];
  readonly seams: Seams;
  onFault(kind: string): void;
}

/** What became of the call, as the carrier knows it. */
/** What a media socket is opened for. */
type Connectable =
  | Exclude<Admission, { kind: "refused" }>
  | Extract<AfterMedia, { readonly kind: "resumed" }>;

export type LineFault = Extract<MomentFault, { readonly kind: "cut" | "stall" | "hangUp" | "key" }>;

export type LineEnd = "refused" | "hungUpByCaller" | "hungUpByAgent" | "cutOff" | "unreachable";

interface Playing {
  readonly audio: Uint8Array | null;
  readonly mark: string;
  at: number;
}

interface Media {
  readonly leg: Leg;
  readonly node: SimNode;
  readonly streamId: string;
  readonly frames: MediaFrames;
  /** Messages that wait while the line stalls or the node stands still, in order. */
  held: (() => void)[];
  playing: Playing[];
  /** The frame that is being put together. */
  readonly frame: Uint8Array;
  frameBytes: number;
  isOpen: boolean;
  lastDueAtMs: number;
}

export class Line {
  readonly caller: Caller;
  /** Its call's place in the script. */
  readonly index: number;
  readonly carrierCallId: string;
  callId: string | null = null;
  /** Of the admission that it acts on: what comes after its media is asked by it. */
  #epoch = 0;
  end: LineEnd | null = null;
  endedAtMs = 0;
  /** When media sockets opened and closed. */
  readonly spells: { readonly fromMs: number; toMs: number; readonly nodeId: string }[] = [];
  readonly clears: number[] = [];
  /** What its caller said came late and all at once. */
  hasStalled = false;
  readonly #world: LineWorld;
  readonly #script: CallScript;
  readonly #faults: readonly CarrierFault[];
  /** Of its own: what is scripted for later than its end does not happen. */
  readonly #scripted: TimerHandle[] = [];
  #isStruck = false;
  #media: Media | null = null;
  #beganAtMs = 0;
  #streams = 0;
  #markCount = 0;
  #lastMarkAtMs = 0;
  #stalledUntilMs = 0;

  constructor(world: LineWorld, script: CallScript, index: number) {
    this.#world = world;
    this.index = index;
    this.#script = script;
    this.#faults = script.carrier;
    this.carrierCallId = `CA${index}`;
    this.caller = new Caller(script.steps, () => world.time.nowMs());
  }

  get hasCarrierFaults(): boolean {
    return this.#isStruck || this.#faults.length > 0;
  }

  get isOver(): boolean {
    return this.end !== null;
  }

  dial(): void {
    const { time } = this.#world;
    this.#beganAtMs = time.nowMs();
    for (const fault of this.#faults) {
      if (fault.kind === "cut") this.#scripted.push(time.setTimer(fault.atMs, () => this.#cut()));
      if (fault.kind === "stall") this.#scripted.push(time.setTimer(fault.atMs, () => this.#stall(fault.ms)));
      if (fault.kind === "hangUp") this.#scripted.push(time.setTimer(fault.atMs, () => this.#hangUp()));
    }
    this.#webhook(
      (node) => node.edge.voice(this.#inbound(node)),
      (admission) => this.#onAdmission(admission),
      0,
    );
  }

  /** Now, whatever its script says. */
  strike(fault: LineFault): void {
    if (this.isOver) return;
    this.#isStruck = true;
    switch (fault.kind) {
      case "cut":
        return this.#cut();
      case "stall":
        return this.#stall(fault.ms);
      case "hangUp":
        this.#world.onFault("hangUp");
        return this.#hangUp();
      case "key":
        this.#world.onFault("key");
        this.caller.keys.push("5");
    }
  }

  /** The process that had the socket is gone. */
  nodeDied(node: SimNode): void {
    const media = this.#media;
    if (media?.node !== node || !media.isOpen) return;
    media.isOpen = false;
    this.#world.time.setTimer(this.#world.time.between(...NOTICE_MS), () => this.#mediaGone(media));
  }

  // ---- webhooks

  #inbound(node: SimNode): InboundCall {
    return {
      carrier: "twilio",
      carrierCallId: this.carrierCallId,
      accountId: "AC1",
      callStatus: "in-progress",
      direction: "inbound",
      pii: { from: "+15550100001", to: "+12025550101" },
      receivedAtMs: node.thread.nowMs(),
    };
  }

  /** Asks a node; the next one when it is dead or says nothing. */
  #webhook<A>(ask: (node: SimNode) => Promise<A>, onAnswer: (answer: A) => void, tries: number): void {
    const { time, nodes } = this.#world;
    if (this.isOver) return;
    if (tries === TRIES_MAX) return this.#over("unreachable");
    const node = nodes[(this.#script.node + tries) % nodes.length]!;
    let isSettled = false;
    const timeout = time.setTimer(node.thread.isDead ? 50 : WEBHOOK_TIMEOUT_MS, () => {
      isSettled = true;
      this.#webhook(ask, onAnswer, tries + 1);
    });
    node.thread.after(time.between(...NETWORK_MS), () => {
      void ask(node).then((answer) => {
        time.setTimer(time.between(...NETWORK_MS), () => {
          if (isSettled || node.thread.isDead || this.isOver) return;
          isSettled = true;
          timeout.cancel();
          onAnswer(answer);
        });
      });
    });
  }

  #onAdmission(admission: Admission): void {
    if (admission.kind === "refused") return this.#over("refused");
    this.callId = admission.callId;
    this.#connect(admission);
  }

  #connect(admission: Connectable): void {
    const { time, nodes } = this.#world;
    const { callId } = admission;
    this.#epoch = admission.epoch;
    const node =
      admission.kind === "admittedElsewhere"
        ? nodes.find(({ mediaUrl }) => mediaUrl === admission.mediaUrl)!
        : nodes.find((candidate) => !candidate.thread.isDead && holds(candidate, callId));
    if (node === undefined || node.thread.isDead) return this.#askNext();
    let isSettled = false;
    const timeout = time.setTimer(WEBHOOK_TIMEOUT_MS, () => {
      isSettled = true;
      this.#askNext();
    });
    node.thread.after(time.between(20, 80), () => {
      void node.edge.upgrade(callId).then((leg) => {
        if (isSettled || this.isOver) {
          if (leg !== null) node.edge.guard(leg, () => leg.onClose(1006, ""));
          return;
        }
        isSettled = true;
        timeout.cancel();
        if (leg === null) this.#askNext();
        else this.#open(node, leg);
      });
    });
  }

  #askNext(): void {
    const { callId } = this;
    const epoch = this.#epoch;
    if (this.isOver) return;
    if (callId === null) return this.#over("unreachable");
    const { time } = this.#world;
    time.setTimer(time.between(30, 200), () =>
      this.#webhook(
        (node) => node.edge.afterMedia(callId, epoch, this.#inbound(node)),
        (after) => {
          if (after === "hangUp") this.#over("hungUpByAgent");
          else if (after.kind === "say") this.#over("cutOff");
          else this.#connect(after.kind === "resumed" ? after : after.admission);
        },
        0,
      ),
    );
  }

  // ---- media

  #open(node: SimNode, leg: Leg): void {
    const { time } = this.#world;
    const streamId = `MZ${this.carrierCallId}x${this.#streams++}`;
    const media: Media = {
      leg,
      node,
      streamId,
      frames: new MediaFrames(streamId),
      held: [],
      playing: [],
      frame: new Uint8Array(FRAME_BYTES),
      frameBytes: 0,
      isOpen: true,
      lastDueAtMs: 0,
    };
    this.#media = media;
    this.spells.push({ fromMs: time.nowMs(), toMs: Number.POSITIVE_INFINITY, nodeId: node.nodeId });
    const socket = {
      send: (text: string) => {
        this.#toPhone(media, () => this.#onMessage(media, text));
        return 1;
      },
      cork: (body: () => void) => body(),
      ping: () => this.#toNode(media, () => leg.onPong()),
      // uWS calls the close handler before end() returns.
      end: (code: number) => {
        const wasOpen = media.isOpen;
        media.isOpen = false;
        leg.onClose(code, "");
        if (wasOpen) this.#toPhone(media, () => this.#mediaGone(media), true);
      },
      getBufferedAmount: () => 0,
    };
    leg.onOpen(socket as never);
    this.#send(media, { event: "connected", protocol: "Call", version: "1.0.0" });
    this.#send(media, {
      event: "start",
      streamSid: media.streamId,
      start: {
        accountSid: "AC1",
        streamSid: media.streamId,
        callSid: this.carrierCallId,
        tracks: ["inbound"],
        mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 },
        customParameters: {},
      },
    });
    this.#tick(media);
  }

  #tick(media: Media): void {
    if (!media.isOpen || this.#media !== media || this.isOver) return;
    const { time } = this.#world;
    this.#play(media);
    this.#sendFrame(media, media.frames.next(this.caller.nextFrame()));
    for (const digit of this.caller.keys.splice(0))
      this.#send(media, {
        event: "dtmf",
        streamSid: media.streamId,
        dtmf: { track: "inbound_track", digit },
      });
    if (this.caller.isDone || time.nowMs() - this.#beganAtMs > LONGEST_MS) return this.#hangUp();
    time.setTimer(FRAME_MS, () => this.#tick(media));
  }

  /** 20 ms for the caller's ear, across messages; marks come back when what stands before them was played. */
  #play(media: Media): void {
    for (let head = media.playing[0]; head !== undefined; head = media.playing[0]) {
      if (head.audio !== null && media.frameBytes < FRAME_BYTES) {
        const take = Math.min(FRAME_BYTES - media.frameBytes, head.audio.length - head.at);
        media.frame.set(head.audio.subarray(head.at, head.at + take), media.frameBytes);
        media.frameBytes += take;
        head.at += take;
      }
      if (head.audio === null) this.#echo(media, head.mark);
      else if (head.at < head.audio.length) break;
      media.playing.shift();
    }
    // What is less than a frame waits for the rest of it: a mark may stand a byte off a frame's end. Nothing is no sound
    // either: a word that a gap tears apart is heard, though late.
    if (media.frameBytes < FRAME_BYTES) return;
    media.frameBytes = 0;
    this.caller.hear(media.frame, 0);
  }

  #echo(media: Media, name: string): void {
    this.#markCount += 1;
    let lateMs = 0;
    for (const fault of this.#faults) {
      if (fault.kind === "marksLate") {
        lateMs = fault.ms;
        this.#world.onFault("marksLate");
      }
      if (fault.kind === "marksLost" && this.#markCount % fault.every === 0) {
        this.#world.onFault("marksLost");
        return;
      }
    }
    const message = { event: "mark", streamSid: media.streamId, mark: { name } };
    if (lateMs === 0) return this.#send(media, message);
    // In order, as on one connection: the clock fires what is due at one instant in any.
    const nowMs = this.#world.time.nowMs();
    this.#lastMarkAtMs = Math.max(this.#lastMarkAtMs + 1, nowMs + lateMs);
    this.#world.time.setTimer(this.#lastMarkAtMs - nowMs, () => this.#send(media, message));
  }

  #onMessage(media: Media, text: string): void {
    if (this.#media !== media) return;
    const message = JSON.parse(text) as {
      readonly event: string;
      readonly media?: { readonly payload: string };
      readonly mark?: { readonly name: string };
    };
    if (this.#world.seams.toPhone?.(message.event) === false) return;
    if (message.media !== undefined)
      media.playing.push({ audio: Buffer.from(message.media.payload, "base64"), mark: "", at: 0 });
    if (message.mark !== undefined) media.playing.push({ audio: null, mark: message.mark.name, at: 0 });
    if (message.event !== "clear") return;
    const dropped = media.playing;
    media.playing = [];
    media.frameBytes = 0;
    this.clears.push(this.#world.time.nowMs());
    this.caller.cleared();
    for (const { audio, mark } of dropped) if (audio === null) this.#echo(media, mark);
  }

  /** `message` is written over by the next one. */
  #sendFrame(media: Media, message: ArrayBuffer): void {
    if (this.#mustWait(media)) return this.#sendBytes(media, message.slice(0));
    if (!media.isOpen || media.node.thread.isDead) return;
    media.node.edge.take(media.leg, message);
  }

  #send(media: Media, message: object): void {
    this.#sendBytes(media, encoder.encode(JSON.stringify(message)).buffer);
  }

  #sendBytes(media: Media, message: ArrayBuffer): void {
    this.#toNode(media, () => media.leg.onMessage(message, false));
  }

  #toNode(media: Media, body: () => void): void {
    const deliver = (): void => {
      if (media.isOpen && !media.node.thread.isDead) media.node.edge.guard(media.leg, body);
    };
    if (!this.#mustWait(media)) return deliver();
    media.held.push(deliver);
    if (media.held.length === 1) this.#releaseLater(media);
  }

  #mustWait(media: Media): boolean {
    return (
      media.held.length > 0 || this.#stalledUntilMs > this.#world.time.nowMs() || media.node.thread.isHeld
    );
  }

  #releaseLater(media: Media): void {
    const { time } = this.#world;
    const release = (): void => media.node.thread.after(0, () => this.#release(media));
    time.setTimer(Math.max(0, this.#stalledUntilMs - time.nowMs()), release);
  }

  #release(media: Media): void {
    if (this.#stalledUntilMs > this.#world.time.nowMs()) return this.#releaseLater(media);
    for (const deliver of media.held.splice(0)) deliver();
  }

  #toPhone(media: Media, body: () => void, evenClosed = false): void {
    const { time } = this.#world;
    const nowMs = time.nowMs();
    media.lastDueAtMs = Math.max(media.lastDueAtMs + 1, nowMs + time.between(...NETWORK_MS));
    time.setTimer(media.lastDueAtMs - nowMs, () => {
      if (media.isOpen || evenClosed) body();
    });
  }

  // ---- endings and faults

  #mediaGone(media: Media): void {
    media.isOpen = false;
    if (this.#media !== media) return;
    this.#closeSpell();
    this.#askNext();
  }

  #closeSpell(): void {
    this.#media = null;
    const spell = this.spells.at(-1);
    if (spell?.toMs === Number.POSITIVE_INFINITY) spell.toMs = this.#world.time.nowMs();
    this.caller.cleared();
  }

  #cut(): void {
    const media = this.#media;
    if (media === null || !media.isOpen) return;
    this.#world.onFault("cut");
    media.isOpen = false;
    const { leg, node } = media;
    node.thread.after(this.#world.time.between(...NETWORK_MS), () =>
      node.edge.guard(leg, () => leg.onClose(1006, "")),
    );
    this.#world.time.setTimer(this.#world.time.between(...NOTICE_MS), () => this.#mediaGone(media));
  }

  #stall(ms: number): void {
    if (this.#media === null) return;
    this.#world.onFault("stall");
    this.hasStalled = true;
    this.#stalledUntilMs = this.#world.time.nowMs() + ms;
  }

  #hangUp(): void {
    if (this.isOver) return;
    const media = this.#media;
    this.#stalledUntilMs = 0;
    if (media?.isOpen === true) {
      this.#send(media, { event: "stop", streamSid: media.streamId, stop: { callSid: this.carrierCallId } });
      const { leg, node } = media;
      node.thread.after(this.#world.time.between(...NETWORK_MS), () => {
        this.#release(media);
        media.isOpen = false;
        node.edge.guard(leg, () => leg.onClose(1000, ""));
      });
    }
    this.#over("hungUpByCaller");
  }

  #over(end: LineEnd): void {
    if (this.isOver) return;
    this.#closeSpell();
    for (const timer of this.#scripted) timer.cancel();
    this.end = end;
    this.endedAtMs = this.#world.time.nowMs();
    this.#tellEnd();
  }

  /** The status callback: once, to whichever node a balancer finds. */
  #tellEnd(): void {
    const { nodes } = this.#world;
    const { node: first } = this.#script;
    const order = nodes.map((_, index) => nodes[(first + index) % nodes.length]!);
    const node = order.find(({ thread }) => !thread.isDead);
    node?.thread.after(STATUS_AFTER_MS, () => node.edge.carrierEnded(this.carrierCallId));
  }
}

const encoder = new TextEncoder();

/** The carrier's socket URL names the node that admitted it. */
function holds(node: SimNode, callId: string): boolean {
  for (const call of node.switchboard.held()) if (call.callId === callId) return true;
  return false;
}

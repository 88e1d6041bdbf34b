/** The node behind the edge in its tests: it admits while it has slots, and notes what it is told. */
import type { Arena, AudioFormat, LegEnd } from "#runtime/media";
import type { MetricsSnapshot } from "#runtime/telemetry";
import { Condition } from "./condition.fixture.js";
import type {
  AdminDelegate,
  Admission,
  AfterMedia,
  ClaimedCall,
  EdgeDelegate,
  InboundCall,
  OverflowPolicy,
} from "./delegate.js";
import type { Edge } from "./edge.js";
import { ShardEnd } from "./shard-end.fixture.js";

interface DelegateEvent {
  readonly kind: "opened" | "expired" | "ended" | "carrierEnded";
  /** The carrier's own of one that it says has ended. */
  readonly callId: string;
  readonly format?: AudioFormat;
  readonly customParameters?: Readonly<Record<string, string>>;
  readonly openedAtMs?: number;
  readonly end?: LegEnd;
}

/** A test may put its own answer in `refuseWith`. */
export class NotingDelegate implements EdgeDelegate, AdminDelegate {
  readonly calls: InboundCall[] = [];
  readonly events: DelegateEvent[] = [];
  readonly shards = new Map<string, ShardEnd>();
  refuseWith: Extract<Admission, { kind: "refused" }> | null = null;
  /** Admissions wait for this. */
  admitGate: Promise<void> | null = null;
  overflow: OverflowPolicy = { kind: "busy" };
  /** What `claim` does; it may call `place`. */
  onClaim: (callId: string) => Promise<ClaimedCall | null> = () => Promise.resolve(null);
  after: AfterMedia | Promise<AfterMedia> = "hangUp";
  readonly afterAsked: [string | undefined, string][] = [];
  /** Of what is admitted from here on. */
  epoch = 1;
  isReady = true;
  readonly condition = new Condition();
  readonly #arena: Arena;
  readonly #free: number[];
  readonly #slots = new Map<string, number>();
  #edge: Edge | null = null;

  constructor(arena: Arena) {
    this.#arena = arena;
    this.#free = Array.from({ length: arena.slotCount }, (_, slot) => arena.slotCount - 1 - slot);
  }

  attach(edge: Edge): void {
    this.#edge = edge;
  }

  wakeShards(): void {}

  pumpRung(): void {}

  get freeSlotCount(): number {
    return this.#free.length;
  }

  admit(call: InboundCall): Admission | Promise<Admission> {
    this.calls.push(call);
    const callId = `call-${this.calls.length}`;
    return this.admitGate === null ? this.place(callId) : this.admitGate.then(() => this.place(callId));
  }

  overflowFor(): OverflowPolicy {
    return this.overflow;
  }

  claim(callId: string): Promise<ClaimedCall | null> {
    return this.onClaim(callId);
  }

  carrierEnded(_carrier: string, carrierCallId: string): void {
    this.#note({ kind: "carrierEnded", callId: carrierCallId });
  }

  place(callId: string): Admission {
    if (this.refuseWith !== null) return this.refuseWith;
    const slot = this.#free.pop();
    if (slot === undefined) return { kind: "refused", reason: "noSlot", overflow: { kind: "busy" } };
    const side = this.#arena.edgeSide(slot);
    side.reset();
    const shard = new ShardEnd(this.#arena.shardSide(slot), () => this.#edge!.pump(side));
    this.shards.set(callId, shard);
    this.#slots.set(callId, slot);
    const ringShard = (): void => shard.drain();
    return { kind: "admitted", callId, tenantId: "tenant-1", epoch: this.epoch, side, ringShard };
  }

  mediaOpened(
    callId: string,
    format: AudioFormat,
    openedAtMs: number,
    customParameters: Readonly<Record<string, string>>,
  ): void {
    this.#note({ kind: "opened", callId, format, openedAtMs, customParameters });
  }

  mediaExpired(callId: string): void {
    this.#giveBack(callId);
    this.#note({ kind: "expired", callId });
  }

  legEnded(callId: string, end: LegEnd): void {
    this.#giveBack(callId);
    this.#note({ kind: "ended", callId, end });
  }

  afterMedia(
    callId: string | undefined,
    _epoch: number,
    call: InboundCall,
  ): AfterMedia | Promise<AfterMedia> {
    this.afterAsked.push([callId, call.carrierCallId]);
    return this.after;
  }

  drainShard(): null {
    return null;
  }

  ready(): { ready: boolean; detail: Readonly<Record<string, unknown>> } {
    return { ready: this.isReady, detail: { slots: this.#free.length } };
  }

  liveCalls(): readonly unknown[] {
    return [...this.#slots.keys()];
  }

  message(): Promise<Uint8Array | null> {
    return Promise.resolve(null);
  }

  journal(callId: string): readonly unknown[] | null {
    return this.shards.has(callId) ? [{ callId }] : null;
  }

  async metricsText(): Promise<string> {
    return "metrics 1\n";
  }

  async metricsSnapshot(): Promise<MetricsSnapshot> {
    return [];
  }

  async event(kind: DelegateEvent["kind"], callId: string): Promise<DelegateEvent> {
    const find = (): DelegateEvent | undefined =>
      this.events.find((event) => event.kind === kind && event.callId === callId);
    await this.condition.until(() => find() !== undefined);
    return find()!;
  }

  #note(event: DelegateEvent): void {
    this.events.push(event);
    this.condition.changed();
  }

  #giveBack(callId: string): void {
    const slot = this.#slots.get(callId);
    if (slot === undefined) throw new Error(`the slot of ${callId} was given back twice`);
    this.#slots.delete(callId);
    this.#free.push(slot);
  }
}

/** The shard's end of one call in the edge's tests: it keeps what the in-ring brought, and speaks as an actor does. */
import { RecordKind, type ShardSlot } from "#runtime/media";
import { Condition } from "./condition.fixture.js";

export interface InRecord {
  readonly kind: RecordKind;
  readonly timestampMs: number;
  readonly bytes: Buffer;
}

export class ShardEnd {
  readonly records: InRecord[] = [];
  readonly slot: ShardSlot;
  readonly #condition = new Condition();
  readonly #pump: () => void;

  constructor(slot: ShardSlot, pump: () => void) {
    this.slot = slot;
    this.#pump = pump;
  }

  /** What the edge's ringShard leads to. */
  drain(): void {
    const { in: ring } = this.slot;
    while (ring.read()) {
      const bytes = Buffer.from(ring.payload.subarray(0, ring.length));
      this.records.push({ kind: ring.kind, timestampMs: ring.timestampMs, bytes });
    }
    this.#condition.changed();
  }

  of(kind: RecordKind): InRecord[] {
    return this.records.filter((record) => record.kind === kind);
  }

  /** All audio so far, in one piece. */
  audio(): Buffer {
    return Buffer.concat(this.of(RecordKind.audio).map(({ bytes }) => bytes));
  }

  async count(kind: RecordKind, atLeast: number): Promise<InRecord[]> {
    await this.#condition.until(() => this.of(kind).length >= atLeast);
    return this.of(kind);
  }

  async audioBytes(atLeast: number): Promise<Buffer> {
    await this.#condition.until(() => this.audio().length >= atLeast);
    return this.audio();
  }

  /** Writes to the out-ring and rings, as an actor does. Throws when the ring is full. */
  say(audio: Uint8Array): void {
    const accepted = this.slot.out.tryWriteAudio(audio, 0, audio.length, 0);
    if (accepted !== audio.length) throw new Error(`the out-ring took ${accepted} of ${audio.length} bytes`);
    this.#pump();
  }

  event(kind: RecordKind, id: number): void {
    if (!this.slot.out.tryWriteU32(kind, id, 0)) throw new Error("the out-ring is full");
    this.#pump();
  }

  bumpEpoch(): number {
    const epoch = this.slot.out.bumpEpoch();
    this.#pump();
    return epoch;
  }

  setPaused(paused: boolean): void {
    this.slot.out.setPaused(paused);
    this.#pump();
  }
}

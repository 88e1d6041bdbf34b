/**
 * Who has the call of a leg on the shards' side: the rings to its actor, and the numbers under which its marks go to the
 * carrier. An owner that is gone is followed by another, with rings of its own, over the same socket.
 *
 *   owner 1   epochs 0 1 2          carrier sees 0 1 2
 *   owner 2   epochs       0 1                         3 4
 *
 * O1 A mark that comes back is told to the owner who set it, or to nobody: each owner's epochs go to the carrier
 *    under numbers of their own.
 */
import type { EdgeSlot, HeldRecord, RecordKind } from "#runtime/media";

export class LegOwner {
  /** Rings the arena's bell: the in-ring was written. */
  ringShard: () => void;
  #side: EdgeSlot;
  /** O1: from the owner's epoch to the carrier's. */
  #epochOffset = 0;
  /** Of the present epoch. */
  #echoedMark: number | null = null;

  constructor(side: EdgeSlot, ringShard: () => void) {
    this.#side = side;
    this.ringShard = ringShard;
  }

  get side(): EdgeSlot {
    return this.#side;
  }

  /** The last mark of the present epoch that came back; null before the first. */
  get echoedMark(): number | null {
    return this.#echoedMark;
  }

  /** Another one's rings, which are reset or hold nothing. `epoch`: the last that was sent of the one before. */
  follow(side: EdgeSlot, ringShard: () => void, epoch: number, held: readonly HeldRecord[]): void {
    this.#epochOffset = epoch + this.#epochOffset + 1 - side.out.epoch; // O1
    this.#echoedMark = null;
    this.#side = side;
    this.ringShard = ringShard;
    side.in.writeHeld(held);
  }

  /** The name under which a mark goes to the carrier and comes back. */
  markName(epoch: number, id: number): string {
    return `${(epoch + this.#epochOffset) >>> 0}.${id}`;
  }

  /** What was sent before is to be forgotten, its marks as well. */
  cleared(): void {
    this.#echoedMark = null;
  }

  /** A mark came back. Null: it is of an older epoch, or of an earlier owner (O1). False: it is no mark of ours. */
  takeEcho(name: string, epoch: number): number | null | false {
    const match = /^(\d{1,10})\.(\d{1,10})$/.exec(name);
    if (match === null) return false;
    // An older epoch's comes back because of the clear, and says nothing about what was heard.
    if (Number(match[1]) !== (epoch + this.#epochOffset) >>> 0) return null;
    this.#echoedMark = Number(match[2]);
    return this.#echoedMark;
  }

  writeByte(kind: RecordKind, atMs: number, byte: number): void {
    this.#side.in.writeByteEvent(kind, atMs, byte);
    this.ringShard();
  }

  writeU32(kind: RecordKind, atMs: number, value: number): void {
    this.#side.in.writeU32Event(kind, atMs, value);
    this.ringShard();
  }
}

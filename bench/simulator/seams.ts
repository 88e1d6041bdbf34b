/**
 * Where a test plants a bug, to see that an invariant catches it: what passes here passes unchanged unless a seam is given.
 */
import type { JournalEvent } from "#actors/journal";

export interface Seams {
  /** A journal event on its way to the control plane; null loses it. */
  readonly toPlane?: (event: JournalEvent) => JournalEvent | null;
  /** Whether the control plane refuses what an older owner writes. @default true */
  readonly fences?: boolean;
  /** What the caller's phone is sent; false loses it. */
  readonly toPhone?: (event: string) => boolean;
  /** Whether the edge is told of a pause. @default true */
  readonly pauses?: boolean;
  /** Whether a node gives a slot back that was released. @default true */
  readonly releasesSlots?: boolean;
  /** Whether a shard's timers that are cancelled are gone; else they wait on, and do nothing. @default true */
  readonly cancelsTimers?: boolean;
  /** Whether a shard that hangs is ended. @default true */
  readonly watches?: boolean;
  /** Whether a spare shard is there when the script says so. @default true */
  readonly hasSpares?: boolean;
  /** Whether a disk keeps what is written to a caller's message. @default true */
  readonly keepsMessages?: boolean;
  /** Whether vendors that were gone come back when the script says so. @default true */
  readonly vendorsReturn?: boolean;
  /** Text of the model's answer. */
  readonly answer?: (text: string) => string;
  /** What replay is compared with: the events written so far. */
  readonly toReplay?: (events: readonly JournalEvent[]) => readonly JournalEvent[];
}

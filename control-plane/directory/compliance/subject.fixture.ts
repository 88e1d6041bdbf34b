/** A directory under test, and how the parts of the compliance suite name what it does. */
import type { Test } from "tap";
import type { VirtualClock } from "#runtime/actor";
import type { Directory } from "../directory.js";

export interface Subject {
  readonly directory: Directory;
  /** The same state by another control plane's eyes; may be the same object. */
  readonly other: Directory;
  readonly clock: VirtualClock;
  /** Everything is forgotten. */
  readonly loseMemory: () => Promise<void>;
}

/** Fresh and empty each time. */
export type Open = (options: { rebuildMs: number }) => Promise<Subject>;

/** A test of one behaviour. `rebuildMs`: how long nothing is granted after a loss of memory. @default 0 */
export type Behaves = (
  behaviour: string,
  body: (t: Test, subject: Subject) => Promise<void>,
  rebuildMs?: number,
) => void;

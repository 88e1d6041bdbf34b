/**
 * How a scenario reaches into a node's process: words in a folder that each of its threads looks into. A node in chaos
 * is the node itself with two entries of its own (node-main.ts, chaos-shard.ts) that do what they read there.
 *
 *   shard-0-hangs      shard 0 takes it away and hangs
 *   crash-0-3          shard 0 takes it away; a stage of its next three calls throws
 *   clock              milliseconds by which every thread's wall clock is wrong; stays
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Names the folder to the threads of a node. */
export const LEVERS_VARIABLE = "CHAOS_LEVERS";
/** A thread looks this often. */
const LOOK_EVERY_MS = 50;

export type ShardDeath = "throws" | "exits" | "hangs" | "outOfMemory";

/** The lab's side. */
export class Levers {
  readonly folder: string;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.folder = folder;
  }

  killShard(shardId: number, death: ShardDeath): void {
    this.#write(`shard-${shardId}-${death}`, "");
  }

  crashActors(shardId: number, count: number): void {
    this.#write(`crash-${shardId}-${count}`, "");
  }

  jumpClock(offsetMs: number): void {
    this.#write("clock", String(offsetMs));
  }

  /** A reader never sees half a file. */
  #write(name: string, text: string): void {
    const path = join(this.folder, name);
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  }
}

export interface LeverHandlers {
  onDeath?(death: ShardDeath): void;
  onCrashes?(count: number): void;
}

/** The thread's side: looks into the folder for as long as the thread lives. `shardId` null: the main thread. */
export function watchLevers(shardId: number | null, handlers: LeverHandlers): void {
  const folder = process.env[LEVERS_VARIABLE];
  if (folder === undefined) return;
  const wall = Date.now.bind(Date);
  let offsetMs = 0;
  Date.now = () => wall() + offsetMs;
  const look = (): void => {
    for (const name of readdirSync(folder)) {
      const [kind, id, what] = name.split("-");
      if (name === "clock") offsetMs = Number(readFileSync(join(folder, name), "utf8"));
      if (shardId === null || Number(id) !== shardId || name.endsWith(".new")) continue;
      if (!existsSync(join(folder, name))) continue;
      rmSync(join(folder, name));
      if (kind === "shard") handlers.onDeath?.(what as ShardDeath);
      if (kind === "crash") handlers.onCrashes?.(Number(what));
    }
  };
  setInterval(look, LOOK_EVERY_MS).unref();
}

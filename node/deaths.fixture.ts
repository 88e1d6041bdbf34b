/** What a call of dying-shard.fixture.ts does to what carries it when the caller presses a key. */
export const DEATHS = {
  exits: "1",
  throws: "2",
  hangs: "3",
  /** The thread's heap. */
  exhausts: "4",
  /** The call's actor alone. */
  crashes: "5",
} as const;

export type Death = keyof typeof DEATHS;

export const DYING_SHARD_ENTRY = new URL("./dying-shard.fixture.js", import.meta.url);

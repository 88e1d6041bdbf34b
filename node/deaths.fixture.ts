/** How a shard of dying-shard.fixture.ts can be taken down, each by calls from its own number. */
export const DEATHS = {
  exits: "+15550100901",
  throws: "+15550100902",
  hangs: "+15550100903",
} as const;

export const DYING_SHARD_ENTRY = new URL("./dying-shard.fixture.js", import.meta.url);

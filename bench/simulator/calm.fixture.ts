/** A world in which nothing breaks and nothing is tight; tests name what they want otherwise, and who calls. */
import type { Script } from "./script.js";

export const CALM: Omit<Script, "calls"> = {
  seed: 3,
  nodes: 1,
  shardsPerNode: 1,
  hasSpare: false,
  fallbacks: "none",
  limits: {
    slotsPerShard: 4,
    inRecordCount: 128,
    outRecordCount: 128,
    unreadBatches: 256,
    heldItems: 1_024,
    requestsMax: 8,
    tenantCap: 10,
  },
  vendors: [],
  outage: null,
  faults: [],
  moments: [],
};

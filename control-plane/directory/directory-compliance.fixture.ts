/**
 * What every directory does, whichever it is: run against memory, Redis and Redis Cluster, on virtual time.
 */
import t from "tap";
import { claimsComply } from "./compliance/claims.fixture.js";
import { expiryComplies } from "./compliance/expiry.fixture.js";
import { fanOutComplies } from "./compliance/fan-out.fixture.js";
import { memoryLossComplies } from "./compliance/memory-loss.fixture.js";
import { nodesComply } from "./compliance/nodes.fixture.js";
import { placementComplies } from "./compliance/placement.fixture.js";
import { resumeComplies } from "./compliance/resume.fixture.js";
import type { Behaves, Open } from "./compliance/subject.fixture.js";

/** @param name names the tests */
export function complies(name: string, open: Open): void {
  const test: Behaves = (behaviour, body, rebuildMs = 0) => {
    void t.test(`${name}: ${behaviour}`, async (t) => body(t, await open({ rebuildMs })));
  };
  nodesComply(test);
  placementComplies(test);
  expiryComplies(test);
  claimsComply(test);
  resumeComplies(test);
  memoryLossComplies(test);
  fanOutComplies(test);
}

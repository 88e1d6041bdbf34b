/** The directory in memory: what every directory does, and what the simulator leans on. */
import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { silentLogger } from "#runtime/telemetry";
import { complies } from "./directory-compliance.fixture.js";
import { addNode, granted, request } from "./directory.fixture.js";
import { MemoryDirectory } from "./memory-directory.js";
import { openDirectory } from "./open-directory.js";

complies("memory", async ({ rebuildMs }) => {
  const clock = new VirtualClock();
  const directory = new MemoryDirectory({ clock, rebuildMs });
  return { directory, other: directory, clock, loseMemory: async () => directory.forget() };
});

void t.test(
  "a control plane that starts without Redis grants nothing until its nodes had time to tell",
  async (t) => {
    const clock = new VirtualClock();
    const directory = openDirectory({ url: undefined, prefix: "lumentra", clock, log: silentLogger });
    await addNode(directory, "a");
    await t.rejects(directory.reserve(request("c1")), { code: "DIRECTORY_REBUILDING" });
    clock.advance(3_000);
    granted(await directory.reserve(request("c1")));
  },
);

void t.test("reservations that nobody confirms, releases or sweeps leave nothing behind", async (t) => {
  const clock = new VirtualClock();
  const directory = new MemoryDirectory({ clock });
  for (let second = 0; second < 5_000; second++) {
    await addNode(directory, "a", 1_000);
    granted(await directory.reserve(request(`c${second}`, { nodeIds: ["a"] })));
    clock.advance(1_000);
  }
  t.equal((await directory.nodes())[0]!.calls, 29);
  // An hour's worth, however long it runs.
  t.equal((await directory.takeExpired(10_000)).length, 3_600);
});

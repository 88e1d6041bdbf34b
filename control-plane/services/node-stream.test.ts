/** A node's stream that is ended at the wrong instant: nothing of it is left. */
import { Duplex } from "node:stream";
import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { silentLogger } from "#runtime/telemetry";
import { ClusterKeys } from "../auth/index.js";
import { MemoryDirectory } from "../directory/index.js";
import { NodeCommands } from "./node-commands.js";
import { NodeStream, type NodeStreamDeps } from "./node-stream.js";

const HELLO = { region: "east", version: "1", mediaUrl: "wss://a.example", capacityCalls: 10, report: null };

/** Stands at each step of a greeting in turn, until the gate opens. */
const STEPS = ["register", "attach", "issue", "none"] as const;

for (const step of STEPS) {
  void t.test(`a stream that ends while it greets leaves no timer and no sink: ${step}`, async (t) => {
    const clock = new VirtualClock();
    const directory = new MemoryDirectory({ clock });
    t.teardown(() => directory.close());
    const commands = new NodeCommands({ directory, controlPlaneId: "cp-1", clock, log: silentLogger });
    await commands.start();
    t.teardown(() => commands.close());
    let reached = "";
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    const at = async (name: (typeof STEPS)[number]): Promise<void> => {
      if (name !== step) return;
      reached = name;
      await gate;
    };
    const register = directory.registerNode.bind(directory);
    directory.registerNode = async (...told) => {
      await at("register");
      return register(...told);
    };
    const attach = commands.attach.bind(commands);
    let attached = 0;
    commands.attach = async (...told) => {
      await at("attach");
      const detach = await attach(...told);
      attached += 1;
      return () => {
        attached -= 1;
        detach();
      };
    };
    const credentials = {
      issue: async () => {
        await at("issue");
        return { credential: "c", expiresAt: new Date(clock.unixMs() + 60_000) };
      },
    };
    const call = Object.assign(
      new Duplex({ objectMode: true, read() {}, write: (_message, _encoding, done) => done() }),
      { cancelled: false },
    );
    const idle = clock.timerCount;
    const deps = {
      directory,
      commands,
      credentials,
      clusterKeys: new ClusterKeys(undefined),
      clock,
      log: silentLogger,
      controlPlaneId: "cp-1",
      leaseTimeMs: 5_000,
      reportIntervalMs: 1_000,
    } as unknown as NodeStreamDeps;
    const identity = { nodeId: "node-a", incarnation: "1" };
    const stream = new NodeStream(
      deps,
      identity,
      call as unknown as ConstructorParameters<typeof NodeStream>[2],
    );
    const running = stream.run();
    call.push({ message: "hello", hello: HELLO });
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    t.equal(reached, step === "none" ? "" : step);
    if (step === "none") t.ok(attached === 1 && clock.timerCount > idle, "it is greeted");
    stream.end(new Error("this process stops"));
    await t.rejects(running, /this process stops/);
    open();
    call.push({ message: "hello", hello: HELLO });
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    t.equal(attached, 0);
    t.equal(clock.timerCount, idle);
    call.destroy();
  });
}

/** A Postgres that is gone without a word: its connections stay, and nothing comes back over them. */
import { type AddressInfo, type Socket, connect, createServer } from "node:net";
import t from "tap";
import { silentLogger } from "#runtime/telemetry";
import { openStore } from "./index.js";
import { startTestStore } from "./store.fixture.js";

/** A control plane that was told to stop waited for its goodbye, until whoever had told it killed the process. */
void t.test("a store whose Postgres has fallen silent closes all the same", async (t) => {
  const { appUrl, secretKeys } = await startTestStore(t);
  const target = new URL(appUrl);
  const sockets = new Set<Socket>();
  const proxy = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("error", () => {});
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
  const url = new URL(appUrl);
  url.hostname = "127.0.0.1";
  url.port = String((proxy.address() as AddressInfo).port);
  const store = openStore({ url: url.href, secretKeys, log: silentLogger });
  const isListening = new Promise<void>((resolve) => void store.onTenantsChanged(resolve));
  await Promise.all([store.ping(), isListening]);
  for (const socket of sockets) {
    socket.unpipe();
    socket.pause();
  }
  await store.close();
  t.ok(sockets.size >= 4, "a connection for statements, and one to listen with");
});

/** The stretch of network, with a plain echo server behind it. */
import { once } from "node:events";
import { type AddressInfo, type Socket, connect, createServer } from "node:net";
import t, { type Test } from "tap";
import { NetworkTap } from "./network-tap.js";

interface Echoing {
  readonly tap: NetworkTap;
  readonly echoPort: number;
  readonly dial: () => Promise<Socket>;
}

async function echoing(t: Test): Promise<Echoing> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const echoPort = (server.address() as AddressInfo).port;
  const tap = await NetworkTap.start(`ws://127.0.0.1:${echoPort}`);
  t.teardown(async () => {
    await tap.close();
    for (const socket of open) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const dial = async (): Promise<Socket> => {
    const socket = connect(Number(new URL(tap.url).port), "127.0.0.1");
    socket.on("error", () => undefined);
    await once(socket, "connect");
    return socket;
  };
  return { tap, echoPort, dial };
}

async function read(socket: Socket, byteCount: number): Promise<string> {
  let text = "";
  while (text.length < byteCount) text += String((await once(socket, "data"))[0]);
  return text;
}

void t.test("bytes pass, and a freeze holds them back until the thaw", async (t) => {
  const { tap, dial, echoPort } = await echoing(t);
  t.match(tap.url, /^ws:\/\/127\.0\.0\.1:\d+$/);
  const socket = await dial();
  socket.write("one");
  t.equal(await read(socket, 3), "one");
  tap.freeze();
  let heard = "";
  const two = new Promise<void>((resolve) => {
    socket.on("data", (bytes) => {
      heard += String(bytes);
      if (heard === "two") resolve();
    });
  });
  socket.write("two");
  const late = await dial();
  late.write("late");
  // What goes past the tap comes back all the while.
  const direct = connect(echoPort, "127.0.0.1");
  for (let turn = 0; turn < 20; turn++) {
    direct.write("!");
    await read(direct, 1);
  }
  direct.destroy();
  t.equal(heard, "");
  tap.thaw();
  t.equal(await read(late, 4), "late");
  await two;
  t.same([tap.connectionCount, tap.acceptedCount], [2, 2]);
  for (const end of [socket, late]) end.destroy();
});

void t.test("closes although one end has left and the other has not", async (t) => {
  const server = createServer((socket) => socket.end("bye"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => new Promise((resolve) => server.close(resolve)));
  const tap = await NetworkTap.start(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  tap.delay(1);
  const stays = connect({ port: Number(new URL(tap.url).port), host: "127.0.0.1", allowHalfOpen: true });
  stays.on("error", () => undefined);
  t.equal(await read(stays, 3), "bye");
  await once(stays, "end");
  tap.freeze();
  await tap.close();
  t.equal(tap.acceptedCount, 1);
});

void t.test(
  "reset is felt as a reset, cut as an end, and no new connection is taken after the stop",
  async (t) => {
    const { tap, dial } = await echoing(t);
    const reset = await dial();
    reset.write("x");
    await read(reset, 1);
    const failed = new Promise((resolve) => reset.on("error", resolve));
    tap.reset();
    t.match(await failed, { code: "ECONNRESET" });
    const cut = await dial();
    cut.write("x");
    await read(cut, 1);
    const ended = once(cut, "end");
    tap.cut();
    await ended;
    cut.destroy();
    await tap.stopListening();
    await t.rejects(dial(), { code: "ECONNREFUSED" });
  },
);

void t.test("a delay and a chop keep every byte in its place", async (t) => {
  const { tap, dial } = await echoing(t);
  tap.delay(5);
  tap.chop(3);
  const socket = await dial();
  const text = "abcdefghij".repeat(200);
  const sentAtMs = performance.now();
  socket.write(text);
  t.equal(await read(socket, text.length), text);
  // There and back; a busy machine only adds to it. Timers count whole milliseconds.
  t.ok(performance.now() - sentAtMs >= 8);
  tap.delay(0);
  socket.write("!");
  t.equal(await read(socket, 1), "!");
  socket.destroy();
});

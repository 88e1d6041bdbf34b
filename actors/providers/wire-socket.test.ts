import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, type Socket, createServer } from "node:net";
import t, { type Test } from "tap";
import { type WebSocket, WebSocketServer } from "ws";
import { VirtualClock } from "#runtime/actor";
import { DueSweep } from "./due-sweep.js";
import type { Failure } from "./failures.js";
import { WireSocket, type WireSocketOwner } from "./wire-socket.js";

/** Records what a socket reports; `ended` resolves at its end. */
class Witness implements WireSocketOwner {
  readonly seen: string[] = [];
  failure: Failure | null | undefined;
  #open!: () => void;
  #text!: () => void;
  #ended!: () => void;
  readonly opened = new Promise<void>((resolve) => (this.#open = resolve));
  readonly heard = new Promise<void>((resolve) => (this.#text = resolve));
  readonly ended = new Promise<void>((resolve) => (this.#ended = resolve));

  onOpen(): void {
    this.seen.push("open");
    this.#open();
  }

  onText(text: string): void {
    this.seen.push(text);
    this.#text();
  }

  onClosed(failure: Failure | null): void {
    this.seen.push("closed");
    this.failure = failure;
    this.#ended();
  }
}

function rig(t: Test, port: number) {
  const clock = new VirtualClock();
  const sweep = new DueSweep(clock);
  const witness = new Witness();
  const options = {
    url: `ws://127.0.0.1:${port}/x`,
    headers: { authorization: "Token planted" },
    connectTimeoutMs: 3_000,
    messageMaxBytes: 1_000,
    requestIdHeader: "x-id",
    errorHeader: "x-error",
  };
  const socket = new WireSocket(options, witness, clock, sweep);
  t.same(witness.seen, [], "nothing happens inside the call");
  t.teardown(() => socket.fail({ reason: "CLOSED", what: "end of test" }));
  return { clock, sweep, witness, socket };
}

/** A server of WebSockets; `accepted` is the first connection. */
async function peer(t: Test, options: { autoPong?: boolean } = {}) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", ...options });
  await once(server, "listening");
  const accepted = once(server, "connection").then(([ws]) => ws as WebSocket);
  t.teardown(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, accepted };
}

/** A server of bytes. */
async function rawPeer(t: Test, onConnection: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    onConnection(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

void t.test("messages go both ways, and our close is not a failure", async (t) => {
  const { port, accepted } = await peer(t);
  const { witness, socket } = rig(t, port);
  const ws = await accepted;
  const received: string[] = [];
  ws.on("message", (data: Buffer, isBinary) => {
    received.push(isBinary ? `<${data.length}>` : data.toString());
    if (received.length === 2) ws.send("hello");
  });
  await witness.opened;
  const scratch = Buffer.alloc(160, 1);
  socket.send(scratch);
  scratch.fill(2); // may be reused at once
  socket.send("text");
  await witness.heard;
  t.same(received, ["<160>", "text"]);
  socket.close();
  socket.close();
  await witness.ended;
  t.same(witness.seen, ["open", "hello", "closed"]);
  t.equal(witness.failure, null);
});

void t.test("a refused upgrade tells status, wait, reason and request, whatever the body does", async (t) => {
  const server = createHttpServer();
  server.on("upgrade", (_request, socket) => {
    // A body that never ends.
    socket.write(
      "HTTP/1.1 429 Too Many\r\nretry-after: 2\r\nx-error: too many streams\r\nx-id: req-7\r\ncontent-length: 1000\r\n\r\nx",
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const { witness } = rig(t, (server.address() as AddressInfo).port);
  await witness.ended;
  t.match(witness.failure, {
    reason: "RATE_LIMITED",
    detail: {
      phase: "connect",
      status: 429,
      retryAfterMs: 2_000,
      providerMessage: "too many streams",
      requestId: "req-7",
    },
  });
  t.same(witness.seen, ["closed"]);
});

void t.test("a handshake that does not come is given up at its deadline, not before", async (t) => {
  let connections = 0;
  const connected = new Promise<number>((resolve) => {
    void rawPeer(t, () => void (connections += 1)).then(resolve);
  });
  const { clock, witness, sweep } = rig(t, await connected);
  clock.advance(2_900);
  await new Promise((resolve) => setImmediate(resolve));
  t.same(witness.seen, []);
  clock.advance(200);
  await witness.ended;
  t.match(witness.failure, { reason: "TIMEOUT", detail: { phase: "connect" } });
  t.equal(sweep.size, 0, "and no deadline is left behind");
});

void t.test("nobody listening, and an answer that is no handshake, are failures to connect", async (t) => {
  const port = await rawPeer(t, () => undefined);
  const free = await rawPeer(t, (socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"));
  const unused = createServer();
  unused.listen(0, "127.0.0.1");
  await once(unused, "listening");
  const nobody = (unused.address() as AddressInfo).port;
  unused.close();
  await once(unused, "close");
  const refused = rig(t, nobody);
  const nonsense = rig(t, free);
  await Promise.all([refused.witness.ended, nonsense.witness.ended]);
  t.match(refused.witness.failure, { reason: "CONNECT_FAILED", detail: { systemCode: "ECONNREFUSED" } });
  t.match(nonsense.witness.failure, { reason: "CONNECT_FAILED" });
  t.ok(port > 0);
});

void t.test("a peer that closes says with which code and word", async (t) => {
  const { port, accepted } = await peer(t);
  const { witness } = rig(t, port);
  (await accepted).close(1011, "NET-0001 no audio for ten seconds");
  await witness.ended;
  t.match(witness.failure, {
    reason: "STREAM_BROKEN",
    detail: { closeCode: 1011, providerCode: "NET-0001", providerMessage: /ten seconds/ },
  });
});

void t.test("a connection that just goes is a broken stream", async (t) => {
  const { port, accepted } = await peer(t);
  const { witness } = rig(t, port);
  (await accepted).terminate();
  await witness.ended;
  t.match(witness.failure, { reason: "STREAM_BROKEN", detail: { closeCode: 1006 } });
});

for (const [what, message] of [
  ["a message past the bound", "x".repeat(1_001)],
  ["a binary message", Buffer.alloc(10)],
] as const) {
  void t.test(`${what} ends the socket`, async (t) => {
    const { port, accepted } = await peer(t);
    const { witness } = rig(t, port);
    (await accepted).send(message);
    await witness.ended;
    t.match(witness.failure, { reason: "PROTOCOL_ERROR" });
    t.same(witness.seen, ["open", "closed"]);
  });
}

void t.test("a quiet peer that answers pings lives, one that does not is given up", async (t) => {
  const { port, accepted } = await peer(t, { autoPong: false });
  const { clock, witness } = rig(t, port);
  const ws = await accepted;
  await witness.opened;
  for (let round = 0; round < 3; round++) {
    const pinged = once(ws, "ping");
    clock.advance(10_100);
    await pinged;
    ws.pong();
    ws.send(`after ping ${round}`);
    while (witness.seen.length < 2 + round) await new Promise((resolve) => setImmediate(resolve));
    clock.advance(5_000); // the next look finds that it was heard
  }
  const pinged = once(ws, "ping");
  clock.advance(10_200);
  await pinged;
  t.notOk(witness.seen.includes("closed"));
  clock.advance(5_200);
  await witness.ended;
  t.match(witness.failure, { reason: "TIMEOUT", detail: { phase: "betweenEvents" } });
});

void t.test("a peer that never answers our close is left after the grace", async (t) => {
  const open = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: ",
  ].join("\r\n");
  const { createHash } = await import("node:crypto");
  const port = await rawPeer(t, (socket) => {
    socket.once("data", (data) => {
      const key = /sec-websocket-key: (.*)\r\n/i.exec(data.toString())?.[1] ?? "";
      const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
      socket.write(`${open}${accept}\r\n\r\n`);
    });
  });
  const { clock, witness, socket } = rig(t, port);
  await witness.opened;
  socket.close();
  clock.advance(1_900);
  await new Promise((resolve) => setImmediate(resolve));
  t.same(witness.seen, ["open"]);
  clock.advance(300);
  await witness.ended;
  t.equal(witness.failure, null);
});

void t.test("closing before the handshake is over ends it without a word", async (t) => {
  const port = await rawPeer(t, () => undefined);
  const { witness, socket } = rig(t, port);
  socket.close();
  t.same(witness.seen, []);
  await witness.ended;
  t.same(witness.seen, ["closed"]);
  t.equal(witness.failure, null);
});

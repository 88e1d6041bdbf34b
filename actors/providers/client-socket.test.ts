import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, type Socket, createServer } from "node:net";
import { createServer as createSecureServer } from "node:https";
import { generate } from "selfsigned";
import t, { type Test } from "tap";
import { WebSocketServer } from "ws";
import { ClientSocket } from "./client-socket.js";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const MESSAGE_MAX_BYTES = 100_000;

/** What a socket tells, and its close, in order. */
function dial(t: Test, port: number, scheme = "ws") {
  const socket = new ClientSocket(`${scheme}://127.0.0.1:${port}/listen?model=x`, {
    headers: { authorization: "Token planted" },
    messageMaxBytes: MESSAGE_MAX_BYTES,
  });
  const heard: string[] = [];
  socket.on("open", () => heard.push("open"));
  socket.on("message", (data: Buffer, isBinary: boolean) =>
    heard.push(isBinary ? `<${data.length}>` : data.toString()),
  );
  socket.on("pong", () => heard.push("pong"));
  socket.on("error", (error: Error & { code?: string }) => heard.push(error.code ?? error.message));
  socket.on("unexpected-response", (_request: unknown, answer: { statusCode: number }) =>
    heard.push(String(answer.statusCode)),
  );
  const closed = new Promise<void>((resolve) => {
    socket.on("close", (code: number) => {
      heard.push(`closed ${code}`);
      resolve();
    });
  });
  t.teardown(() => socket.terminate());
  return { socket, heard, closed };
}

/** A server of bytes that shakes hands by itself: `answer` has the key's right accept in place of `ACCEPT`. */
async function bytePeer(t: Test, answer: string, onOpen: (socket: Socket) => void, chunkBytes = Infinity) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.once("data", (data) => {
      const key = /Sec-WebSocket-Key: (\S+)/.exec(data.toString())![1]!;
      const accept = createHash("sha1")
        .update(key + GUID)
        .digest("base64");
      void writeInChunks(socket, Buffer.from(answer.replace("ACCEPT", accept), "latin1"), chunkBytes).then(
        () => onOpen(socket),
      );
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const SWITCHING =
  "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n";

async function writeInChunks(socket: Socket, bytes: Buffer, chunkBytes: number): Promise<void> {
  if (chunkBytes >= bytes.length) return void socket.write(bytes);
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    socket.write(bytes.subarray(at, at + chunkBytes));
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** A server's frame: `first` is FIN, RSV and opcode. */
function frame(first: number, payload: string | Buffer): Buffer {
  const body = Buffer.from(payload);
  const head =
    body.length < 126
      ? Buffer.of(first, body.length)
      : body.length <= 0xffff
        ? Buffer.of(first, 126, body.length >> 8, body.length & 0xff)
        : Buffer.concat([Buffer.of(first, 127, 0, 0, 0, 0), Buffer.alloc(4)]);
  if (head.length === 10) head.writeUInt32BE(body.length, 6);
  return Buffer.concat([head, body]);
}

const LONG = "long ".repeat(40);
const VERY_LONG = "x".repeat(70_000);

for (const chunkBytes of [1, 3, 7, Infinity]) {
  void t.test(`frames in pieces of ${chunkBytes} bytes are the messages they were`, async (t) => {
    const frames = [
      frame(0x81, "one"),
      frame(0x81, ""),
      frame(0x81, LONG),
      frame(0x01, "frag"),
      frame(0x89, "ping"),
      frame(0x00, "men"),
      frame(0x80, "ted ☎"),
      frame(0x8a, ""),
      frame(0x82, Buffer.alloc(300)),
      frame(0x81, "☎ last"),
      ...(chunkBytes < 7 ? [] : [frame(0x81, VERY_LONG)]),
      frame(0x88, Buffer.concat([Buffer.of(3, 0xf3), Buffer.from("gone")])),
    ];
    const port = await bytePeer(
      t,
      SWITCHING,
      (socket) => void writeInChunks(socket, Buffer.concat(frames), chunkBytes),
      chunkBytes,
    );
    const { heard, closed } = dial(t, port);
    await closed;
    const said = ["open", "one", "", LONG, "fragmented ☎", "pong", "<300>", "☎ last"];
    t.same(heard, [...said, ...(chunkBytes < 7 ? [] : [VERY_LONG]), "closed 1011"]);
  });
}

void t.test("messages that come with the handshake's answer follow it", async (t) => {
  const port = await bytePeer(t, `${SWITCHING}${frame(0x81, "at once").toString("latin1")}`, () => undefined);
  const { socket, heard } = dial(t, port);
  await once(socket, "message");
  t.same(heard, ["open", "at once"]);
});

for (const [what, bytes, code] of [
  ["text that is none", frame(0x81, Buffer.of(0xc3, 0x28)), "WS_ERR_INVALID_UTF8"],
  ["a frame with a key", Buffer.of(0x81, 0x81, 1, 2, 3, 4, 5), "WS_ERR_UNEXPECTED_MASK"],
  ["a reserved bit", frame(0xc1, "x"), "WS_ERR_UNEXPECTED_RSV_1"],
  ["an unknown kind of frame", frame(0x83, "x"), "WS_ERR_INVALID_OPCODE"],
  ["a message within another", Buffer.concat([frame(0x01, "a"), frame(0x81, "b")]), "WS_ERR_INVALID_OPCODE"],
  ["a rest without its beginning", frame(0x80, "b"), "WS_ERR_INVALID_OPCODE"],
  ["a ping in pieces", frame(0x09, "x"), "WS_ERR_EXPECTED_FIN"],
  [
    "the head of a message too long",
    Buffer.of(0x81, 127, 0, 0, 0, 0, 1, 0, 0, 0),
    "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
  ],
  [
    "pieces too long together",
    Buffer.concat([frame(0x01, "x".repeat(60_000)), frame(0x80, "x".repeat(60_000))]),
    "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
  ],
] as const) {
  void t.test(`${what} ends the socket, and nothing after it is heard`, async (t) => {
    const said = Buffer.concat([frame(0x81, "before"), bytes, frame(0x81, "after")]);
    const { heard, closed } = dial(t, await bytePeer(t, SWITCHING, (socket) => socket.write(said)));
    await closed;
    t.same(heard, ["open", "before", code, "closed 1006"]);
  });
}

for (const [what, answer] of [
  ["of another handshake", SWITCHING.replace("ACCEPT", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")],
  [
    "with an extension",
    SWITCHING.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
  ],
  ["that upgrades to something else", SWITCHING.replace("upgrade: WebSocket", "upgrade: h2c")],
  ["without an end", `HTTP/1.1 101 OK\r\nx: ${"y".repeat(20_000)}`],
] as const) {
  void t.test(`an answer ${what} opens nothing`, async (t) => {
    const { heard, closed } = dial(t, await bytePeer(t, answer, () => undefined));
    await closed;
    t.equal(heard.at(-1), "closed 1006");
    t.notOk(heard.includes("open"));
    t.match(heard[0], /handshake|extension/);
  });
}

void t.test("a refusal tells its status, and the connection is its owner's to end", async (t) => {
  const { socket, heard, closed } = dial(
    t,
    await bytePeer(t, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 5\r\n\r\nx", () => undefined),
  );
  await once(socket, "unexpected-response");
  socket.terminate();
  await closed;
  t.equal(heard[0], "401");
  t.notOk(heard.includes("open"));
});

void t.test("over TLS, long messages go both ways", async (t) => {
  const pems = await generate([{ name: "commonName", value: "127.0.0.1" }]);
  const https = createSecureServer({ key: pems.private, cert: pems.cert });
  const server = new WebSocketServer({ server: https });
  server.on("connection", (peer, request) => {
    peer.send(`${String(request.url)} ${String(request.headers.authorization)}`);
    peer.on("message", (data: Buffer, isBinary) =>
      peer.send(isBinary ? `${data.length} bytes` : data.toString()),
    );
  });
  https.listen(0, "127.0.0.1");
  await once(https, "listening");
  t.teardown(() => {
    for (const peer of server.clients) peer.terminate();
    https.close();
  });
  const { port } = https.address() as AddressInfo;
  const stranger = dial(t, port, "wss");
  await stranger.closed;
  t.same(stranger.heard, ["DEPTH_ZERO_SELF_SIGNED_CERT", "closed 1006"]);
  process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
  t.teardown(() => delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"]);
  const { socket, heard, closed } = dial(t, port, "wss");
  await once(socket, "open");
  socket.send(VERY_LONG);
  socket.sendBinary(Buffer.alloc(80_000));
  while (heard.length < 4) await once(socket, "message");
  t.same(heard, ["open", "/listen?model=x Token planted", VERY_LONG, "80000 bytes"]);
  socket.close(1000);
  await closed;
  t.equal(heard.at(-1), "closed 1000");
});

void t.test("a header that would be two is refused at once", async (t) => {
  const options = { headers: { authorization: "Token a\r\nx: y" }, messageMaxBytes: 10 };
  t.throws(() => new ClientSocket("ws://127.0.0.1:9/", options), TypeError);
});

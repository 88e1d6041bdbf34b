import { once } from "node:events";
import type { AddressInfo } from "node:net";
import t from "tap";
import { WebSocketServer } from "ws";
import { BINARY, clientFrame } from "./client-frame.js";
import { systemNetwork } from "./network.js";

/** Nothing in it repeats with the key's length. */
function audio(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) & 0xff));
}

void t.test(
  "binary messages of any length arrive as they were, in their place among the others",
  async (t) => {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await once(server, "listening");
    t.teardown(() => server.close());
    const heard: (string | Buffer)[] = [];
    const whole = new Promise<void>((resolve) => {
      server.on("connection", (peer) => {
        peer.on("message", (data: Buffer, isBinary) => {
          heard.push(isBinary ? data : data.toString());
          if (!isBinary && data.toString() === "end") resolve();
        });
      });
    });
    const { port } = server.address() as AddressInfo;
    const socket = systemNetwork.openSocket(`ws://127.0.0.1:${port}`, {
      headers: {},
      messageMaxBytes: 1_000,
    });
    t.teardown(() => socket.terminate());
    await once(socket as unknown as NodeJS.EventEmitter, "open");
    const lengths = [0, 1, 2, 3, 125, 126, 127, 160, 1_600, 0xffff, 0xffff + 1];
    const said = lengths.flatMap((length) => [`${length} bytes follow`, audio(length)]);
    for (const message of said) {
      if (typeof message === "string") socket.send(message);
      else {
        const reused = Buffer.from(message);
        socket.sendBinary(reused);
        reused.fill(0);
      }
    }
    socket.send("end");
    socket.close(1000);
    socket.sendBinary(audio(160)); // too late, and no error
    await whole;
    t.same(heard, [...said, "end"]);
  },
);

void t.test("every frame is masked by a key of its own", (t) => {
  const seen = new Set<number>();
  for (let frame = 0; frame < 3_000; frame += 1) {
    const bytes = clientFrame(BINARY, audio(160));
    if (bytes.length === 168 && (bytes[1]! & 0x80) !== 0) seen.add(bytes.readUInt32BE(4));
  }
  t.ok(seen.size > 2_990, `${seen.size} keys`);
  t.end();
});

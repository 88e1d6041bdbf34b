/**
 * Clients that send a byte now and then. uWebSockets.js gives a request ten seconds and some 16 KiB a second;
 * this takes that long, since the time is the library's own and real.
 */
import { once } from "node:events";
import { connect } from "node:net";
import t from "tap";
import { Harness } from "./edge.fixture.js";

void t.test(
  "headers, an upgrade and a body that drip in are closed, and so is silence; a call goes on",
  async (t) => {
    const harness = await Harness.start();
    const { phone, shard } = await harness.call();
    const openings = [
      "GET /twilio/voice HTTP/1.1\r\nHost: x\r\nX-Slow: ",
      "GET /twilio/media/abc HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nX-Slow: ",
      "POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n",
      "",
    ];
    const drips: NodeJS.Timeout[] = [];
    t.teardown(async () => {
      for (const drip of drips) clearInterval(drip);
      await harness.stop();
    });
    await Promise.all(
      openings.map(async (opening) => {
        const client = connect(harness.port, "127.0.0.1");
        client.on("error", () => {});
        await once(client, "connect");
        if (opening !== "") {
          client.write(opening);
          drips.push(setInterval(() => client.write("a"), 500));
        }
        client.resume();
        // Not `once`, which rejects on an error: with a byte on its way the close arrives as a reset.
        await new Promise((resolve) => client.on("close", resolve));
      }),
    );
    t.equal(harness.delegate.calls.length, 1);
    phone.media(Buffer.alloc(160, 1));
    t.equal((await shard.audioBytes(160)).length, 160);
  },
);

/**
 * Load for an edge, as cheap as it can be made: N media sockets over plain TCP, each sending a Twilio media message every
 * 20 ms, all evenly spread over these 20 ms. Messages are made once; per frame the counters and the instant of
 * sending are written into one buffer. It never sleeps, for a timer's millisecond would send packets in bursts that no
 * network makes, and so takes a core of its own. What comes back is counted in bytes and not read. Beside them, ten requests a
 * second ask the same port for a page that is not there: what a webhook would wait.
 *
 * Parameters: the edge's URL, calls, the file to put the report in. It says in one JSON line when all calls stream, and
 * reports and ends at SIGTERM.
 */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { type Socket, connect } from "node:net";
import { fileURLToPath } from "node:url";
import { SystemClock } from "#runtime/actor";
import { Distribution } from "../load/distribution.js";
import { type LoadReport, SENT_AT_BYTES } from "./edge-measures.js";

/** Its entry file, for whoever starts it. */
export const EDGE_LOAD_ENTRY = fileURLToPath(import.meta.url);

const FRAME_MS = 20;
const FRAME_BYTES = 160;
const PROBE_EVERY_MS = 100;
/** Webhooks at once while calls are placed. */
const PLACING_AT_ONCE = 8;
const TO = "+12025550101";
/** Counters begin here, so that they keep their width. */
const FIRST_COUNT = 1_000_001;
const COUNT_DIGITS = 7;
const TIMESTAMP_DIGITS = 9;
const FIRST_TIMESTAMP_MS = 100_000_000;

/** A client's text frame. The mask is zeros, as the protocol allows: the payload stands as it is. */
function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(payload.length < 126 ? 6 : 8);
  header[0] = 0x81;
  if (payload.length < 126) header[1] = 0x80 | payload.length;
  else {
    header[1] = 0x80 | 126;
    header.writeUInt16BE(payload.length, 2);
  }
  return Buffer.concat([header, payload]);
}

/** One media message whose counters, instant and stream are written over for each frame sent. */
class MediaFrame {
  readonly bytes: Buffer;
  readonly #chunkAt: number;
  readonly #timestampAt: number;
  readonly #payloadAt: number;
  readonly #sentAt = new DataView(new ArrayBuffer(SENT_AT_BYTES + 1));
  readonly #sentAtBytes = Buffer.from(this.#sentAt.buffer);

  constructor() {
    const audio = Buffer.alloc(FRAME_BYTES, 0xff).toString("base64");
    const text =
      `{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"${FIRST_COUNT}",` +
      `"timestamp":"${FIRST_TIMESTAMP_MS}","payload":"${audio}"},"streamSid":"MZ${"0".repeat(32)}"}`;
    this.bytes = textFrame(text);
    this.#chunkAt = this.bytes.indexOf(String(FIRST_COUNT));
    this.#timestampAt = this.bytes.indexOf(String(FIRST_TIMESTAMP_MS));
    this.#payloadAt = this.bytes.indexOf(audio);
  }

  fill(index: number, sentAtMs: number): void {
    this.#digits(this.#chunkAt, COUNT_DIGITS, FIRST_COUNT + index);
    this.#digits(this.#timestampAt, TIMESTAMP_DIGITS, FIRST_TIMESTAMP_MS + index * FRAME_MS);
    this.#sentAt.setFloat64(0, sentAtMs, true);
    this.bytes.write(this.#sentAtBytes.toString("base64"), this.#payloadAt, "latin1");
  }

  #digits(at: number, count: number, value: number): void {
    let rest = value;
    for (let index = at + count - 1; index >= at; index--) {
      this.bytes[index] = 0x30 + (rest % 10);
      rest = Math.floor(rest / 10);
    }
  }
}

class EdgeLoad {
  readonly #clock = new SystemClock();
  readonly #edge: URL;
  readonly #sockets: Socket[] = [];
  readonly #frame = new MediaFrame();
  readonly #requestMs = new Distribution("request");
  readonly #lateMs = new Distribution("late");
  readonly #agent = new Agent({ keepAlive: true, maxSockets: PLACING_AT_ONCE });
  #startedAtMs = 0;
  #nextFrame = 0;
  #lostCalls = 0;
  #stalledFrames = 0;
  #bytesReceived = 0;
  #isOver = false;

  constructor(edge: URL) {
    this.#edge = edge;
  }

  async placeCalls(calls: number): Promise<void> {
    let next = 0;
    const place = async (): Promise<void> => {
      while (next < calls) this.#sockets.push(await this.#placeCall(next++));
    };
    await Promise.all(Array.from({ length: PLACING_AT_ONCE }, place));
  }

  stream(): void {
    this.#startedAtMs = this.#clock.nowMs();
    const spin = (): void => {
      if (this.#isOver) return;
      this.#tick();
      setImmediate(spin);
    };
    spin();
    setInterval(() => void this.#probe(), PROBE_EVERY_MS);
  }

  /** Resolves when all that was sent has left this process. */
  async end(): Promise<void> {
    this.#isOver = true;
    const behind = this.#sockets.filter(({ writableLength, destroyed }) => writableLength > 0 && !destroyed);
    await Promise.all(
      behind.map(
        (socket) => new Promise<void>((resolve) => socket.once("close", resolve).write("", () => resolve())),
      ),
    );
  }

  report(): LoadReport {
    const { percentileMs } = { percentileMs: (of: Distribution, at: number) => of.percentileMs(at) };
    return {
      framesSent: this.#nextFrame,
      lostCalls: this.#lostCalls,
      stalledFrames: this.#stalledFrames,
      bytesReceived: this.#bytesReceived,
      requestMs: {
        p50: percentileMs(this.#requestMs, 50),
        p95: percentileMs(this.#requestMs, 95),
        p99: percentileMs(this.#requestMs, 99),
      },
      lateMs: { p50: percentileMs(this.#lateMs, 50), p99: percentileMs(this.#lateMs, 99) },
    };
  }

  /**
   * Frame k is call k mod N's, and due k/N of 20 ms after the start. At most one of each call in a turn: a load that is
   * given too little of a processor never catches up, and would hear neither its sockets nor that it is over.
   */
  #tick(): void {
    const calls = this.#sockets.length;
    for (let sent = 0; sent < calls; sent++) {
      const nowMs = this.#clock.nowMs();
      const dueAtMs = this.#startedAtMs + (this.#nextFrame / calls) * FRAME_MS;
      if (dueAtMs > nowMs) return;
      const index = this.#nextFrame++;
      const socket = this.#sockets[index % calls]!;
      this.#lateMs.record(nowMs - dueAtMs);
      // The one buffer is sent at once, or else a copy of it later.
      const isBehind = socket.writableLength > 0;
      this.#frame.fill(Math.floor(index / calls), nowMs);
      if (isBehind) this.#stalledFrames++;
      socket.write(isBehind ? Buffer.from(this.#frame.bytes) : this.#frame.bytes);
    }
  }

  async #probe(): Promise<void> {
    const intendedAtMs = this.#clock.nowMs();
    await this.#request("GET", "/none", "");
    this.#requestMs.record(this.#clock.nowMs() - intendedAtMs);
  }

  async #placeCall(index: number): Promise<Socket> {
    const carrierCallId = `CA${String(index).padStart(32, "0")}`;
    const form = new URLSearchParams({
      CallSid: carrierCallId,
      AccountSid: `AC${"0".repeat(32)}`,
      From: "+15550100001",
      To: TO,
      CallStatus: "ringing",
      Direction: "inbound",
    });
    const markup = await this.#request("POST", "/twilio/voice", form.toString());
    const path = /url="wss?:\/\/[^/]+([^"]+)"/.exec(markup)?.[1];
    if (path === undefined) throw new Error(`no media socket in ${markup}`);
    const socket = connect(Number(this.#edge.port), this.#edge.hostname);
    socket.setNoDelay(true);
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: ${this.#edge.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`,
    );
    const answer = await new Promise<Buffer>((resolve, reject) => {
      socket.once("data", resolve);
      socket.once("error", reject);
    });
    if (!answer.toString("latin1").startsWith("HTTP/1.1 101")) {
      throw new Error(`the upgrade was answered with ${answer.toString("latin1").split("\r\n", 1)[0]}`);
    }
    socket.on("data", (chunk: Buffer) => {
      this.#bytesReceived += chunk.length;
    });
    socket.on("error", () => {});
    socket.once("close", () => {
      this.#lostCalls++;
    });
    const start = {
      event: "start",
      sequenceNumber: "1",
      start: {
        streamSid: `MZ${String(index).padStart(32, "0")}`,
        callSid: carrierCallId,
        accountSid: `AC${"0".repeat(32)}`,
        tracks: ["inbound"],
        mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 },
        customParameters: {},
      },
    };
    socket.write(textFrame('{"event":"connected","protocol":"Call","version":"1.0.0"}'));
    socket.write(textFrame(JSON.stringify(start)));
    return socket;
  }

  #request(method: string, path: string, body: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const headers = { "content-type": "application/x-www-form-urlencoded", "content-length": body.length };
      const asked = request(new URL(path, this.#edge), { method, headers, agent: this.#agent }, (answer) => {
        let text = "";
        answer.setEncoding("utf8");
        answer.on("data", (chunk: string) => {
          text += chunk;
        });
        answer.on("end", () => resolve(text));
      });
      asked.on("error", reject);
      asked.end(body);
    });
  }
}

if (process.argv[1] === EDGE_LOAD_ENTRY) {
  const [url = "", calls = "0", reportFile = ""] = process.argv.slice(2);
  const load = new EdgeLoad(new URL(url));
  await load.placeCalls(Number(calls));
  load.stream();
  process.once("SIGTERM", () => {
    void load.end().then(() => {
      writeFileSync(reportFile, JSON.stringify(load.report()));
      process.exit(0);
    });
  });
  console.log(JSON.stringify({ event: "streaming" }));
}

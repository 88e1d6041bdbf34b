/**
 * One WebSocket to a vendor, as a client (RFC 6455): the handshake and the way of bytes are ours, the protocol is `ws`'s.
 *
 *   dial ─> request ─> answer's head ─> frames: a whole text message ─────────────> owner
 *                                               all else, one frame at a time ─> ws' Receiver ─> owner
 *
 * `ws` makes the handshake by node:http and reads by streams, with 64 KiB for each read: together a fifth of what a short
 * message costs, the kernel's half and JSON.parse included, and a quarter of a dial. Here one buffer takes what all sockets
 * of the thread read, and most messages are handed on as they lie in it.
 *
 * Stages: connecting -> open -> closing -> closed, in that order, skipping what did not happen.
 *
 * N1  Every event comes on a later tick than what caused it here; `close` once, and nothing after it.
 * N2  What is read lies in a buffer that the next read of any socket overwrites: a text message is the owner's during
 *     the event only, and whatever waits for its rest is copied.
 */
import { isUtf8 } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import { type Socket, connect as connectPlain, isIP } from "node:net";
import type { Writable } from "node:stream";
import { connect as connectSecure } from "node:tls";
import * as ws from "ws";
import { BINARY, CLOSE, type Opcode, PING, PONG, TEXT, clientFrame } from "./client-frame.js";

/** What is used of an answer to the handshake. */
export interface HandshakeAnswer {
  readonly statusCode?: number | undefined;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | undefined>>;
}

export interface ClientSocketOptions {
  readonly headers: Readonly<Record<string, string>>;
  /** A larger message from the peer ends the socket. */
  readonly messageMaxBytes: number;
}

/** Of `ws`, whose types leave it out. */
type Receiver = Writable;
const { Receiver } = ws as unknown as {
  readonly Receiver: new (options: { readonly maxPayload: number }) => Receiver;
};

/** As much as the kernel gives at once; a shard's sockets share it. */
const READ_BYTES = 64 * 1024;
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
/** Vendors' heads are below 2 KiB; Node's own bound on one is this. */
const HEAD_MAX_BYTES = 16 * 1024;
const HEAD_END = Buffer.from("\r\n\r\n");
const STATUS_LINE = /^HTTP\/1\.1 (\d{3})(?: |$)/;
/** RFC 6455, section 1.3. */
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** The first byte of a text message in one frame; the second is then its length, unmasked. */
const WHOLE_TEXT = 0x80 | TEXT;
const FINAL = 0x80;
const OPCODE = 0x0f;
const MASKED = 0x80;
const LENGTH = 0x7f;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const CLOSE_NORMAL = 1000;
const CLOSE_ABNORMAL = 1006;
const CLOSE_PROTOCOL_ERROR = 1002;

export class ClientSocket extends EventEmitter {
  readonly #socket: Socket;
  /** Made when it is first needed, which is at the end for most. */
  #receiver: Receiver | null = null;
  readonly #key = randomBytes(16).toString("base64");
  readonly #messageMaxBytes: number;
  #stage: "connecting" | "open" | "closing" | "closed" = "connecting";
  /** The beginning of the head, or of a frame. */
  #rest: Buffer[] = [];
  #restBytes = 0;
  /** Bytes of the frame that has begun, as far as they are known. */
  #frameBytes = 0;
  /** The next frame goes on with a message. */
  #isFragmented = false;
  /** Why it will not open was told, or nobody waits for it. */
  #isGivenUp = false;
  #saidClose = false;
  #concluded = false;
  #closeCode = CLOSE_ABNORMAL;
  #closeReason: Buffer = Buffer.alloc(0);

  constructor(address: string, { headers, messageMaxBytes }: ClientSocketOptions) {
    super();
    const url = new URL(address);
    this.#messageMaxBytes = messageMaxBytes;
    const ask = this.#asking(this.#request(url, headers)); // throws before anything is dialled
    const isSecure = url.protocol === "wss:";
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const onread = {
      buffer: readBuffer,
      callback: (length: number): boolean => {
        this.#take(readBuffer.subarray(0, length));
        return true;
      },
    };
    const target = { host, port: Number(url.port) || (isSecure ? 443 : 80), onread };
    this.#socket = isSecure
      ? connectSecure({ ...target, servername: isIP(host) === 0 ? host : "", ALPNProtocols: ["http/1.1"] })
      : connectPlain(target);
    this.#socket.setNoDelay(true);
    this.#socket.once(isSecure ? "secureConnect" : "connect", ask);
    this.#socket.on("error", (error) => {
      // Of an open one the close tells.
      if (this.#stage === "connecting") this.#failToOpen(error);
    });
    this.#socket.once("close", () => {
      if (this.#stage === "connecting") this.#failToOpen(new Error("it ended before it was open"));
      this.#stage = "closed";
      this.emit("close", this.#closeCode, this.#closeReason);
    });
    this.#socket.resume();
  }

  /** Handed to the kernel's care but not yet taken by it. */
  get bufferedAmount(): number {
    return this.#socket.writableLength;
  }

  send(text: string): void {
    this.#sendFrame(TEXT, Buffer.from(text, "utf8"));
  }

  /** The buffer may be reused at once. */
  sendBinary(data: Uint8Array): void {
    this.#sendFrame(BINARY, data);
  }

  ping(): void {
    this.#sendFrame(PING, Buffer.alloc(0));
  }

  /** Says goodbye; the peer's goodbye ends it. One that is not open is given up. */
  close(code: number): void {
    if (this.#stage === "connecting") this.terminate();
    if (this.#stage !== "open") return;
    this.#sayClose(code);
    this.#stage = "closing";
  }

  terminate(): void {
    this.#isGivenUp = true;
    this.#socket.destroy();
  }

  // ---- the handshake

  /** Not where the other listeners are made: what one of them holds they all keep, for as long as the socket lives. */
  #asking(request: string): () => void {
    return () => this.#socket.write(request);
  }

  #request(url: URL, headers: Readonly<Record<string, string>>): string {
    const lines = [
      `GET ${url.pathname}${url.search} HTTP/1.1`,
      `Host: ${url.host}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${this.#key}`,
    ];
    for (const [name, value] of Object.entries(headers)) {
      if (/[\r\n]/.test(name + value)) throw new TypeError(`header ${name} holds a line end`);
      lines.push(`${name}: ${value}`);
    }
    return `${lines.join("\r\n")}\r\n\r\n`;
  }

  #takeHead(bytes: Buffer): void {
    const end = bytes.indexOf(HEAD_END);
    if (end < 0) {
      if (bytes.length > HEAD_MAX_BYTES) this.#refuse("the answer to the handshake has no end");
      else this.#keep(bytes);
      return;
    }
    const [statusLine = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
    const status = STATUS_LINE.exec(statusLine);
    if (status === null) return this.#refuse("the answer to the handshake is not HTTP");
    const answer: HandshakeAnswer = { statusCode: Number(status[1]), headers: headersOf(lines) };
    if (answer.statusCode !== 101) {
      this.emit("unexpected-response", null, answer);
      return;
    }
    const accept = createHash("sha1")
      .update(this.#key + ACCEPT_GUID)
      .digest("base64");
    const { headers } = answer;
    if (headers["upgrade"]?.toLowerCase() !== "websocket" || headers["sec-websocket-accept"] !== accept)
      return this.#refuse("the answer to the handshake is of another one");
    // None was asked for.
    if (headers["sec-websocket-extensions"] !== undefined || headers["sec-websocket-protocol"] !== undefined)
      return this.#refuse("the peer chose an extension that was not offered");
    this.#stage = "open";
    this.emit("upgrade", answer);
    this.emit("open");
    this.#takeFrames(bytes.subarray(end + HEAD_END.length));
  }

  #refuse(what: string): void {
    this.#failToOpen(new Error(what));
    this.#socket.destroy();
  }

  #failToOpen(error: Error): void {
    if (this.#isGivenUp) return;
    this.#isGivenUp = true;
    this.emit("error", error);
  }

  // ---- what comes

  #take(bytes: Buffer): void {
    if (this.#socket.destroyed) return;
    if (this.#restBytes === 0) return this.#takeWhole(bytes);
    if (this.#restBytes + bytes.length < this.#frameBytes) return this.#keep(bytes);
    this.#rest.push(bytes);
    const whole = Buffer.concat(this.#rest);
    this.#rest = [];
    this.#restBytes = 0;
    this.#takeWhole(whole);
  }

  #takeWhole(bytes: Buffer): void {
    if (this.#stage === "connecting") this.#takeHead(bytes);
    else this.#takeFrames(bytes);
  }

  #takeFrames(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length && !this.#concluded && !this.#socket.destroyed) {
      const headBytes = headBytesOf(bytes, at);
      const payloadBytes = headBytes === 0 ? 0 : payloadBytesOf(bytes, at);
      const end = at + headBytes + payloadBytes;
      // One too long for us is refused by its head alone.
      const isTooLong = payloadBytes > this.#messageMaxBytes;
      if (headBytes === 0 || (end > bytes.length && !isTooLong)) {
        this.#frameBytes = headBytes + payloadBytes;
        return this.#keep(bytes.subarray(at));
      }
      const payload = bytes.subarray(at + headBytes, end);
      const isPlain = bytes[at] === WHOLE_TEXT && bytes[at + 1]! <= LENGTH_64;
      if (isPlain && !isTooLong && !this.#isFragmented && isUtf8(payload)) {
        this.emit("message", payload, false);
      } else {
        if ((bytes[at]! & OPCODE) < CLOSE) this.#isFragmented = bytes[at]! < FINAL;
        this.#receiver ??= this.#newReceiver();
        this.#receiver.write(Buffer.from(bytes.subarray(at, end)));
        // It tells on a later tick.
        if (this.#receiver.errored !== null) this.#concluded = true;
      }
      at = end;
    }
  }

  /** N2 */
  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#rest.push(Buffer.from(bytes));
    this.#restBytes += bytes.length;
  }

  /** For whatever is not a whole text message, and all that is wrong. It hears whole frames. */
  #newReceiver(): Receiver {
    const receiver = new Receiver({ maxPayload: this.#messageMaxBytes });
    receiver.on("message", (data: Buffer, isBinary: boolean) => this.emit("message", data, isBinary));
    receiver.on("ping", (data: Buffer) => this.#sendFrame(PONG, data));
    receiver.on("pong", () => this.emit("pong"));
    receiver.on("conclude", (code: number, reason: Buffer) => {
      this.#closeCode = code;
      this.#closeReason = reason;
      this.#conclude(CLOSE_NORMAL);
    });
    receiver.on("error", (error: Error) => {
      this.emit("error", error);
      this.#conclude(CLOSE_PROTOCOL_ERROR);
    });
    return receiver;
  }

  /** Nothing more is read; what was written leaves first. */
  #conclude(code: number): void {
    this.#concluded = true;
    this.#sayClose(code);
    this.#stage = "closing";
    this.#socket.destroySoon();
  }

  // ---- what goes

  #sendFrame(opcode: Opcode, payload: Uint8Array): void {
    if (this.#stage === "open") this.#socket.write(clientFrame(opcode, payload));
  }

  #sayClose(code: number): void {
    if (this.#saidClose) return;
    this.#saidClose = true;
    this.#sendFrame(CLOSE, Buffer.of(code >>> 8, code & 0xff));
  }
}

/** 0: it is not all there. */
function headBytesOf(bytes: Buffer, at: number): number {
  if (at + 2 > bytes.length) return 0;
  const second = bytes[at + 1]!;
  const length = second & LENGTH;
  const headBytes = 2 + (length === LENGTH_16 ? 2 : length === LENGTH_64 ? 8 : 0) + (second < MASKED ? 0 : 4);
  return at + headBytes > bytes.length ? 0 : headBytes;
}

function payloadBytesOf(bytes: Buffer, at: number): number {
  const length = bytes[at + 1]! & LENGTH;
  if (length === LENGTH_16) return bytes.readUInt16BE(at + 2);
  return length === LENGTH_64 ? Number(bytes.readBigUInt64BE(at + 2)) : length;
}

function headersOf(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon > 0) headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
  }
  return headers;
}

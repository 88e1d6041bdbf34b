/**
 * The phone's end of a media socket. What is rare goes through the WebSocket library; audio frames, fifty a second
 * and call, are written to the connection as they stand, header and text in one piece: half of what a frame cost
 * was the library's (9.4 to 7.3 us, of which the kernel's are 5.2).
 *
 * S1 both ways end in the same connection, synchronously: messages leave in the order they were sent.
 */
import { type Socket, connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { WebSocket } from "ws";

/** And about as long as carriers wait: two attempts of 5 s. */
const UPGRADE_TIMEOUT_MS = 10_000;
/** A message of ten minutes of audio in base64 is 6.4 MB; anything larger is not audio. */
const MESSAGE_BYTES_MAX = 8 * 1024 * 1024;
/** A peer that does not read for this long, some three minutes of audio, has lost the call. */
const UNSENT_BYTES_MAX = 4 * 1024 * 1024;
/** How every frame of audio begins, in all dialects; ids, digits and base64 behind it: ASCII, one byte a character. */
const AUDIO_PREFIX = '{"event":"media"';
/** Lengths that a WebSocket header gives in 16 bits. */
const LENGTH_16_MIN = 126;
const LENGTH_16_MAX = 65_535;

export interface MediaSocketListener {
  onText(text: string): void;
  onBinary(): void;
  /** Once, last. */
  onClose(code: number): void;
}

export type OpenedSocket =
  | { readonly kind: "open"; readonly socket: MediaSocket }
  /** Carrier's code and words: 31920 not a 101, 31901 no answer. */
  | { readonly kind: "failed"; readonly detail: string };

export class MediaSocket {
  readonly #socket: WebSocket;
  readonly #connection: Socket;

  private constructor(socket: WebSocket, connection: Socket) {
    this.#socket = socket;
    this.#connection = connection;
  }

  /** Messages and the close go to `listener` from the moment it is open. */
  static open(
    url: string,
    headers: Readonly<Record<string, string>>,
    listener: MediaSocketListener,
  ): Promise<OpenedSocket> {
    return new Promise((resolve) => {
      let connection: Socket | null = null;
      const socket = new WebSocket(url, {
        headers,
        perMessageDeflate: false,
        handshakeTimeout: UPGRADE_TIMEOUT_MS,
        maxPayload: MESSAGE_BYTES_MAX,
        // A mask of zeros is legal, spares the phone a pass over every byte and costs the node the same.
        generateMask: zeroMask,
        createConnection: (options: object) => {
          connection = dial(url, options);
          return connection;
        },
      });
      let opened = false;
      socket.on("open", () => {
        opened = true;
        resolve({ kind: "open", socket: new MediaSocket(socket, connection!) });
      });
      socket.on("unexpected-response", (_request, response) => {
        response.resume();
        resolve({ kind: "failed", detail: `31920: the upgrade was answered with ${response.statusCode}` });
        socket.terminate();
      });
      socket.on("error", (error) => {
        // After the handshake a close follows, which tells the rest.
        if (!opened) resolve({ kind: "failed", detail: `31901: ${error.message}` });
      });
      socket.on("message", (data, isBinary) => {
        if (isBinary) listener.onBinary();
        else listener.onText((data as Buffer).toString());
      });
      socket.on("close", (code) => {
        if (opened) listener.onClose(code);
      });
    });
  }

  /** Nothing once the socket closes. */
  send(text: string): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (text.length < LENGTH_16_MIN || text.length > LENGTH_16_MAX || !text.startsWith(AUDIO_PREFIX)) {
      this.#socket.send(text);
    } else {
      this.#connection.write(headerOf(text.length) + text, "latin1"); // S1
      if (this.#connection.writableLength > UNSENT_BYTES_MAX) this.#socket.terminate();
    }
  }

  close(code: number): void {
    this.#socket.close(code);
  }

  /** Gone at once, without a close frame. */
  terminate(): void {
    this.#socket.terminate();
  }
}

function dial(url: string, options: object): Socket {
  const target = new URL(url);
  const host = target.hostname.replace(/^\[(.*)\]$/, "$1");
  if (target.protocol !== "wss:") return connectTcp(Number(target.port || 80), host);
  const servername = /^[\d.]+$|:/.test(host) ? "" : host;
  return connectTls({ ...options, host, port: Number(target.port || 443), servername });
}

/** FIN and text, masked with zeros; as characters of one byte each, for it is written together with the text. */
function headerOf(length: number): string {
  let header = headers.get(length);
  if (header === undefined) {
    header = String.fromCharCode(0x81, 0x80 | 126, length >> 8, length & 0xff, 0, 0, 0, 0);
    headers.set(length, header);
  }
  return header;
}

/** Frames differ in the digits of their counters alone: a handful of lengths. */
const headers = new Map<number, string>();

function zeroMask(mask: Buffer): void {
  mask.fill(0);
}

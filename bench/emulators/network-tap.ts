/**
 * A stretch of network between a client and a server, which a test can break: the faults that no server
 * can show by itself. Bytes pass through untouched until told otherwise.
 *
 * ```ts
 * const tap = await NetworkTap.start(emulators.urls.deepgram);
 * // … point the client at tap.url
 * tap.freeze(); // half-open: not even pings are answered
 * tap.reset(); // RST on every connection
 * await tap.close();
 * ```
 */
import { type Server, type Socket, connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";

/** Bytes on their way through a delay, per direction; past it the sender is held back, as TCP would. */
const IN_FLIGHT_MAX_BYTES = 1024 * 1024;

interface Link {
  readonly near: Socket;
  readonly far: Socket;
}

/** One direction of a link. */
interface Lane {
  readonly inFlight: { readonly bytes: Buffer | null; readonly dueAtMs: number }[];
  inFlightBytes: number;
  timer: NodeJS.Timeout | null;
}

export class NetworkTap {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #target: URL;
  #url = "";
  #frozen = false;
  #delayMs = 0;
  #chopBytes = Infinity;
  #acceptedCount = 0;

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer({ pauseOnConnect: true }, (near) => this.#accept(near));
  }

  static async start(target: string): Promise<NetworkTap> {
    const tap = new NetworkTap(target);
    await new Promise<void>((resolve, reject) => {
      tap.#server.once("error", reject);
      tap.#server.listen(0, "127.0.0.1", resolve);
    });
    const { port } = tap.#server.address() as AddressInfo;
    tap.#url = `${tap.#target.protocol}//127.0.0.1:${port}`;
    return tap;
  }

  /** In place of the target's, with its scheme. */
  get url(): string {
    return this.#url;
  }

  /** Those with an end that is open. */
  get connectionCount(): number {
    return this.#links.size;
  }

  /** Connections since the start. */
  get acceptedCount(): number {
    return this.#acceptedCount;
  }

  /** Nothing passes any more, in either direction, and nothing is closed. New connections are taken and left silent. */
  freeze(): void {
    this.#frozen = true;
    for (const link of this.#links) {
      link.near.pause();
      link.far.pause();
    }
  }

  /** What waited comes in a burst. */
  thaw(): void {
    this.#frozen = false;
    for (const link of this.#links) {
      link.near.resume();
      link.far.resume();
    }
  }

  /** RST on every connection, to both ends. */
  reset(): void {
    for (const { near, far } of this.#links) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  /** FIN on every connection, without a word of the protocol above. */
  cut(): void {
    for (const { near, far } of this.#links) {
      near.end();
      far.end();
    }
  }

  /** From now on everything takes this much longer, each way. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** From now on the client gets the server's bytes in pieces of at most this many. */
  chop(bytes: number): void {
    this.#chopBytes = bytes;
  }

  /** No new connections: refused by the kernel. */
  async stopListening(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.reset();
    await closed;
  }

  close(): Promise<void> {
    return this.stopListening();
  }

  #accept(near: Socket): void {
    this.#acceptedCount += 1;
    near.setNoDelay(true);
    const far = connect(Number(this.#target.port), this.#target.hostname);
    far.setNoDelay(true);
    const link: Link = { near, far };
    this.#links.add(link);
    this.#forward(link, near, far, false);
    this.#forward(link, far, near, true);
    if (!this.#frozen) near.resume();
    else far.pause();
  }

  #forward(link: Link, source: Socket, target: Socket, toClient: boolean): void {
    const lane: Lane = { inFlight: [], inFlightBytes: 0, timer: null };
    const pass = (bytes: Buffer | null): void => {
      lane.inFlight.push({ bytes, dueAtMs: performance.now() + this.#delayMs });
      lane.inFlightBytes += bytes?.length ?? 0;
      this.#deliverDue(lane, source, target, toClient);
    };
    source.on("data", (bytes: Buffer) => {
      pass(bytes);
      if (lane.inFlightBytes > IN_FLIGHT_MAX_BYTES) source.pause();
    });
    source.on("end", () => pass(null));
    source.on("error", () => target.destroy());
    source.on("close", (failed) => {
      // A half-open tap's other end is still ours to close.
      if (target.closed) this.#links.delete(link);
      // A half-open tap keeps the other end in the dark; what is in flight still arrives before its end.
      if (!this.#frozen && (failed || lane.inFlight.length === 0)) target.destroySoon();
    });
  }

  /** In order, each piece when it is due. */
  #deliverDue(lane: Lane, source: Socket, target: Socket, toClient: boolean): void {
    if (lane.timer !== null) return;
    const pieceBytes = toClient ? this.#chopBytes : Infinity;
    for (let next = lane.inFlight[0]; next !== undefined; next = lane.inFlight[0]) {
      const leftMs = next.dueAtMs - performance.now();
      if (leftMs > 0) {
        lane.timer = setTimeout(() => {
          lane.timer = null;
          this.#deliverDue(lane, source, target, toClient);
        }, leftMs);
        return;
      }
      lane.inFlight.shift();
      deliver(target, next.bytes, pieceBytes);
      lane.inFlightBytes -= next.bytes?.length ?? 0;
    }
    if (source.isPaused() && !this.#frozen) source.resume();
  }
}

/** `null` is the end. */
function deliver(target: Socket, bytes: Buffer | null, pieceBytes: number): void {
  if (!target.writable) return;
  if (bytes === null) target.end();
  else
    for (let at = 0; at < bytes.length; at += pieceBytes) target.write(bytes.subarray(at, at + pieceBytes));
}

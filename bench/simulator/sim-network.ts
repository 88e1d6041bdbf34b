/** One shard's way to the vendors: sockets and requests end with it. */
import type { Network, NetworkPool, NetworkSocket } from "#actors/providers";
import type { SttFault, TtsFault, VendorFault } from "./script.js";
import { type PoolRequest, type SimExchange, SimPool } from "./sim-exchange.js";
import { SimSocket } from "./sim-socket.js";
import type { SimThread, SimTime } from "./sim-time.js";
import { AssemblyVendor } from "./vendor-assembly.js";
import { ElevenVendor } from "./vendor-eleven.js";
import { LlmVendor, type LlmWorld } from "./vendor-llm.js";
import { PiperVendor } from "./vendor-piper.js";
import { SttVendor } from "./vendor-stt.js";
import { TtsVendor } from "./vendor-tts.js";
import { WhisperVendor } from "./vendor-whisper.js";

/** Deepgram's and AssemblyAI's. */
const STT_PATH = /\/v1\/listen|\/v3\/ws/;
/** AssemblyAI's and ElevenLabs', which stand behind the first. */
const OTHERS_PATH = /\/v3\/ws|\/multi-stream-input/;
/** As the nodes of a world are told. */
export const WHISPER_ORIGIN = "http://whisper.sim";
export const PIPER_ORIGIN = "http://piper.sim";
const HANDSHAKE_MS = [15, 90] as const;

/** What the vendors of a world share. */
export interface VendorWorld extends LlmWorld {
  readonly time: SimTime;
  /** Whisper and Piper are the first of their kind. */
  readonly hasOwnFirst: boolean;
  /** Of the next recogniser's socket, or request. */
  sttFault(): SttFault | null;
  ttsFault(callId: string): TtsFault | null;
  /** Gone: the first of its kind, or one that stands behind it. */
  isOut(vendor: VendorFault["vendor"], isFirst: boolean): boolean;
}

interface Server {
  readonly vendor: VendorFault["vendor"];
  readonly isFirst: boolean;
}

interface HttpVendor {
  answer(exchange: SimExchange, request: PoolRequest): void;
}

export class SimNetwork implements Network {
  /** Set by the shard it belongs to. */
  thread!: SimThread;
  readonly #world: VendorWorld;
  readonly #sockets = new Map<SimSocket, Server>();
  readonly #pools = new Map<SimPool, Server>();

  constructor(world: VendorWorld) {
    this.#world = world;
  }

  openSocket(url: string): NetworkSocket {
    const { time } = this.#world;
    const socket = new SimSocket(time, this.thread, (gone) => this.#sockets.delete(gone));
    const vendor = STT_PATH.test(url) ? "stt" : "tts";
    const isFirst = !OTHERS_PATH.test(url);
    this.#sockets.set(socket, { vendor, isFirst });
    const delayMs = time.between(...HANDSHAKE_MS);
    if (this.#world.isOut(vendor, isFirst)) {
      socket.refuse(delayMs, 503);
      return socket.asNetworkSocket();
    }
    if (vendor === "tts") {
      const line = { time, socket, beginContext: this.#ttsFault };
      socket.accept(delayMs, isFirst ? new TtsVendor(line) : new ElevenVendor(line));
      return socket.asNetworkSocket();
    }
    const fault = this.#world.sttFault();
    const onFault = (kind: string): void => this.#world.onFault(kind);
    if (fault?.kind === "refuse") {
      onFault("sttRefuse");
      socket.refuse(delayMs, 429);
    } else {
      const line = { time, socket, fault, onFault };
      socket.accept(delayMs, isFirst ? new SttVendor(line) : new AssemblyVendor(line));
    }
    return socket.asNetworkSocket();
  }

  openPool(origin: string): NetworkPool {
    const { time } = this.#world;
    const { kind, vendor } = this.#server(origin);
    const isFirst = kind === "llm" ? origin.includes("groq") : this.#world.hasOwnFirst;
    const pool = new SimPool({
      time,
      thread: this.thread,
      isOut: () => this.#world.isOut(kind, isFirst),
      answer: (exchange, request) => vendor.answer(exchange, request),
    });
    this.#pools.set(pool, { vendor: kind, isFirst });
    return pool;
  }

  #server(origin: string): { readonly kind: VendorFault["vendor"]; readonly vendor: HttpVendor } {
    const { time } = this.#world;
    if (origin === WHISPER_ORIGIN) return { kind: "stt", vendor: new WhisperVendor(time, this.#sttFault) };
    if (origin === PIPER_ORIGIN) return { kind: "tts", vendor: new PiperVendor(time, this.#ttsFault) };
    return { kind: "llm", vendor: new LlmVendor(this.#world) };
  }

  readonly #sttFault = (): SttFault | null => {
    const fault = this.#world.sttFault();
    if (fault !== null) this.#world.onFault(`stt${capital(fault.kind)}`);
    return fault;
  };

  /** `id`: of a context or a request, which the client begins with the call's. */
  readonly #ttsFault = (id: string): TtsFault | null => {
    const fault = this.#world.ttsFault(id.replace(/\.\d+$/, ""));
    if (fault !== null) this.#world.onFault(`tts${capital(fault.kind)}`);
    return fault;
  };

  /** Sockets and requests that are open. */
  get openCount(): number {
    return [...this.#pools.keys()].reduce((count, pool) => count + pool.openCount, this.#sockets.size);
  }

  /** Vendors are gone: what was open to them breaks. */
  breakOut(): void {
    this.#breakWhere(({ vendor, isFirst }) => this.#world.isOut(vendor, isFirst));
  }

  /** What is open to vendors of a kind, or to all (null), breaks at once; they are there. */
  breakAll(kind: VendorFault["vendor"] | null): void {
    this.#breakWhere(({ vendor }) => kind === null || vendor === kind);
  }

  #breakWhere(isMeant: (server: Server) => boolean): void {
    for (const [pool, server] of this.#pools) if (isMeant(server)) pool.breakAll();
    for (const [socket, server] of this.#sockets) if (isMeant(server)) socket.break(0);
  }

  drop(): void {
    for (const socket of this.#sockets.keys()) socket.drop();
    this.#sockets.clear();
    for (const pool of this.#pools.keys()) pool.drop();
  }
}

function capital(kind: string): string {
  return kind[0]!.toUpperCase() + kind.slice(1);
}

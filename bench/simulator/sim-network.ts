/** One shard's way to the vendors: sockets and requests end with it. */
import type { Network, NetworkPool, NetworkSocket } from "#actors/providers";
import type { SttFault, TtsFault, VendorFault } from "./script.js";
import { SimSocket } from "./sim-socket.js";
import type { SimThread, SimTime } from "./sim-time.js";
import { AssemblyVendor } from "./vendor-assembly.js";
import { ElevenVendor } from "./vendor-eleven.js";
import { LlmVendor, type LlmWorld } from "./vendor-llm.js";
import { SttVendor } from "./vendor-stt.js";
import { TtsVendor } from "./vendor-tts.js";

/** Deepgram's and AssemblyAI's. */
const STT_PATH = /\/v1\/listen|\/v3\/ws/;
/** AssemblyAI's and ElevenLabs', which stand behind the first. */
const OTHERS_PATH = /\/v3\/ws|\/multi-stream-input/;
const HANDSHAKE_MS = [15, 90] as const;

/** What the vendors of a world share. */
export interface VendorWorld extends LlmWorld {
  readonly time: SimTime;
  /** Of the next recogniser's socket. */
  sttFault(): SttFault | null;
  ttsFault(callId: string): TtsFault | null;
  /** Gone: the first of its kind, or one that stands behind it. */
  isOut(vendor: VendorFault["vendor"], isFirst: boolean): boolean;
}

export class SimNetwork implements Network {
  /** Set by the shard it belongs to. */
  thread!: SimThread;
  readonly #world: VendorWorld;
  readonly #sockets = new Map<SimSocket, { readonly vendor: "stt" | "tts"; readonly isFirst: boolean }>();
  readonly #pools = new Set<LlmVendor>();

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
    const onFault = (kind: string): void => this.#world.onFault(kind);
    if (vendor === "tts") {
      const faultOf = (contextId: string): TtsFault | null => this.#world.ttsFault(callIdOf(contextId));
      const Voice = isFirst ? TtsVendor : ElevenVendor;
      socket.accept(delayMs, new Voice(time, socket, faultOf, onFault));
      return socket.asNetworkSocket();
    }
    const fault = this.#world.sttFault();
    if (fault?.kind === "refuse") {
      onFault("sttRefuse");
      socket.refuse(delayMs, 429);
    } else {
      const Recogniser = isFirst ? SttVendor : AssemblyVendor;
      socket.accept(delayMs, new Recogniser(time, socket, fault, onFault));
    }
    return socket.asNetworkSocket();
  }

  openPool(origin: string): NetworkPool {
    const pool = new LlmVendor(this.#world, this.thread, !origin.includes("anthropic"));
    this.#pools.add(pool);
    return pool;
  }

  /** Sockets and requests that are open. */
  get openCount(): number {
    return [...this.#pools].reduce((count, pool) => count + pool.openCount, this.#sockets.size);
  }

  /** Vendors are gone: what was open to them breaks. */
  breakOut(): void {
    for (const pool of this.#pools) pool.breakOut();
    for (const [socket, { vendor, isFirst }] of this.#sockets)
      if (this.#world.isOut(vendor, isFirst)) socket.break(0);
  }

  drop(): void {
    for (const socket of this.#sockets.keys()) socket.drop();
    this.#sockets.clear();
    for (const pool of this.#pools) pool.drop();
  }
}

/** The client puts the call's id first. */
function callIdOf(contextId: string): string {
  return contextId.replace(/\.\d+$/, "");
}

/** The faults that befall one open socket of a voice: kept until so many messages were sent, then carried out. */
import type { EmulatorSettings } from "./options.js";
import type { VoiceLiveFault, VoiceSocketFault } from "./voice-faults.js";
import type { Wire } from "./wire.js";
import { isOfHandshake, strikeWire } from "./wire-faults.js";

export interface FaultySocket {
  /** An error that names no context. */
  sendError(status: number, message: string): void;
  /** A message cut short. */
  readonly garbage: string;
}

export class LiveFaults {
  readonly #wire: Wire;
  readonly #settings: EmulatorSettings;
  readonly #socket: FaultySocket;
  #waiting: VoiceLiveFault[] = [];

  constructor(wire: Wire, settings: EmulatorSettings, socket: FaultySocket) {
    this.#wire = wire;
    this.#settings = settings;
    this.#socket = socket;
  }

  /** Those armed for the socket; the ones of its upgrade are over. */
  add(faults: readonly VoiceSocketFault[]): void {
    for (const fault of faults) {
      if (isOfHandshake(fault)) continue;
      // A socket closed inside its open callback would take the 101 with it.
      if (fault.afterMessages === undefined) setImmediate(() => this.inject(fault));
      else this.inject(fault);
    }
  }

  inject(fault: VoiceLiveFault): void {
    this.#waiting.push(fault);
    this.strikeDue();
  }

  /** To be called after each message. */
  strikeDue(): void {
    if (this.#waiting.length === 0) return;
    const due = this.#waiting.filter((fault) => this.#wire.sentCount >= (fault.afterMessages ?? 0));
    this.#waiting = this.#waiting.filter((fault) => !due.includes(fault));
    for (const fault of due) this.#strike(fault);
  }

  #strike(fault: VoiceLiveFault): void {
    switch (fault.kind) {
      case "connectionError":
        this.#socket.sendError(fault.status, fault.message);
        return;
      case "garbage":
        this.#wire.send(this.#socket.garbage);
        return;
      default:
        strikeWire(this.#wire, this.#settings.clock, fault);
    }
  }
}

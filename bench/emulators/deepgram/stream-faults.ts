/** The faults of one open stream: those that strike at an instant wait here for it, the others are asked after. */
import type { Clock } from "#runtime/actor";
import { faultOf } from "../faults.js";
import type { Wire } from "../wire.js";
import { isOfHandshake, strikeWire } from "../wire-faults.js";
import type { DeepgramFault, DeepgramStreamFault, StreamInstant } from "./faults.js";

type StrikingFault = Extract<DeepgramStreamFault, StreamInstant>;
type LastingKind = "noSpeechFinal" | "emptyFinals" | "lateFinals" | "eagerFlapping" | "ignoreFinalize";
type LastingFault = Extract<DeepgramStreamFault, { readonly kind: LastingKind }>;

/** A stream has a handful of faults; more is a test in a loop. */
const STREAM_FAULTS_MAX = 100;

export class StreamFaults {
  readonly #wire: Wire;
  readonly #clock: Clock;
  readonly #sendError: (code: string, description: string) => void;
  #waiting: StrikingFault[] = [];
  #lasting: LastingFault[] = [];
  #positionMs = 0;

  constructor(wire: Wire, clock: Clock, sendError: (code: string, description: string) => void) {
    this.#wire = wire;
    this.#clock = clock;
    this.#sendError = sendError;
    wire.onSent = () => this.#strikeDue();
  }

  /** Those among `faults` that concern a stream, as it opens. */
  addAll(faults: readonly DeepgramFault[]): void {
    for (const fault of faults) {
      if (isOfHandshake(fault)) continue;
      // A socket closed inside its open callback would take the 101 with it.
      if (strikesAtOnce(fault)) setImmediate(() => this.inject(fault));
      else this.inject(fault);
    }
  }

  inject(fault: DeepgramStreamFault): void {
    if (this.#waiting.length + this.#lasting.length >= STREAM_FAULTS_MAX) throw new Error("too many faults");
    if (isLasting(fault)) this.#lasting.push(fault);
    else {
      this.#waiting.push(fault);
      this.#strikeDue();
    }
  }

  /** A lasting fault, if it is on. */
  get<Kind extends LastingKind>(kind: Kind): Extract<LastingFault, { readonly kind: Kind }> | undefined {
    return faultOf(this.#lasting, kind);
  }

  onAudio(positionMs: number): void {
    this.#positionMs = positionMs;
    if (this.#waiting.length > 0) this.#strikeDue();
  }

  #strikeDue(): void {
    if (this.#waiting.length === 0) return;
    const due = this.#waiting.filter(
      ({ afterAudioMs = 0, afterMessages = 0 }) =>
        this.#positionMs >= afterAudioMs && this.#wire.sentCount >= afterMessages,
    );
    if (due.length === 0) return;
    this.#waiting = this.#waiting.filter((fault) => !due.includes(fault));
    for (const fault of due) this.#strike(fault);
  }

  #strike(fault: StrikingFault): void {
    switch (fault.kind) {
      case "error":
        this.#sendError(fault.code, fault.description);
        return;
      case "garbage":
        this.#wire.send('{"type":"Results",');
        return;
      case "unknownMessage":
        this.#wire.sendJson({ type: "Novelty", novelty: true });
        return;
      default:
        strikeWire(this.#wire, this.#clock, fault);
    }
  }
}

function strikesAtOnce(fault: DeepgramStreamFault): boolean {
  return !isLasting(fault) && fault.afterAudioMs === undefined && fault.afterMessages === undefined;
}

function isLasting(fault: DeepgramStreamFault): fault is LastingFault {
  switch (fault.kind) {
    case "noSpeechFinal":
    case "emptyFinals":
    case "lateFinals":
    case "eagerFlapping":
    case "ignoreFinalize":
      return true;
    default:
      return false;
  }
}

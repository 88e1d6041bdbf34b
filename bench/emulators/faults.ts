/**
 * Fault switches: a test arms a fault for the next N things (connections, requests, contexts) that match,
 * or until it is taken back; the server takes what applies when the thing begins. Faults for things that
 * are already going are injected on the live session instead (`control.live`).
 */

/** An armed switch that nobody takes stays armed; more than this is a test that forgot to clear. */
export const ARMED_FAULTS_MAX = 1_000;

export interface ArmOptions<Info> {
  /** For how many matching things. @default 1 */
  readonly count?: number;
  /** Only things for which this holds. @default all */
  readonly when?: (info: Info) => boolean;
}

export interface ArmedFault {
  /** How many more things it will befall. */
  readonly remaining: number;
  disarm(): void;
}

interface Armed<Fault, Info> {
  readonly fault: Fault;
  readonly when: (info: Info) => boolean;
  remaining: number;
}

export class FaultSwitch<Fault, Info> {
  #armed: Armed<Fault, Info>[] = [];

  /** Arms `fault`; several may befall the same thing. */
  arm(fault: Fault, options: ArmOptions<Info> = {}): ArmedFault {
    if (this.#armed.length >= ARMED_FAULTS_MAX) throw new Error("too many armed faults: clear() them");
    const armed = { fault, when: options.when ?? (() => true), remaining: options.count ?? 1 };
    this.#armed.push(armed);
    return {
      get remaining() {
        return armed.remaining;
      },
      disarm: () => {
        armed.remaining = 0;
        this.#armed = this.#armed.filter((other) => other !== armed);
      },
    };
  }

  /** Every armed fault that befalls this thing; each is counted down. */
  take(info: Info): readonly Fault[] {
    if (this.#armed.length === 0) return [];
    const taken: Fault[] = [];
    for (const armed of this.#armed) {
      if (!armed.when(info)) continue;
      armed.remaining -= 1;
      taken.push(armed.fault);
    }
    this.#armed = this.#armed.filter((armed) => armed.remaining > 0);
    return taken;
  }

  clear(): void {
    this.#armed = [];
  }
}

/** The fault of this kind among those taken. */
export function faultOf<Fault extends { readonly kind: string }, Kind extends Fault["kind"]>(
  faults: readonly Fault[],
  kind: Kind,
): Extract<Fault, { readonly kind: Kind }> | undefined {
  return faults.find((fault) => fault.kind === kind) as Extract<Fault, { readonly kind: Kind }> | undefined;
}

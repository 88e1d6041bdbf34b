/**
 * What `Emulators` offers, from another process: faults, latencies, limits, scripts and the log, over their
 * control endpoint.
 */
import type {
  ArmCommand,
  InjectCommand,
  LatencyCommand,
  LimitsCommand,
  LogEntry,
  RatesCommand,
  ScriptCommand,
} from "#bench/emulators";

export interface BefallenFault {
  readonly target: string;
  readonly kind: string;
  readonly befallen: number;
}

export class EmulatorRemote {
  readonly #controlUrl: string;

  constructor(controlUrl: string) {
    this.#controlUrl = controlUrl;
  }

  info(): Promise<Readonly<Record<string, unknown>>> {
    return this.#send("GET", "info") as Promise<Readonly<Record<string, unknown>>>;
  }

  /** From the next draw on. */
  async setLatency(latency: LatencyCommand): Promise<void> {
    await this.#send("PATCH", "latency", latency);
  }

  async setLimits(limits: LimitsCommand): Promise<void> {
    await this.#send("PATCH", "limits", limits);
  }

  async setRates(rates: RatesCommand): Promise<void> {
    await this.#send("PATCH", "rates", rates);
  }

  async arm(command: ArmCommand): Promise<void> {
    await this.#send("POST", "faults", command);
  }

  /** Each that was armed, also if it was taken back since, and how many things it has befallen. */
  async faults(): Promise<readonly BefallenFault[]> {
    return ((await this.#send("GET", "faults")) as { faults: readonly BefallenFault[] }).faults;
  }

  async disarmAll(): Promise<void> {
    await this.#send("DELETE", "faults");
  }

  /** How many live things it befell. */
  async inject(command: InjectCommand): Promise<number> {
    return ((await this.#send("POST", "inject", command)) as { count: number }).count;
  }

  async script(command: ScriptCommand): Promise<void> {
    await this.#send("POST", "scripts", command);
  }

  async clearScripts(): Promise<void> {
    await this.#send("DELETE", "scripts");
  }

  async openGate(name: string): Promise<void> {
    await this.#send("POST", `gates/${encodeURIComponent(name)}`);
  }

  /** Entries numbered after `since`, as they stand now. */
  async log(query: { since?: number; kind?: LogEntry["kind"]; callId?: string } = {}): Promise<LogEntry[]> {
    const fields = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) fields.set(name, String(value));
    const reply = await this.#send("GET", `log?${fields.toString()}`);
    return (reply as { entries: LogEntry[] }).entries;
  }

  async clearLog(): Promise<void> {
    await this.#send("DELETE", "log");
  }

  async #send(method: string, path: string, body?: object): Promise<unknown> {
    const response = await fetch(`${this.#controlUrl}/control/${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const reply = (await response.json()) as { error?: string };
    if (!response.ok) throw new Error(`emulators refused ${method} ${path}: ${reply.error}`);
    return reply;
  }
}

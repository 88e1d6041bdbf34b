/**
 * What is put under load: a node of this machine with emulators of its providers, each a process of its own; or a node
 * that runs somewhere, by the address its webhooks are sent to.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CarrierName } from "#bench/caller";
import {
  type EmulatorProcess,
  makeScratchFolder,
  startEmulatorProcess,
  startNodeProcess,
} from "#bench/processes";
import { scrapeMetrics } from "./metrics.js";

export const BENCH_NUMBER = "+12025550101";
/** For calls of the warm-up, and for those whose slot is given back while the next one comes. */
const SPARE_CALLS = 50;
/** Any node's metrics have it. */
const CPU_METRIC = "process_cpu_seconds_total";

export interface Target {
  /** Where the node's webhooks and sockets are: `https://voice.example.com`. */
  readonly url: string;
  /** What it calls itself, if that differs: signatures are made over it. */
  readonly publicUrl?: string;
  /** Its admin port, where its own figures are; without it they are left out. */
  readonly adminUrl?: string;
  readonly to: string;
  readonly carrier: CarrierName;
  readonly authToken?: string;
}

/** Of a node that is started here, by the variables' names. */
export type NodeSettings = Readonly<Record<string, string>>;

export interface Subject {
  readonly target: Target;
  /** Null when the node is not a process of this machine that we know. */
  readonly pid: number | null;
  readonly emulators: EmulatorProcess | null;
  /** Slots it has; null when unknown. */
  readonly slots: number | null;
  /** Settings of the node that whoever runs the load has chosen. @default none */
  readonly settings?: NodeSettings;
  /** The end of its log, of one whose process is ours. */
  lastWords?(): string;
  stop(): Promise<void>;
}

/** @throws Error when its figures were asked for and are not where they should be: to read none is not to read zeros. */
export async function remoteSubject(target: Target): Promise<Subject> {
  if (target.adminUrl !== undefined) {
    const page = await scrapeMetrics(target.adminUrl).catch((error: unknown) => whyOf(error));
    const why =
      typeof page === "string" ? page : page.total(CPU_METRIC) > 0 ? null : "what answers is no node";
    if (why !== null)
      throw new Error(
        `No figures of a node are at --admin-url ${target.adminUrl}, give its admin port or none: ${why}`,
      );
  }
  return { target, pid: null, emulators: null, slots: null, stop: async () => {} };
}

function whyOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return cause instanceof Error ? cause.message : String(cause);
}

export interface LocalOptions {
  /** Calls at once it is to have room for. */
  readonly calls: number;
  /** Settings of the node on top of ours. */
  readonly environment?: NodeSettings;
  /** On top of those, and told in the results. */
  readonly settings?: NodeSettings;
  /** Another entry file than the node's own, for one that can be troubled. */
  readonly entry?: URL;
  /** Emulators that others use, too, and that outlive the subject. @default some of its own */
  readonly emulators?: EmulatorProcess;
}

export async function startSubject(options: LocalOptions): Promise<Subject> {
  const { calls, environment = {}, settings = {}, entry } = options;
  const folder = await makeScratchFolder("load");
  const emulators = options.emulators ?? (await startEmulatorProcess());
  const stopRest = async (): Promise<void> => {
    if (options.emulators === undefined) await emulators.stop();
    await folder.remove();
  };
  const slots = Math.min(4_096, calls + SPARE_CALLS);
  try {
    const tenants = join(folder.path, "tenants.json");
    await writeFile(tenants, JSON.stringify({ tenants: [benchTenant()] }));
    const node = await startNodeProcess({
      ...(entry !== undefined && { entry }),
      environment: {
        ...emulators.environment,
        LUMENTRA_TENANTS_FILE: tenants,
        LUMENTRA_CALLS_PER_SHARD: String(slots),
        LUMENTRA_LOG_LEVEL: "warn",
        ...environment,
        ...settings,
      },
    });
    return {
      target: { url: node.edgeUrl, adminUrl: node.adminUrl, to: BENCH_NUMBER, carrier: "twilio" },
      pid: node.pid,
      emulators,
      slots,
      settings,
      lastWords: () => node.logTail,
      stop: async () => {
        await node.stop();
        await stopRest();
      },
    };
  } catch (error) {
    await stopRest();
    throw error;
  }
}

/** A dental practice with a short greeting, and no cap on calls that a load could meet. */
function benchTenant(): unknown {
  return {
    id: "bench",
    name: "Bench Dental",
    industry: "dental practice",
    numbers: [BENCH_NUMBER],
    timeZone: "America/New_York",
    agentName: "Ava",
    greeting: "Hello.",
    limits: { concurrentCalls: 10_000 },
  };
}

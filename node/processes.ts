/**
 * Several nodes on one machine, where one edge thread is not enough: a parent that starts them, restarts what dies, and
 * passes signals on. Each child is a whole node of the cluster with an id, a data folder, an admin port and a port for its
 * media sockets of its own; the port for webhooks they share. The operator's port is the parent's (processes-admin.ts). docs/design/edge-scaling.md says why so.
 *
 * M1  Children outlive the parent by their grace at most: they drain when the channel to it breaks, or go on with that.
 * M2  A child that dies is started again, at most RESTARTS.maxRestarts times within RESTARTS.withinMs; then all end, so
 *     that whoever watches the parent learns of it. Its calls go on at the others: the control plane sees to that.
 * M3  A child drains at a signal, and ends at once when the parent says so. To end at its second signal would be wrong:
 *     a terminal and systemd signal every process, so that a child gets each from them and from the parent.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { RestartBudget, SystemClock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { Environment } from "#runtime/settings";
import { createLogger, type Logger } from "#runtime/telemetry";
import { nodeIdIn } from "./identity.js";
import { ProcessesAdmin } from "./processes-admin.js";
import type { Settings } from "./settings.js";

const ENTRY = fileURLToPath(new URL("./main.js", import.meta.url));
const PROCESS = "{process}";
/** As for shards: what dies more often dies for a reason in the code or the machine. */
const RESTARTS = { maxRestarts: 5, withinMs: 60_000 } as const;
const RESTART_DELAY_MS = 500;
/** All that is ever said over the channel: M3. */
export const END_NOW = "end now";

/** What child `index` is started with, on top of the parent's environment. Exported for its test. */
export function environmentOfProcess(settings: Settings, nodeId: string, index: number): Environment {
  const { LUMENTRA_EDGE_PORT: sharedPort, LUMENTRA_ADMIN_PORT: adminPort } = settings;
  return {
    LUMENTRA_PROCESSES: "1",
    LUMENTRA_SHARED_PORT: String(sharedPort),
    LUMENTRA_EDGE_PORT: String(sharedPort + 1 + index),
    LUMENTRA_ADMIN_HOST: "127.0.0.1",
    LUMENTRA_ADMIN_PORT: String(adminPort === 0 ? 0 : adminPort + 1 + index),
    LUMENTRA_NODE_ID: `${nodeId}-${index}`,
    LUMENTRA_DATA_DIR: join(settings.LUMENTRA_DATA_DIR, `process-${index}`),
    LUMENTRA_SHARDS: String(Math.max(1, Math.floor(settings.LUMENTRA_SHARDS / settings.LUMENTRA_PROCESSES))),
    LUMENTRA_PUBLIC_URL: settings.LUMENTRA_PUBLIC_URL?.replace(PROCESS, String(index)),
    LUMENTRA_WEBHOOK_URL: settings.LUMENTRA_WEBHOOK_URL ?? `http://localhost:${sharedPort}`,
    LUMENTRA_READY_JSON: "true",
  };
}

/** @throws LumentraError SETTING_INVALID when several processes cannot work with these settings. */
export function checkProcesses(settings: Settings): void {
  const fail = (why: string): never => {
    throw new LumentraError("SETTING_INVALID", `LUMENTRA_PROCESSES above 1 ${why}`);
  };
  if (settings.LUMENTRA_CONTROL_PLANE === undefined) {
    fail("needs LUMENTRA_CONTROL_PLANE: a redirect may reach another process than the call");
  }
  if (settings.LUMENTRA_EDGE_PORT === 0) fail("needs a LUMENTRA_EDGE_PORT that is not 0");
  if (settings.LUMENTRA_SHARED_PORT !== undefined) fail("sets LUMENTRA_SHARED_PORT itself");
  if (settings.LUMENTRA_PUBLIC_URL === undefined) return;
  if (!settings.LUMENTRA_PUBLIC_URL.includes(PROCESS)) fail(`needs ${PROCESS} in LUMENTRA_PUBLIC_URL`);
  if (settings.LUMENTRA_WEBHOOK_URL === undefined) fail("and LUMENTRA_PUBLIC_URL need LUMENTRA_WEBHOOK_URL");
}

/** Resolves with the exit code when all have ended: 0 drained, 1 given up, or that of a child that could not start. */
export async function runProcesses(settings: Settings, environment: Environment): Promise<number> {
  const log = createLogger({ level: settings.LUMENTRA_LOG_LEVEL, name: "processes", logPii: false });
  const admin = await ProcessesAdmin.listen(settings.LUMENTRA_ADMIN_HOST, settings.LUMENTRA_ADMIN_PORT, log);
  try {
    return await new Processes(settings, environment, admin, log).run();
  } finally {
    await admin.close();
  }
}

interface Ready {
  readonly edgePort: number;
  readonly adminPort: number;
}

class Processes {
  readonly #settings: Settings;
  readonly #environment: Environment;
  readonly #admin: ProcessesAdmin;
  readonly #log: Logger;
  readonly #nodeId: string;
  readonly #clock = new SystemClock();
  readonly #budget = new RestartBudget(RESTARTS);
  readonly #children = new Set<ChildProcess>();
  #isStopping = false;

  constructor(settings: Settings, environment: Environment, admin: ProcessesAdmin, log: Logger) {
    this.#settings = settings;
    this.#environment = environment;
    this.#admin = admin;
    this.#log = log;
    this.#nodeId = settings.LUMENTRA_NODE_ID ?? nodeIdIn(settings.LUMENTRA_DATA_DIR);
  }

  async run(): Promise<number> {
    const stop = (signal: NodeJS.Signals): void => {
      if (this.#isStopping) return;
      this.#isStopping = true;
      for (const child of this.#children) child.kill(signal);
    };
    const onSignal = (signal: NodeJS.Signals): void => {
      if (!this.#isStopping) return stop(signal);
      for (const child of this.#children) if (child.connected) child.send(END_NOW, () => {}); // M3
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
    const waiting = new Set(Array.from({ length: this.#settings.LUMENTRA_PROCESSES }, (_, index) => index));
    const ready: (Ready & { pid: number })[] = [];
    const codes = await Promise.all(
      [...waiting].map(async (index) => {
        const code = await this.#keep(index, (pid, ports) => {
          ready[index] = { pid, ...ports };
          this.#admin.started({ index, adminUrl: `http://127.0.0.1:${ports.adminPort}` });
          this.#log.info({ index, pid, ...ports }, "process ready");
          if (waiting.delete(index) && waiting.size === 0) this.#announce(ready);
        });
        // One that is given up takes the others along: M2.
        if (code !== 0) stop("SIGTERM");
        return code;
      }),
    );
    return codes.find((code) => code !== 0) ?? 0;
  }

  /** Runs one child, again and again, until it has ended for good. */
  async #keep(index: number, onReady: (pid: number, ports: Ready) => void): Promise<number> {
    for (let isFirst = true; ; isFirst = false) {
      let wasReady = false;
      const child = this.#spawn(index);
      createInterface({ input: child.stdout! }).on("line", (line) => {
        const ports = readyLine(line);
        if (ports === null) process.stdout.write(`${line}\n`);
        else {
          wasReady = true;
          onReady(child.pid!, ports);
        }
      });
      const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
      this.#children.delete(child);
      this.#admin.ended(index);
      if (this.#isStopping) return code ?? 0;
      this.#log.error({ index, code, signal }, "process ended");
      // What cannot start at all is a fault of code or settings, which starting again does not mend.
      if (isFirst && !wasReady) return code === null || code === 0 ? 1 : code;
      if (!this.#budget.tryTake(this.#clock.nowMs())) return 1;
      await sleep(RESTART_DELAY_MS);
      if (this.#isStopping) return 0;
    }
  }

  #spawn(index: number): ChildProcess {
    const child = spawn(process.execPath, [...process.execArgv, ENTRY], {
      env: { ...this.#environment, ...environmentOfProcess(this.#settings, this.#nodeId, index) },
      // That it breaks says more than what is sent over it: M1.
      stdio: ["ignore", "pipe", "inherit", "ipc"],
    });
    this.#children.add(child);
    return child;
  }

  #announce(processes: readonly (Ready & { pid: number })[]): void {
    if (!this.#settings.LUMENTRA_READY_JSON) return;
    const edgePort = this.#settings.LUMENTRA_EDGE_PORT;
    const line = { event: "listening", edgePort, adminPort: this.#admin.port, processes };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
}

function readyLine(line: string): Ready | null {
  if (!line.startsWith('{"event":"listening"')) return null;
  const { edgePort, adminPort } = JSON.parse(line) as Ready;
  return { edgePort, adminPort };
}

/** A media node as its own process on free ports, with a data folder that goes when it goes. */
import { fileURLToPath } from "node:url";
import { inherited } from "./inherited.js";
import { JsonLineProcess } from "./json-line-process.js";
import { makeScratchFolder } from "./with-us.js";

const NODE_ENTRY = fileURLToPath(new URL("../../node/main.js", import.meta.url));

/** For a node whose machine's noise must not pass for strain, which makes a node refuse calls for ten seconds. */
export const UNPRESSED = {
  LUMENTRA_PRESSURE_PACING_LAG_MS: "off",
  LUMENTRA_PRESSURE_EVENT_LOOP_DELAY_MS: "off",
} as const;

export interface NodeProcessOptions {
  /** Settings of the node, on top of those given here; nothing is inherited but PATH and the like. */
  readonly environment: Readonly<Record<string, string>>;
  /** Let its log through. @default false */
  readonly showLog?: boolean;
  /** Another entry file than the node's own, for one that can be troubled from outside. */
  readonly entry?: URL;
}

export interface NodeProcess {
  readonly pid: number;
  /** `http://127.0.0.1:port` */
  readonly edgeUrl: string;
  readonly adminUrl: string;
  readonly running: boolean;
  /** The end of its log. */
  readonly logTail: string;
  /** Idempotent; its data folder goes too. */
  stop(): Promise<void>;
  /** SIGKILL: as when its machine is gone. Its data folder stays until `stop`. Idempotent. */
  kill(): Promise<void>;
}

/** Throws with the node's own words when it does not start. */
export async function startNodeProcess(options: NodeProcessOptions): Promise<NodeProcess> {
  const data = await makeScratchFolder("node");
  try {
    const { process: child, ready } = await JsonLineProcess.start({
      name: "The node",
      script: options.entry === undefined ? NODE_ENTRY : fileURLToPath(options.entry),
      isReady: (line) => line.event === "listening",
      showStderr: options.showLog ?? false,
      environment: {
        ...inherited(),
        LUMENTRA_EDGE_HOST: "127.0.0.1",
        LUMENTRA_EDGE_PORT: "0",
        LUMENTRA_ADMIN_PORT: "0",
        LUMENTRA_DATA_DIR: data.path,
        LUMENTRA_READY_JSON: "1",
        // Nobody waits for the calls of a process that was started for a test.
        LUMENTRA_DRAIN_GRACE_S: "0",
        ...options.environment,
      },
    });
    return {
      pid: child.pid,
      edgeUrl: `http://127.0.0.1:${String(ready.edgePort)}`,
      adminUrl: `http://127.0.0.1:${String(ready.adminPort)}`,
      get running() {
        return child.running;
      },
      get logTail() {
        return child.logTail;
      },
      async stop() {
        await child.stop();
        await data.remove();
      },
      kill: () => child.kill(),
    };
  } catch (error) {
    await data.remove();
    throw error;
  }
}

/** A control plane as its own process on free ports. */
import { fileURLToPath } from "node:url";
import { inherited } from "./inherited.js";
import { JsonLineProcess } from "./json-line-process.js";

const CONTROL_PLANE_ENTRY = fileURLToPath(new URL("../../control-plane/main.js", import.meta.url));

export interface ControlPlaneProcessOptions {
  /** Settings, on top of those given here; nothing is inherited but PATH and the like. */
  readonly environment: Readonly<Record<string, string>>;
  /** Let its log through. @default false */
  readonly showLog?: boolean;
}

export interface ControlPlaneProcess {
  readonly pid: number;
  /** Host and port of the API. */
  readonly address: string;
  readonly adminUrl: string;
  readonly running: boolean;
  /** The end of its log. */
  readonly logTail: string;
  /** Idempotent. */
  stop(): Promise<void>;
  /** SIGKILL: as when its machine is gone. Idempotent. */
  kill(): Promise<void>;
}

/** Throws with its own words when it does not start. */
export async function startControlPlaneProcess(
  options: ControlPlaneProcessOptions,
): Promise<ControlPlaneProcess> {
  const { process: child, ready } = await JsonLineProcess.start({
    name: "The control plane",
    script: CONTROL_PLANE_ENTRY,
    isReady: (line) => line["event"] === "listening",
    showStderr: options.showLog ?? false,
    environment: {
      ...inherited(),
      LUMENTRA_GRPC_PORT: "0",
      LUMENTRA_CONTROL_PLANE_ADMIN_PORT: "0",
      LUMENTRA_READY_JSON: "1",
      ...options.environment,
    },
  });
  return {
    pid: child.pid,
    address: `127.0.0.1:${String(ready["grpcPort"])}`,
    adminUrl: `http://127.0.0.1:${String(ready["adminPort"])}`,
    get running() {
      return child.running;
    },
    get logTail() {
      return child.logTail;
    },
    stop: () => child.stop(),
    kill: () => child.kill(),
  };
}

/** The thread that a shard lives in, as the main thread knows it: a worker, or what a simulation puts in its place. */
import { type ResourceLimits, Worker } from "node:worker_threads";
import { keepYoungHeapsSmall } from "#runtime/heap";
import type { FromShard, ShardBoot, ToShard } from "./messages.js";
import { atOrdinaryPriority } from "./thread-priority.js";

/** What is asked of a worker. */
export interface ShardThread {
  on(event: "message", listener: (message: FromShard) => void): unknown;
  on(event: "messageerror" | "error", listener: (error: Error) => void): unknown;
  /** The last event there is. */
  on(event: "exit", listener: (code: number) => void): unknown;
  postMessage(message: ToShard): void;
  /** Ends it now, in whatever it is doing. */
  terminate(): unknown;
}

export interface WorkerSettings {
  readonly env: NodeJS.ProcessEnv | undefined;
  readonly resourceLimits: ResourceLimits | undefined;
}

/** @throws when no thread can be made at all */
export function startWorker(entry: URL, { env, resourceLimits }: WorkerSettings, boot: ShardBoot): Worker {
  keepYoungHeapsSmall();
  const options = {
    name: `shard-${boot.shardId}`,
    workerData: boot,
    execArgv: workerExecArgv(),
    ...(env === undefined ? {} : { env }),
    ...(resourceLimits === undefined ? {} : { resourceLimits }),
  };
  const worker = atOrdinaryPriority(() => new Worker(entry, options));
  worker.once("online", keepYoungHeapsSmall);
  return worker;
}

/** A shard starts from a clean slate: no loaders, hooks or inspectors of the process around it. */
function workerExecArgv(): string[] {
  return process.execArgv.filter((argument) => argument === "--enable-source-maps");
}

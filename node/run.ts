/**
 * A media node as a process. Serves until SIGTERM or SIGINT, then drains: no new calls, live calls finish
 * within the grace. A second signal ends it now; one of several processes is told so by its parent (M3 of processes.ts).
 */
import { raiseOwnThread } from "#runtime/cluster";
import { LumentraError } from "#runtime/errors";
import type { Environment } from "#runtime/settings";
import type { Logger } from "#runtime/telemetry";
import { printBanner } from "./banner.js";
import { type RunningNode, startNode } from "./node.js";
import { END_NOW, checkProcesses, runProcesses } from "./processes.js";
import { type Settings, resolveSettings } from "./settings.js";

/**
 * Resolves with the exit code when it has ended: 0 drained or ended, 1 could not start, 2 a setting is wrong.
 *
 * @param shardEntry the shards' entry file; another one only where shards are made to die.
 */
export async function runNode(environment: Environment, shardEntry?: URL): Promise<number> {
  let settings: Settings;
  let node: RunningNode;
  try {
    settings = resolveSettings(environment);
    if (settings.LUMENTRA_PROCESSES > 1) {
      checkProcesses(settings);
      return await runProcesses(settings, environment);
    }
    node = await startNode(settings, shardEntry);
  } catch (error) {
    const isSetting =
      error instanceof LumentraError &&
      (error.code.endsWith("_INVALID") || error.code === "PROVIDER_NOT_SET_UP");
    process.stderr.write(`lumentra: ${error instanceof Error ? error.message : String(error)}\n`);
    return isSetting ? 2 : 1;
  }
  printBanner(settings, node);
  giveEdgePriority(settings.LUMENTRA_EDGE_NICE, node.log);

  return new Promise((resolve) => {
    const finish = async (): Promise<void> => {
      await node.close();
      resolve(0);
    };
    let isDraining = false;
    const drain = (why: string): void => {
      // The parent's end is no second wish to end: its calls are on media sockets of our own.
      if (isDraining) return;
      isDraining = true;
      node.log.info({ why, graceS: settings.LUMENTRA_DRAIN_GRACE_S }, "draining; a second signal ends now");
      void node.drain(settings.LUMENTRA_DRAIN_GRACE_S * 1_000).then(finish);
    };
    const endNow = (why: string): void => {
      node.log.warn({ why }, "ending now");
      void finish();
    };
    const isOneOfSeveral = settings.LUMENTRA_SHARED_PORT !== undefined;
    const onSignal = (signal: NodeJS.Signals): void => {
      // M3: a second one may be the first once more, from whoever signals all processes there are.
      if (isDraining && !(isOneOfSeveral && process.connected)) endNow(signal);
      else drain(signal);
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
    if (process.connected === undefined) return;
    process.on("message", (message) => {
      if (message === END_NOW) endNow("the parent was told so");
    });
    // M1. It may have gone while we started.
    process.once("disconnect", () => drain("the parent is gone"));
    if (!process.connected) drain("the parent is gone");
  });
}

/** Last of the start, when the pools of threads that inherit from this one are there: whose work nobody waits for so. */
function giveEdgePriority(nice: number, log: Logger): void {
  if (nice === 0) return;
  const outcome = raiseOwnThread(nice);
  switch (outcome.kind) {
    case "raised":
      return log.info({ nice }, "the edge's thread goes first where processors are short");
    case "already":
      return log.info(
        { nice: outcome.nice },
        "the edge's thread has its priority from how the node was started",
      );
    case "unknown":
      return log.debug({ platform: outcome.platform }, "this system gives a thread no priority of its own");
    case "refused":
      return log.info({ why: outcome.why }, "the edge's thread has no priority: CAP_SYS_NICE would let it");
  }
}

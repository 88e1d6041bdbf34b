/**
 * A media node as a process. Serves until SIGTERM or SIGINT, then drains: no new calls, live calls finish
 * within the grace. A second signal ends it now. Exit codes: 0 drained or ended, 1 could not start, 2 a
 * setting is wrong.
 */
import { LumentraError } from "#runtime/errors";
import { printBanner } from "./banner.js";
import { type RunningNode, startNode } from "./node.js";
import { type Settings, resolveSettings } from "./settings.js";

async function main(): Promise<void> {
  let settings: Settings;
  let node: RunningNode;
  try {
    settings = resolveSettings(process.env);
    node = await startNode(settings);
  } catch (error) {
    const isSetting = error instanceof LumentraError && error.code.endsWith("_INVALID");
    process.stderr.write(`lumentra: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = isSetting ? 2 : 1;
    return;
  }
  printBanner(settings, node);

  let signalCount = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    signalCount += 1;
    if (signalCount === 1) {
      node.log.info(
        { signal, graceS: settings.LUMENTRA_DRAIN_GRACE_S },
        "draining; a second signal ends now",
      );
      void node.drain(settings.LUMENTRA_DRAIN_GRACE_S * 1_000).then(() => finish(node));
    } else {
      node.log.warn({ signal }, "ending now");
      void finish(node);
    }
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}

async function finish(node: RunningNode): Promise<void> {
  await node.close();
  process.exit(0);
}

void main();

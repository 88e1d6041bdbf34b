/** What a person reads when the node serves, on standard error; and one line for programs, if asked for. */
import pc from "picocolors";
import { carrierAccounts } from "./carrier-accounts.js";
import type { RunningNode } from "./node.js";
import { describeProviders } from "./provider-settings.js";
import type { Settings } from "./settings.js";

/** Columns that fit what stands in them. */
const LABEL_CHARS = 10;
const URL_CHARS = 16;

export function printBanner(settings: Settings, node: RunningNode): void {
  const { edgePort, adminPort } = node;
  if (settings.LUMENTRA_READY_JSON) {
    console.log(JSON.stringify({ event: "listening", edgePort, adminPort }));
  }
  const publicUrl = settings.LUMENTRA_PUBLIC_URL ?? `http://localhost:${edgePort}`;
  const signed = (isSigned: boolean): string =>
    isSigned ? "signed" : pc.yellow("unsigned, from this machine only");
  const lines = [
    pc.bold("Lumentra answers."),
    ...carrierAccounts(settings).map(({ carrier, label }) => {
      const url = `${publicUrl}/${`${carrier.name}/voice`.padEnd(URL_CHARS)}`;
      return `  ${label.padEnd(LABEL_CHARS)}  POST ${url}  ${signed(carrier.verifies)}`;
    }),
    `  admin       http://${settings.LUMENTRA_ADMIN_HOST}:${adminPort}/healthz/ready, /metrics, /calls`,
    `  shards      ${settings.LUMENTRA_SHARDS}, with ${settings.LUMENTRA_CALLS_PER_SHARD} calls each`,
    ...describeProviders(settings).map((line) => `  ${line.includes("EMULATED") ? pc.yellow(line) : line}`),
  ];
  console.error(lines.join("\n"));
}

/** What a person reads when the node serves, on standard error; and one line for programs, if asked for. */
import pc from "picocolors";
import type { RunningNode } from "./node.js";
import { describeProviders } from "./provider-settings.js";
import type { Settings } from "./settings.js";

export function printBanner(settings: Settings, node: RunningNode): void {
  const { edgePort, adminPort } = node;
  if (settings.LUMENTRA_READY_JSON) {
    console.log(JSON.stringify({ event: "listening", edgePort, adminPort }));
  }
  const publicUrl = settings.LUMENTRA_PUBLIC_URL ?? `http://localhost:${edgePort}`;
  const signed = (token: string | undefined): string =>
    token === undefined ? pc.yellow("unsigned, from this machine only") : "signed";
  const lines = [
    pc.bold("Lumentra answers."),
    `  Twilio      POST ${publicUrl}/twilio/voice      ${signed(settings.TWILIO_AUTH_TOKEN)}`,
    `  SignalWire  POST ${publicUrl}/signalwire/voice  ${signed(settings.SIGNALWIRE_SIGNING_KEY)}`,
    `  admin       http://${settings.LUMENTRA_ADMIN_HOST}:${adminPort}/healthz/ready, /metrics, /calls`,
    `  shards      ${settings.LUMENTRA_SHARDS}, with ${settings.LUMENTRA_CALLS_PER_SHARD} calls each`,
    ...describeProviders(settings).map((line) => `  ${line.includes("EMULATED") ? pc.yellow(line) : line}`),
  ];
  console.error(lines.join("\n"));
}

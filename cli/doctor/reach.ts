/** Checks of what stands elsewhere: providers' hosts, clocks. */
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import {
  PROVIDER_ACCOUNTS,
  type ProviderAccount,
  type Settings,
  accountsNotSetUp,
  providerSettings,
} from "#node";
import { type Check, fail, ok, warn } from "./check.js";

/** Tokens and signatures are good to seconds; leases to fractions of their ten. */
const CLOCK_SKEW_MAX_MS = 2_000;
const PORTS: Readonly<Record<string, number>> = { "http:": 80, "ws:": 80, "https:": 443, "wss:": 443 };

/** One per provider that is set up, and one that names the rest. */
export function providerChecks(settings: Settings): readonly Check[] {
  const missing = accountsNotSetUp(settings);
  const reachable = Object.entries(providerSettings(settings)).map(([account, { url }]) =>
    providerCheck(PROVIDER_ACCOUNTS[account as ProviderAccount].title, url),
  );
  if (missing.length === 0) return reachable;
  const others: Check = {
    name: "other providers",
    run: () =>
      Promise.resolve(
        warn(
          `not set up: ${missing.join(", ")}; emulated by \`lumentra up\``,
          "Set the keys of those that tenants use: docs/SETTINGS.md.",
        ),
      ),
  };
  return [...reachable, others];
}

function providerCheck(name: string, url: string): Check {
  return {
    name,
    run: async () => {
      const target = new URL(url);
      const isSecure = target.protocol === "https:" || target.protocol === "wss:";
      const port = target.port === "" ? PORTS[target.protocol]! : Number(target.port);
      const tookMs = await reach(target.hostname, port, isSecure);
      return typeof tookMs === "number"
        ? ok(`${target.host} answers in ${Math.round(tookMs)} ms; its key is not tried out`)
        : fail(`${target.host}: ${tookMs}`, "See that this machine can reach it: DNS, firewall, proxy.");
    },
  };
}

function reach(host: string, port: number, isSecure: boolean): Promise<number | string> {
  const startedAtMs = performance.now();
  return new Promise((resolve) => {
    const event = isSecure ? "secureConnect" : "connect";
    const socket = isSecure ? connectTls({ host, port, servername: host }) : connectTcp({ host, port });
    socket.setTimeout(4_000, () => socket.destroy(new Error("no answer in 4 s")));
    socket.once("error", (error) => resolve(error.message));
    socket.once(event, () => {
      socket.destroy();
      resolve(performance.now() - startedAtMs);
    });
  });
}

/** `ask` gives another clock's unix ms; the round trip is halved. */
export async function clockFinding(whose: string, ask: () => Promise<number>) {
  const before = Date.now();
  const theirs = await ask();
  const skewMs = Math.round(theirs - (before + Date.now()) / 2);
  const shown = `${whose} is ${Math.abs(skewMs)} ms ${skewMs < 0 ? "behind" : "ahead"}`;
  return Math.abs(skewMs) <= CLOCK_SKEW_MAX_MS
    ? ok(shown)
    : fail(shown, "Set both clocks by NTP (chrony, systemd-timesyncd): leases and tokens are told by them.");
}

/** The edge's options: what people write, and what code reads. */
import { randomBytes } from "node:crypto";
import { LumentraError } from "#runtime/errors";
import type { Carrier } from "./carriers/carrier.js";
import { PUMP_TICK_MS } from "./pump.js";

export interface EdgeOptions {
  /** Those we serve; the name of each is the first part of its URLs. */
  readonly carriers: readonly Carrier[];
  /** Address of the carriers' port. @default "0.0.0.0" */
  readonly host?: string;
  /** 0: any free one. */
  readonly port: number;
  /**
   * A second port on `host`, which every process of this machine that names it shares: the kernel gives each some of the
   * connections. For webhooks; media sockets go to `publicUrl`, which is one process's own. @default none
   */
  readonly sharedPort?: number | undefined;
  /** Address of the admin port, which has no authentication. @default "127.0.0.1" */
  readonly adminHost?: string;
  /** 0: any free one. */
  readonly adminPort: number;
  /** How carriers reach this node, without a trailing slash: its media sockets. @default http://localhost and the port */
  readonly publicUrl?: string;
  /**
   * How carriers reach any node, without a trailing slash: webhooks, redirects and status callbacks. Signatures are
   * accepted over both. @default publicUrl
   */
  readonly webhookUrl?: string;
  /** How long a webhook waits for its admission, and an upgrade for its call. @default 2_500 */
  readonly admissionTimeoutMs?: number;
  /** How long a redirect waits for what follows; carriers give up after 15 s. @default 10_000 */
  readonly afterMediaTimeoutMs?: number;
  /** How long a carrier may take from our markup to its media socket. @default 30_000 */
  readonly mediaTokenTtlMs?: number;
  /** Signs media tokens; share it where the webhook and the socket may reach different processes. @default random */
  readonly mediaTokenKey?: Uint8Array;
  /** Audio per message to a carrier; bigger costs less CPU, and lets a cut lose more. @default 100 */
  readonly playoutPieceMs?: number;
  /**
   * How much of our audio a carrier may hold: what a stalled thread or network may last before the caller
   * hears a gap. A cut takes it back, so that its price is only a later pause. @default 400
   */
  readonly playoutLeadMs?: number;
  /** Connections at once on the carriers' port, media sockets included; more are closed at once. @default 10_000 */
  readonly maxSockets?: number;
  /** A media socket that says nothing for so long, pings included, is lost. @default 15_000 */
  readonly halfOpenMs?: number;
}

export interface ResolvedEdgeOptions
  extends Required<Omit<EdgeOptions, "publicUrl" | "webhookUrl" | "sharedPort">> {
  readonly sharedPort: number | null;
  /** Null until the port is known. */
  readonly publicUrl: string | null;
  /** Null: the public URL. */
  readonly webhookUrl: string | null;
}

/** @throws LumentraError SETTING_INVALID */
export function resolveEdgeOptions(options: EdgeOptions): ResolvedEdgeOptions {
  const resolved: ResolvedEdgeOptions = {
    carriers: options.carriers,
    host: options.host ?? "0.0.0.0",
    port: options.port,
    sharedPort: options.sharedPort ?? null,
    adminHost: options.adminHost ?? "127.0.0.1",
    adminPort: options.adminPort,
    publicUrl: options.publicUrl === undefined ? null : baseUrlOf("publicUrl", options.publicUrl),
    webhookUrl: options.webhookUrl === undefined ? null : baseUrlOf("webhookUrl", options.webhookUrl),
    admissionTimeoutMs: options.admissionTimeoutMs ?? 2_500,
    afterMediaTimeoutMs: options.afterMediaTimeoutMs ?? 10_000,
    mediaTokenTtlMs: options.mediaTokenTtlMs ?? 30_000,
    mediaTokenKey: options.mediaTokenKey ?? randomBytes(32),
    playoutPieceMs: options.playoutPieceMs ?? 100,
    playoutLeadMs: options.playoutLeadMs ?? 400,
    maxSockets: options.maxSockets ?? 10_000,
    halfOpenMs: options.halfOpenMs ?? 15_000,
  };
  inRange("port", resolved.port, 0, 65_535);
  if (resolved.sharedPort !== null) inRange("sharedPort", resolved.sharedPort, 1, 65_535);
  inRange("adminPort", resolved.adminPort, 0, 65_535);
  inRange("mediaTokenTtlMs", resolved.mediaTokenTtlMs, 1_000, 300_000);
  inRange("admissionTimeoutMs", resolved.admissionTimeoutMs, 10, 10_000);
  inRange("afterMediaTimeoutMs", resolved.afterMediaTimeoutMs, 10, 14_000);
  // A piece must fit the largest message and a frame must fit the piece.
  inRange("playoutPieceMs", resolved.playoutPieceMs, 20, 500);
  // A piece may be a record longer than asked for, and timers are late: with less the carrier would run dry.
  inRange("playoutLeadMs", resolved.playoutLeadMs, resolved.playoutPieceMs + 4 * PUMP_TICK_MS, 5_000);
  inRange("maxSockets", resolved.maxSockets, 1, 1_000_000);
  inRange("halfOpenMs", resolved.halfOpenMs, 2_000, 120_000);
  if (resolved.mediaTokenKey.length < 16) fail("mediaTokenKey must have at least 16 bytes");
  const names = resolved.carriers.map((carrier) => carrier.name);
  if (names.length === 0 || new Set(names).size < names.length)
    fail("carriers must be one or more, no two alike");
  return resolved;
}

function baseUrlOf(name: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol) || url.search !== "" || url.hash !== "") {
    fail(`${name} must be an http or https URL without query (got ${text})`);
  }
  return text.replace(/\/+$/, "");
}

function inRange(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    fail(`${name} must be a whole number from ${least} to ${most} (got ${value})`);
  }
}

function fail(message: string): never {
  throw new LumentraError("SETTING_INVALID", message);
}

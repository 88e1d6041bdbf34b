/** Dials: from what a test or the command line says to a running PhoneCall. */
import { SystemClock, systemRandom } from "#runtime/actor";
import type { Clock, Random } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { type Voice, toneVoice } from "#bench/speech";
import { type CarrierName, carrierDialects } from "./carrier.js";
import type { LineImpairments } from "./line.js";
import { PhoneCall } from "./phone-call.js";

export interface PlaceCallOptions {
  /** Where the node's edge listens: `http://127.0.0.1:8080`. */
  readonly nodeUrl: string;
  /** What the node calls itself. @default `http://localhost` and the port, as the node's own default */
  readonly publicUrl?: string;
  /** @default "twilio" */
  readonly carrier?: CarrierName;
  /** E.164, or what carriers send for a withheld number. @default "+15550100001" */
  readonly from?: string;
  readonly to: string;
  /** Twilio's auth token or SignalWire's signing key. @default unsigned, which a node on loopback allows */
  readonly authToken?: string;
  /** @default toneVoice */
  readonly voice?: Voice;
  /** @default a perfect line */
  readonly line?: LineImpairments;
  /** @default one system clock for all phones */
  readonly clock?: Clock;
  /** Draws noise, jitter and losses. @default not seeded */
  readonly random?: Random;
  /** Webhook parameters on top of the usual ones: carriers add new ones without notice. */
  readonly extraParameters?: Readonly<Record<string, string>>;
  /** Ask the first webhook twice, as a carrier does that did not get the answer; the second answer counts. */
  readonly repeatWebhook?: boolean;
  /** Keep both directions for a WAV file. @default false */
  readonly record?: boolean;
}

/**
 * Resolves when the media stream has started, or the call ended without one (see `outcome`).
 * @throws LumentraError CALLER_NODE_UNREACHABLE when nothing listens at `nodeUrl`.
 */
export async function placeCall(options: PlaceCallOptions): Promise<PhoneCall> {
  const call = new PhoneCall({
    address: { nodeUrl: options.nodeUrl, publicUrl: options.publicUrl ?? defaultPublicUrl(options.nodeUrl) },
    dialect: carrierDialects[options.carrier ?? "twilio"],
    from: options.from ?? "+15550100001",
    to: options.to,
    authToken: options.authToken ?? null,
    voice: options.voice ?? toneVoice,
    line: options.line ?? {},
    clock: options.clock ?? phoneClock(),
    random: options.random ?? systemRandom,
    record: options.record ?? false,
    extraParameters: options.extraParameters ?? {},
    repeatWebhook: options.repeatWebhook ?? false,
  });
  await call.started;
  if (call.outcome?.kind === "nodeUnreachable") {
    throw new LumentraError("CALLER_NODE_UNREACHABLE", call.outcome.detail);
  }
  return call;
}

/** One clock, so that all phones share one ticker. */
export function phoneClock(): Clock {
  sharedClock ??= new SystemClock();
  return sharedClock;
}

let sharedClock: Clock | null = null;

function defaultPublicUrl(nodeUrl: string): string {
  const url = new URL(nodeUrl);
  const loopback = url.hostname === "127.0.0.1" || url.hostname === "[::1]";
  return loopback ? `${url.protocol}//localhost${url.port === "" ? "" : `:${url.port}`}` : url.origin;
}

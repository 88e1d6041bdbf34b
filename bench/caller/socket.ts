/**
 * The wire under a call: the signed webhook POST and the signed upgrade of the media socket, as a carrier
 * does them. What the node answers is returned as a value; only a node that is not
 * there is an error.
 */
import { LumentraError } from "#runtime/errors";
import { type WavAudio, decodeWav } from "#bench/speech";
import type { CarrierDialect } from "./carrier.js";
import { MediaSocket, type MediaSocketListener, type OpenedSocket } from "./media-socket.js";
import { signForm, signUpgrade } from "./signature.js";

/** A carrier waits 15 s in total for a webhook's answer. */
const WEBHOOK_TIMEOUT_MS = 15_000;
/** A connection that breaks before the answer is tried once more, as carriers do by default. */
const WEBHOOK_ATTEMPTS = 2;
/** Of those that carriers play, what we read. */
const PLAYABLE_TYPES: ReadonlySet<string> = new Set(["audio/wav", "audio/wave", "audio/x-wav"]);

/** Where a node is, and how it is known outside. */
export interface NodeAddress {
  /** Where to connect: `http://127.0.0.1:8080`. */
  readonly nodeUrl: string;
  /** What the node calls itself (LUMENTRA_PUBLIC_URL); signatures are made over it. */
  readonly publicUrl: string;
}

export type WebhookAnswer =
  | { readonly kind: "markup"; readonly xml: string }
  | { readonly kind: "refused"; readonly status: number; readonly body: string };

/** Throws CALLER_NODE_UNREACHABLE when nothing listens there. `url` is as the carrier knows it. */
export async function postWebhook(
  address: NodeAddress,
  dialect: CarrierDialect,
  url: string,
  parameters: Readonly<Record<string, string>>,
  authToken: string | null,
): Promise<WebhookAnswer> {
  const headers: Record<string, string> = {
    "content-type": "application/x-www-form-urlencoded",
    "user-agent": dialect.userAgent,
  };
  if (authToken !== null) headers[dialect.signatureHeader] = signForm(authToken, url, parameters);
  const target = dialUrl(address, url);
  const form = new URLSearchParams(parameters).toString();
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await fetch(target, {
        method: "POST",
        headers,
        body: form,
        redirect: "manual",
        signal: AbortSignal.timeout(WEBHOOK_TIMEOUT_MS),
      });
      const body = await response.text();
      if (response.status !== 200) return { kind: "refused", status: response.status, body };
      return { kind: "markup", xml: body };
    } catch (error) {
      if (attempt === WEBHOOK_ATTEMPTS) throw unreachable(address.nodeUrl, error);
    }
  }
}

/** Fetches what a `<Play>` names, as a carrier does: unsigned, following nothing. Throws what it cannot use. */
export async function fetchAudio(address: NodeAddress, url: string): Promise<WavAudio> {
  const response = await fetch(dialUrl(address, url), {
    redirect: "manual",
    signal: AbortSignal.timeout(WEBHOOK_TIMEOUT_MS),
  });
  const body = new Uint8Array(await response.arrayBuffer());
  const type = response.headers.get("content-type") ?? "";
  if (response.status !== 200 || !PLAYABLE_TYPES.has(type)) {
    const detail = `<Play>${url}</Play> was answered with ${response.status}, ${type || "no type"}`;
    throw new LumentraError("CALLER_MARKUP_INVALID", `A carrier would refuse this markup: 11200, ${detail}`);
  }
  return decodeWav(body);
}

/** Opens the media socket of a markup's `<Stream>`; messages and the close go to `listener` from then on. */
export function openMediaSocket(
  address: NodeAddress,
  dialect: CarrierDialect,
  url: string,
  bearerToken: string | null,
  authToken: string | null,
  listener: MediaSocketListener,
): Promise<OpenedSocket> {
  const headers: Record<string, string> = { "accept-encoding": "gzip" };
  if (dialect.signsUpgrade) headers["user-agent"] = "Twilio.TmeWs/1.0";
  if (dialect.signsUpgrade && authToken !== null) {
    headers[dialect.signatureHeader] = signUpgrade(authToken, url);
  }
  if (bearerToken !== null) headers.authorization = `Bearer ${bearerToken}`;
  return MediaSocket.open(dialUrl(address, url, "ws"), headers, listener);
}

/** The public address a URL was written with, replaced by where the node really is. */
function dialUrl(address: NodeAddress, url: string, scheme: "http" | "ws" = "http"): string {
  const target = new URL(url);
  const node = new URL(address.nodeUrl);
  if (target.host === new URL(address.publicUrl).host || target.host === node.host) {
    const secure = node.protocol === "https:" || node.protocol === "wss:";
    return `${scheme}${secure ? "s" : ""}://${node.host}${target.pathname}${target.search}`;
  }
  return url;
}

function unreachable(nodeUrl: string, cause: unknown): LumentraError {
  const error = cause instanceof Error ? cause : new Error(String(cause));
  const reason = error.cause instanceof Error ? error.cause : error;
  const code = "code" in reason ? String(reason.code) : reason.message;
  const message =
    code === "ECONNREFUSED"
      ? `No node is listening at ${nodeUrl}: start one with "npm start", or say where it is (call --url, load --target)`
      : `The node at ${nodeUrl} did not answer the webhook (${code})`;
  return new LumentraError("CALLER_NODE_UNREACHABLE", message, { cause });
}

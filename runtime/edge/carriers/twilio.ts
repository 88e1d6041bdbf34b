/**
 * Twilio: webhooks as signed forms, TwiML, Media Streams in both directions.
 *
 * The signature covers the URL as Twilio was given it, so it is computed over our public URL and never
 * over the Host header. Media is always µ-law at 8 kHz.
 */
import {
  type CallStatusWebhook,
  type Carrier,
  type ConnectPlan,
  type MediaProtocol,
  type SignedRequest,
  type StreamStatusWebhook,
  type VoiceWebhook,
  type WebhookRequest,
} from "./carrier.js";
import { connectMarkup, hangUpMarkup, overflowMarkup, sayMarkup } from "./cxml-markup.js";
import { readCxml } from "./cxml-media.js";
import { isSignedBody, isSignedForm, isSignedUpgrade } from "./signature.js";

export interface TwilioOptions {
  /**
   * The account's auth token; two while it is being rotated. None: unsigned requests are accepted from
   * loopback only. Environment: TWILIO_AUTH_TOKEN, TWILIO_AUTH_TOKEN_NEXT.
   */
  readonly authTokens: readonly string[];
}

const SIGNATURE = "x-twilio-signature";
const FINAL_STATUSES: ReadonlySet<string> = new Set(["completed", "busy", "failed", "no-answer", "canceled"]);

export function createTwilio(options: TwilioOptions): Carrier {
  const keys = options.authTokens;
  return {
    name: "twilio",
    headerNames: [SIGNATURE],
    verifies: keys.length > 0,
    signsUpgrades: true,

    verifyWebhook(request: WebhookRequest): boolean {
      const signature = request.headers.get(SIGNATURE) ?? "";
      return request.form === null
        ? isSignedBody(keys, signature, request.url, request.body)
        : isSignedForm(keys, signature, request.url, request.form, "distinctSorted");
    },
    verifyUpgrade(request: SignedRequest): boolean {
      return isSignedUpgrade(keys, request.headers.get(SIGNATURE) ?? "", request.url);
    },

    readVoice: readCxmlVoice,
    readCallStatus: readCxmlCallStatus,
    readStreamStatus: readCxmlStreamStatus,

    markupContentType: "text/xml; charset=utf-8",
    connectMarkup: (plan: ConnectPlan) => connectMarkup(plan),
    overflowMarkup,
    sayMarkup,
    hangUpMarkup,

    media: cxmlMediaProtocol("le"),
  };
}

/** Null when a field is missing that no call can do without. New fields come without notice: the rest is left. */
export function readCxmlVoice(form: URLSearchParams): VoiceWebhook | null {
  const carrierCallId = form.get("CallSid") ?? "";
  const to = form.get("To") ?? form.get("Called") ?? "";
  if (!isCxmlId(carrierCallId) || to === "") return null;
  return {
    carrierCallId,
    accountId: form.get("AccountSid") ?? "",
    callStatus: form.get("CallStatus") ?? "",
    direction: form.get("Direction") ?? "inbound",
    pii: { from: form.get("From") ?? form.get("Caller") ?? "anonymous", to },
  };
}

export function readCxmlCallStatus(form: URLSearchParams): CallStatusWebhook | null {
  const carrierCallId = form.get("CallSid") ?? "";
  const callStatus = form.get("CallStatus") ?? "";
  if (!isCxmlId(carrierCallId) || callStatus === "") return null;
  return { carrierCallId, callStatus, isFinal: FINAL_STATUSES.has(callStatus) };
}

export function readCxmlStreamStatus(form: URLSearchParams): StreamStatusWebhook | null {
  const carrierCallId = form.get("CallSid") ?? "";
  const event = form.get("StreamEvent") ?? "";
  if (!isCxmlId(carrierCallId) || event === "") return null;
  return { carrierCallId, event, error: form.get("StreamError") ?? "" };
}

/** `l16ByteOrder`: how linear PCM lies on the wire, where the carrier has it at all. */
export function cxmlMediaProtocol(l16ByteOrder: "le" | "be"): MediaProtocol {
  return {
    read(frame, into, shape) {
      readCxml(frame, into, shape, l16ByteOrder);
    },
    // Exactly these fields: a missing or an extra one costs the message (warning 31951). A stream id is
    // checked at `start` to need no escaping, and our mark names never do.
    mediaMessage(streamId, audio, lengthBytes) {
      const payload = audio.toString("base64", 0, lengthBytes);
      return `{"event":"media","streamSid":"${streamId}","media":{"payload":"${payload}"}}`;
    },
    markMessage(streamId, name) {
      return `{"event":"mark","streamSid":"${streamId}","mark":{"name":"${name}"}}`;
    },
    clearMessage(streamId) {
      return `{"event":"clear","streamSid":"${streamId}"}`;
    },
  };
}

/** Bounded, since it goes into maps and logs. */
function isCxmlId(id: string): boolean {
  return /^[\w-]{1,128}$/.test(id);
}

/**
 * SignalWire (cXML): Twilio's model with these differences. Ids are UUIDs. Webhooks are signed with the
 * project's signing key, in a header of its own or in Twilio's, and repeated parameters are joined as
 * they came. The socket upgrade is not signed: the token in its path is all there is. Linear PCM can be
 * had instead of µ-law.
 */
import type { Carrier, ConnectPlan, WebhookRequest } from "./carrier.js";
import { connectMarkup, hangUpMarkup, overflowMarkup, sayMarkup } from "./cxml-markup.js";
import { isSignedBody, isSignedForm } from "./signature.js";
import { cxmlMediaProtocol, readCxmlCallStatus, readCxmlStreamStatus, readCxmlVoice } from "./twilio.js";

export interface SignalWireOptions {
  /**
   * The project's signing key (not its API token); two while it is being rotated. None: unsigned requests
   * are accepted from loopback only. Environment: SIGNALWIRE_SIGNING_KEY, SIGNALWIRE_SIGNING_KEY_NEXT.
   */
  readonly signingKeys: readonly string[];
  /** What the media socket carries, both ways. @default "PCMU@8000h" */
  readonly codec?: "PCMU@8000h" | "L16@16000h" | "L16@24000h";
  /** SignalWire does not say; little-endian is what other carriers send over WebSocket. @default "le" */
  readonly l16ByteOrder?: "le" | "be";
}

const SIGNATURE = "x-signalwire-signature";
const FALLBACK_SIGNATURE = "x-twilio-signature";

export function createSignalWire(options: SignalWireOptions): Carrier {
  const keys = options.signingKeys;
  const codec = options.codec ?? "PCMU@8000h";
  return {
    name: "signalwire",
    headerNames: [SIGNATURE, FALLBACK_SIGNATURE],
    verifies: keys.length > 0,
    signsUpgrades: false,

    verifyWebhook(request: WebhookRequest): boolean {
      const signature = request.headers.get(SIGNATURE) || request.headers.get(FALLBACK_SIGNATURE) || "";
      return request.form === null
        ? isSignedBody(keys, signature, request.url, request.body)
        : isSignedForm(keys, signature, request.url, request.form, "inOrder");
    },
    verifyUpgrade: () => false,

    readVoice: readCxmlVoice,
    readCallStatus: readCxmlCallStatus,
    readStreamStatus: readCxmlStreamStatus,

    markupContentType: "text/xml; charset=utf-8",
    connectMarkup: (plan: ConnectPlan) => connectMarkup(plan, { codec }),
    overflowMarkup,
    sayMarkup,
    hangUpMarkup,

    media: cxmlMediaProtocol(options.l16ByteOrder ?? "le"),
  };
}

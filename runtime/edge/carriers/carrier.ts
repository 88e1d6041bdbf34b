/**
 * What the edge needs of a carrier. To add one: write a file beside twilio.ts that makes a `Carrier`, and
 * hand it to the Edge (node/carrier-accounts.ts lists them). A carrier holds no state of calls; its name is the first part of its URLs
 * (`/twilio/voice`) and a metric label.
 */
import type { OverflowPolicy } from "../delegate.js";
import type { InboundMessage } from "./inbound-message.js";
import type { MediaShape } from "./media-shape.js";

/** An HTTP request as far as a signature covers it. */
export interface SignedRequest {
  /** As the carrier was given it: our public URL, path and query, character for character. */
  readonly url: string;
  /** Lower-case names, those of `headerNames` only; a missing header is "". */
  readonly headers: ReadonlyMap<string, string>;
}

export interface WebhookRequest extends SignedRequest {
  readonly body: Uint8Array;
  /** Parsed when the body is a form, else null. */
  readonly form: URLSearchParams | null;
}

export interface VoiceWebhook {
  readonly carrierCallId: string;
  readonly accountId: string;
  readonly callStatus: string;
  readonly direction: string;
  readonly pii: { readonly from: string; readonly to: string };
}

export interface CallStatusWebhook {
  readonly carrierCallId: string;
  readonly callStatus: string;
  /** The call is over, or never came to be. */
  readonly isFinal: boolean;
}

export interface StreamStatusWebhook {
  readonly carrierCallId: string;
  readonly event: string;
  /** What the carrier complains about; "" when nothing. */
  readonly error: string;
}

/** Where the markup of an admitted call sends the carrier. */
export interface ConnectPlan {
  readonly mediaUrl: string;
  readonly streamStatusUrl: string;
  /** Requested when the media socket has closed and the call still lives. */
  readonly afterUrl: string;
}

export interface Carrier {
  readonly name: string;
  /** The request headers `verify…` read, lower case. */
  readonly headerNames: readonly string[];
  /** Whether a key is configured; without one unsigned requests are taken from loopback only. */
  readonly verifies: boolean;
  /** Whether the carrier signs the socket upgrade too; else the token in the path is all there is. */
  readonly signsUpgrades: boolean;
  /** Whether the signature is right. Asked only when `verifies`. */
  verifyWebhook(request: WebhookRequest): boolean;
  /** Asked only when `verifies` and `signsUpgrades`. */
  verifyUpgrade(request: SignedRequest): boolean;

  /** Null when a field is missing that no call can do without. */
  readVoice(form: URLSearchParams): VoiceWebhook | null;
  readCallStatus(form: URLSearchParams): CallStatusWebhook | null;
  readStreamStatus(form: URLSearchParams): StreamStatusWebhook | null;

  readonly markupContentType: string;
  connectMarkup(plan: ConnectPlan): string;
  overflowMarkup(policy: OverflowPolicy): string;
  sayMarkup(text: string, language: string): string;
  hangUpMarkup(): string;

  readonly media: MediaProtocol;
}

/** The messages of the media socket. All are text frames with JSON. */
export interface MediaProtocol {
  /**
   * Reads one frame into `into`. Never throws: what it cannot read has the kind `invalid`. `shape` is of the leg that
   * the frame came to.
   */
  read(frame: ArrayBuffer, into: InboundMessage, shape: MediaShape): void;
  mediaMessage(streamId: string, audio: Buffer, lengthBytes: number): string;
  markMessage(streamId: string, name: string): string;
  clearMessage(streamId: string): string;
}

/** What of bad input is told apart in `lumentra_edge_bad_input_total`; each was refused, ignored or cost its sender the socket. */
import type { Metrics } from "#runtime/telemetry";
import type { InboundMessage } from "./carriers/inbound-message.js";
import type { AudioProblem } from "./inbound-audio.js";

export type BadInput =
  // before a socket or request was let in
  | "tooManySockets"
  | "tooManyAdminSockets"
  | "webhookSignature"
  | "webhookForm"
  | "upgradeSignature"
  | "tokenForged"
  | "tokenExpired"
  | "tokenReused"
  // messages of a media socket
  | InboundMessage["problem"]
  | AudioProblem
  | "binaryFrame"
  | "frameTooBig"
  | "frameBroken"
  | "connectedTwice"
  | "startTwice"
  | "startWrongCall"
  | "beforeStart"
  | "markNotOurs"
  | "unknownEvent"
  // what a media socket did or left undone
  | "startNeverCame"
  | "tooManyBadMessages"
  | "neverReads"
  | "halfOpen";

export function countBadInput(metrics: Metrics, reason: BadInput): void {
  metrics.edgeBadInput.inc({ reason });
}

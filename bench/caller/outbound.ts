/**
 * What a node may send a carrier, checked the way Twilio's Media Streams check it: exactly the known fields, the
 * right stream, valid base64. What does not conform is reported with the carrier's own code and otherwise
 * ignored; the socket stays open.
 */

export type OutboundMessage =
  | { readonly kind: "media"; readonly audio: Uint8Array }
  | { readonly kind: "mark"; readonly name: string }
  | { readonly kind: "clear" }
  | { readonly kind: "dtmf"; readonly digit: string };

/** A rule of the carrier that the node broke. */
export interface Violation {
  /** Twilio's code: 31931 queue over ten minutes, 31950 binary frame, 31951 not conformant. */
  readonly code: 31931 | 31950 | 31951;
  readonly detail: string;
  readonly atMs: number;
}

/** The message, or the reason why a carrier would ignore it (31951). */
export function readOutbound(
  text: string,
  streamSid: string,
  acceptsDtmf: boolean,
): OutboundMessage | string {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return "not JSON";
  }
  if (!isRecord(message)) return "not an object";
  const event = message.event;
  if (message.streamSid !== streamSid) return `streamSid of ${String(event)} is not this stream's`;
  switch (event) {
    case "media": {
      const media = message.media;
      if (!hasOnly(message, "event", "streamSid", "media") || !isRecord(media)) return "fields of media";
      if (!hasOnly(media, "payload") || typeof media.payload !== "string") return "fields of media.media";
      const audio = decodeBase64(media.payload);
      return audio === null ? "media.payload is not base64" : { kind: "media", audio };
    }
    case "mark": {
      const mark = message.mark;
      if (!hasOnly(message, "event", "streamSid", "mark") || !isRecord(mark)) return "fields of mark";
      if (!hasOnly(mark, "name") || typeof mark.name !== "string") return "fields of mark.mark";
      return { kind: "mark", name: mark.name };
    }
    case "clear":
      return hasOnly(message, "event", "streamSid") ? { kind: "clear" } : "fields of clear";
    case "dtmf": {
      const dtmf = message.dtmf;
      if (!acceptsDtmf) return "dtmf towards the carrier is not supported";
      if (!hasOnly(message, "event", "streamSid", "dtmf") || !isRecord(dtmf)) return "fields of dtmf";
      const digit = dtmf.digit;
      if (!hasOnly(dtmf, "digit") || typeof digit !== "string" || !/^[0-9*#A-D]$/.test(digit)) {
        return "fields of dtmf.dtmf";
      }
      return { kind: "dtmf", digit };
    }
    default:
      return `unknown event ${JSON.stringify(event)}`;
  }
}

/** Exactly these keys: a missing or extra one breaks the rule. */
function hasOnly(value: Readonly<Record<string, unknown>>, ...keys: readonly string[]): boolean {
  return Object.keys(value).length === keys.length && keys.every((key) => key in value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Standard base64 with padding, else null: Node's own decoder skips what it does not know. */
function decodeBase64(text: string): Uint8Array | null {
  if (text.length === 0 || text.length % 4 !== 0) return null;
  // Node also reads the URL alphabet, which a carrier does not.
  if (text.includes("-") || text.includes("_")) return null;
  const audio = Buffer.from(text, "base64");
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return audio.length === (text.length / 4) * 3 - padding ? audio : null;
}

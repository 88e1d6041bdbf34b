/**
 * The XML that Twilio (TwiML) and SignalWire (cXML) share. All that tenants write is escaped, so names and messages
 * of theirs cannot break out of their element.
 *
 * Elements are put together as text: a tree of the XML library's, built and written for each call that comes in, was half
 * of what a webhook cost.
 */
import type { OverflowPolicy } from "../delegate.js";
import type { ConnectPlan } from "./carrier.js";

type Attributes = Readonly<Record<string, string>>;

/** Text without any of these is its own markup: most of what we write. */
const NOT_PLAIN = /[^\x20\x21\x23-\x25\x27-\x3b\x3d\x3f-\x7e]/;
/** A control character or half a pair in a tenant's text would make the whole document invalid, and the call fail. */
const NOT_XML = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu;
/** What would end the text or the attribute, and what an attribute would lose. */
const REFERENCES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "\t": "&#9;",
  "\n": "&#10;",
  "\r": "&#13;",
};
const REFERRED = /[&<>"\t\n\r]/g;

const HANG_UP = element("Hangup");

/** `streamAttributes`: what the carrier's `<Stream>` takes beyond the common ones. */
export function connectMarkup(plan: ConnectPlan, streamAttributes: Attributes = {}): string {
  const stream = { url: plan.mediaUrl, statusCallback: plan.streamStatusUrl, ...streamAttributes };
  return response(
    element("Connect", {}, element("Stream", stream)),
    // Reached when the media socket has closed and the call still lives: hung up by us, or lost.
    element("Redirect", { method: "POST" }, escaped(plan.afterUrl)),
  );
}

export function overflowMarkup(policy: OverflowPolicy): string {
  if (policy.kind === "busy") return response(element("Reject", { reason: "busy" }));
  if (policy.kind === "message") {
    if (policy.audioUrl === null) return sayMarkup(policy.text, policy.language);
    return response(element("Play", {}, escaped(policy.audioUrl)), HANG_UP);
  }
  if (policy.kind === "forward") return response(element("Dial", {}, escaped(policy.number)));
  return response(element("Enqueue", {}, escaped(policy.name)));
}

export function sayMarkup(text: string, language: string): string {
  return response(element("Say", { language }, escaped(text)), HANG_UP);
}

export function hangUpMarkup(): string {
  return response(HANG_UP);
}

function response(...verbs: readonly string[]): string {
  return `<?xml version="1.0" encoding="UTF-8"?>${element("Response", {}, verbs.join(""))}`;
}

/** `content` is markup: text has to be escaped before. */
function element(name: string, attributes: Attributes = {}, content = ""): string {
  let tag = `<${name}`;
  for (const [key, value] of Object.entries(attributes)) tag += ` ${key}="${escaped(value)}"`;
  return content === "" ? `${tag}/>` : `${tag}>${content}</${name}>`;
}

/** As text of an element or as an attribute's value, in double quotes. */
function escaped(text: string): string {
  if (!NOT_PLAIN.test(text)) return text;
  return text.replace(NOT_XML, " ").replace(REFERRED, (character) => REFERENCES[character]!);
}

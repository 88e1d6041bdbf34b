/**
 * The XML that Twilio (TwiML) and SignalWire (cXML) share. Text is escaped by the builder, so names and
 * messages of tenants cannot break out of their element.
 */
import { create } from "xmlbuilder2";
import type { OverflowPolicy } from "../delegate.js";
import type { ConnectPlan } from "./carrier.js";

/** `streamAttributes`: what the carrier's `<Stream>` takes beyond the common ones. */
export function connectMarkup(
  plan: ConnectPlan,
  streamAttributes: Readonly<Record<string, string>> = {},
): string {
  const stream = { url: plan.mediaUrl, statusCallback: plan.streamStatusUrl, ...streamAttributes };
  return render({
    Connect: { Stream: attributes(stream) },
    // Reached when the media socket has closed and the call still lives: hung up by us, or lost.
    Redirect: { "@method": "POST", "#": plan.afterUrl },
  });
}

export function overflowMarkup(policy: OverflowPolicy): string {
  if (policy.kind === "busy") return render({ Reject: { "@reason": "busy" } });
  if (policy.kind === "message") {
    if (policy.audioUrl === null) return sayMarkup(policy.text, policy.language);
    return render({ Play: policy.audioUrl, Hangup: {} });
  }
  if (policy.kind === "forward") return render({ Dial: policy.number });
  return render({ Enqueue: policy.name });
}

export function sayMarkup(text: string, language: string): string {
  return render({ Say: { "@language": language, "#": text }, Hangup: {} });
}

export function hangUpMarkup(): string {
  return render({ Hangup: {} });
}

function attributes(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`@${name}`, value]));
}

function render(verbs: Readonly<Record<string, unknown>>): string {
  // A control character in a tenant's text would make the whole document invalid, and the call fail.
  const options = { version: "1.0", encoding: "UTF-8", invalidCharReplacement: " " } as const;
  return create(options, { Response: verbs }).end();
}

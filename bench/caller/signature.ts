/**
 * How carriers sign (Twilio's "Webhooks security", which SignalWire shares): base64(HMAC-SHA1(key, url + sorted
 * form parameters)).
 * Written here a second time on purpose: the phone is the node's counterpart and must not share its mistakes.
 */
import { createHmac } from "node:crypto";

/** For a form POST: names sorted by byte order, each followed by its value, nothing between. */
export function signForm(key: string, url: string, parameters: Readonly<Record<string, string>>): string {
  let text = url;
  for (const name of Object.keys(parameters).sort()) text += name + parameters[name]!;
  return createHmac("sha1", key).update(text, "utf8").digest("base64");
}

/** For the upgrade of a media socket: the `wss://` URL of the markup, character for character, no parameters. */
export function signUpgrade(key: string, url: string): string {
  return signForm(key, url, {});
}

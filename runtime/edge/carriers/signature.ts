/**
 * The webhook signature Twilio and its likes use: base64(HMAC-SHA1(key, URL + parameters)).
 *
 * Carriers disagree with themselves on whether the standard port is part of the URL, and some back ends
 * sign the URL as WHATWG or Node's old querystring would rewrite it, so a request is good when any
 * candidate matches. The URL as configured is tried first and is nearly always it.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { parse as parseQuery, stringify as stringifyQuery } from "node:querystring";

/** How the values of a parameter that is repeated are joined. */
export type RepeatedParameters =
  /** Twilio: distinct values, sorted. */
  | "distinctSorted"
  /** SignalWire: as they came. */
  | "inOrder";

/** `keys`: one, or two while a key is being rotated. `url` as the carrier was given it. */
export function isSignedForm(
  keys: readonly string[],
  signature: string,
  url: string,
  form: URLSearchParams,
  repeated: RepeatedParameters,
): boolean {
  const suffix = joinParameters(form, repeated);
  return someWebhookUrl(url, (candidate) => isSigned(keys, signature, candidate + suffix));
}

/** For bodies that are not forms: the carrier put the body's SHA-256 into the query, and signed the URL alone. */
export function isSignedBody(
  keys: readonly string[],
  signature: string,
  url: string,
  body: Uint8Array,
): boolean {
  const query = url.indexOf("?");
  const claimed = new URLSearchParams(query < 0 ? "" : url.slice(query)).get("bodySHA256");
  const actual = createHash("sha256").update(body).digest("hex");
  if (claimed === null || !isEqual(claimed, actual)) return false;
  return someWebhookUrl(url, (candidate) => isSigned(keys, signature, candidate));
}

/** Of a socket upgrade: no parameters, and a trailing slash may have come or gone. */
export function isSignedUpgrade(keys: readonly string[], signature: string, url: string): boolean {
  const bare = url.endsWith("/") ? url.slice(0, -1) : url;
  return portCandidates(bare).some(
    (candidate) => isSigned(keys, signature, candidate) || isSigned(keys, signature, `${candidate}/`),
  );
}

export function joinParameters(form: URLSearchParams, repeated: RepeatedParameters): string {
  let joined = "";
  for (const name of [...new Set(form.keys())].sort()) {
    const values = form.getAll(name);
    const ordered = repeated === "inOrder" ? values : [...new Set(values)].sort();
    for (const value of ordered) joined += name + value;
  }
  return joined;
}

export function sign(key: string, text: string): string {
  return createHmac("sha1", key).update(text, "utf8").digest("base64");
}

function isSigned(keys: readonly string[], signature: string, text: string): boolean {
  return keys.some((key) => isEqual(signature, sign(key, text)));
}

/** Constant in time for equal lengths; the length of a right answer is no secret. */
function isEqual(given: string, expected: string): boolean {
  const givenBytes = Buffer.from(given);
  const expectedBytes = Buffer.from(expected);
  return givenBytes.length === expectedBytes.length && timingSafeEqual(givenBytes, expectedBytes);
}

/** The rewritten ones are made only when the URL as it came is not the one. */
function someWebhookUrl(url: string, isIt: (candidate: string) => boolean): boolean {
  if (portCandidates(url).some(isIt)) return true;
  if (!URL.canParse(url)) return false;
  const normalised = portCandidates(new URL(url).toString());
  return normalised.some(isIt) || normalised.map(withLegacyQuery).some(isIt);
}

/** The URL without a port, and with the one it names or the standard one. */
function portCandidates(url: string): string[] {
  // Scheme, user info, host (perhaps a bracketed IPv6 address), port, the rest. Character for character:
  // `new URL()` would rewrite the query.
  const match = /^([a-z][a-z0-9+.-]*:\/\/)((?:[^/?#@]*@)?(?:\[[^\]/?#]*\]|[^/?#:@]*))(:\d*)?(.*)$/is.exec(
    url,
  );
  if (match === null) return [url];
  const [, scheme = "", host = "", port, rest = ""] = match;
  const isSecure = /^(https|wss):/i.test(scheme);
  return [scheme + host + rest, scheme + host + (port ?? (isSecure ? ":443" : ":80")) + rest];
}

function withLegacyQuery(url: string): string {
  const start = url.indexOf("?");
  if (start < 0 || start === url.length - 1) return url;
  return `${url.slice(0, start)}?${stringifyQuery(parseQuery(url.slice(start + 1)))}`;
}

/**
 * Reads the markup a node answers a webhook with (TwiML, or SignalWire's cXML) into the verbs a carrier would
 * run, in document order. Strict where a carrier is strict: what it would refuse is an error here, naming why.
 */
import { XMLParser, XMLValidator } from "fast-xml-parser";
import { LumentraError } from "#runtime/errors";

export type MarkupVerb =
  | {
      readonly kind: "connectStream";
      readonly url: string;
      readonly parameters: Readonly<Record<string, string>>;
      /** SignalWire only: sent as `Authorization: Bearer …` on the upgrade. */
      readonly bearerToken: string | null;
    }
  | { readonly kind: "redirect"; readonly url: string; readonly method: "GET" | "POST" }
  | { readonly kind: "reject"; readonly reason: string }
  | { readonly kind: "hangup" }
  | { readonly kind: "say"; readonly text: string }
  | { readonly kind: "play"; readonly url: string }
  | { readonly kind: "pause"; readonly lengthMs: number }
  /** The call is somebody else's from here on: connected to a number, or waiting in a queue. */
  | { readonly kind: "dial"; readonly number: string }
  | { readonly kind: "enqueue"; readonly name: string }
  /** A verb the phone does not act out: it is reported and skipped. */
  | { readonly kind: "other"; readonly name: string };

/** Twilio's bound on a document. */
const MARKUP_BYTES_MAX = 64 * 1024;
/** Twilio's bound on one `<Parameter>`, name and value together. */
const PARAMETER_CHARS_MAX = 500;
const ATTRIBUTES = ":@";
const TEXT = "#text";

type XmlNode = Readonly<Record<string, unknown>>;

const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: "",
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: true,
});

/** Throws CALLER_MARKUP_INVALID for what a carrier would refuse. */
export function parseMarkup(xml: string): readonly MarkupVerb[] {
  if (Buffer.byteLength(xml) > MARKUP_BYTES_MAX)
    throw refused(`the markup is over ${MARKUP_BYTES_MAX} bytes`);
  const valid = XMLValidator.validate(xml);
  if (valid !== true) throw refused(`the markup is not XML: ${valid.err.msg} (line ${valid.err.line})`);
  const roots = (parser.parse(xml) as XmlNode[]).filter((node) => nameOf(node) !== "?xml");
  const root = roots[0];
  if (root === undefined || roots.length > 1 || nameOf(root) !== "Response") {
    throw refused("the markup's root element must be <Response>");
  }
  const verbs: MarkupVerb[] = [];
  for (const node of childrenOf(root)) {
    const verb = verbOf(node);
    if (verb !== null) verbs.push(verb);
  }
  return verbs;
}

function verbOf(node: XmlNode): MarkupVerb | null {
  const name = nameOf(node);
  switch (name) {
    case TEXT:
      return null;
    case "Connect":
      return connectOf(node);
    case "Redirect": {
      const method = (attributesOf(node).method ?? "POST").toUpperCase();
      if (method !== "GET" && method !== "POST") throw refused(`<Redirect method="${method}">`);
      return { kind: "redirect", url: textOf(node), method };
    }
    case "Reject":
      return { kind: "reject", reason: attributesOf(node).reason ?? "rejected" };
    case "Hangup":
      return { kind: "hangup" };
    case "Say":
      return { kind: "say", text: textOf(node) };
    case "Play":
      return { kind: "play", url: textOf(node) };
    case "Dial":
      return { kind: "dial", number: textOf(node) };
    case "Enqueue":
      return { kind: "enqueue", name: textOf(node) };
    case "Pause":
      return { kind: "pause", lengthMs: Number(attributesOf(node).length ?? "1") * 1000 };
    default:
      return { kind: "other", name };
  }
}

function connectOf(node: XmlNode): MarkupVerb {
  const streams = childrenOf(node).filter((child) => nameOf(child) === "Stream");
  const stream = streams[0];
  if (stream === undefined || streams.length > 1) throw refused("<Connect> needs exactly one <Stream>");
  const attributes = attributesOf(stream);
  const url = attributes.url ?? "";
  if (!URL.canParse(url)) throw refused(`31923: malformed <Stream url="${url}">`);
  const parsed = new URL(url);
  // A real carrier insists on wss; on loopback there is no certificate to be had.
  const loopback = ["127.0.0.1", "localhost", "[::1]"].includes(parsed.hostname);
  if (parsed.protocol !== "wss:" && !(parsed.protocol === "ws:" && loopback)) {
    throw refused(`31922: <Stream url="${url}"> is not wss`);
  }
  if (parsed.search !== "") throw refused("31920: <Stream url> has a query string; carriers drop it");
  if (attributes.track !== undefined && attributes.track !== "inbound_track") {
    throw refused(`31941: track="${attributes.track}" is not possible on a bidirectional stream`);
  }
  const parameters: Record<string, string> = {};
  for (const child of childrenOf(stream)) {
    if (nameOf(child) !== "Parameter") continue;
    const { name = "", value = "" } = attributesOf(child);
    if (name.length + value.length >= PARAMETER_CHARS_MAX)
      throw refused(`<Parameter name="${name}"> is too long`);
    parameters[name] = value;
  }
  return { kind: "connectStream", url, parameters, bearerToken: attributes.authBearerToken ?? null };
}

function nameOf(node: XmlNode): string {
  return Object.keys(node).find((key) => key !== ATTRIBUTES) ?? "";
}

function childrenOf(node: XmlNode): readonly XmlNode[] {
  const children = node[nameOf(node)];
  return Array.isArray(children) ? (children as XmlNode[]) : [];
}

function attributesOf(node: XmlNode): Readonly<Record<string, string | undefined>> {
  return (node[ATTRIBUTES] ?? {}) as Record<string, string>;
}

function textOf(node: XmlNode): string {
  return childrenOf(node)
    .map((child) => (nameOf(child) === TEXT ? String(child[TEXT]) : ""))
    .join("")
    .trim();
}

function refused(reason: string): LumentraError {
  return new LumentraError("CALLER_MARKUP_INVALID", `A carrier would refuse this markup: ${reason}`);
}

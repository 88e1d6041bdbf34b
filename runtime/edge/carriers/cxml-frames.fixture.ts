/** Media messages as carriers may send them, and as they may not, the same for the same seed. */
import { seededRandom } from "#runtime/actor";
import type { InboundMessage } from "./inbound-message.js";

/** The part of a media message that counts. */
export function mediaOf(message: InboundMessage) {
  const { kind, chunk, timestampMs, audioLength } = message;
  return {
    kind,
    chunk,
    timestampMs,
    audio: Buffer.from(message.audio.subarray(0, audioLength)).toString("hex"),
  };
}

/** Whole numbers below a limit, the same for the same seed. */
export function generator(seed: number): (limit: number) => number {
  const random = seededRandom(seed);
  return (limit) => Math.floor(random.next() * limit);
}

/** A media message with random order, spacing, escapes and extras; mostly sound. */
export function randomFrame(random: (limit: number) => number): string {
  const space = (): string => [" ", "", "", "\t", "\r\n", ""][random(6)]!;
  const text = (plain: string): string => {
    if (random(12) > 0 || plain === "") return JSON.stringify(plain);
    const at = random(plain.length);
    const escape = `\\u${plain.charCodeAt(at).toString(16).padStart(4, "0")}`;
    return `"${plain.slice(0, at)}${escape}${plain.slice(at + 1)}"`;
  };
  const shuffled = (members: string[]): string => {
    for (let index = members.length - 1; index > 0; index--) {
      const other = random(index + 1);
      [members[index], members[other]] = [members[other]!, members[index]!];
    }
    return `{${space()}${members.join(`${space()},${space()}`)}${space()}}`;
  };
  const member = (name: string, value: string): string => `${text(name)}${space()}:${space()}${value}`;
  const counter = (): string =>
    [
      `"${random(100_000)}"`,
      `${random(100_000)}`,
      '"07"',
      '"-1"',
      '"1e3"',
      "null",
      '""',
      '"9999999999999999"',
      "01",
    ][random(10) < 7 ? 0 : random(9)]!;
  const bytes = Buffer.from(Array.from({ length: 1 + random(40) }, () => random(256)));
  const payload = random(20) === 0 ? "not base64!" : bytes.toString("base64");
  const media = [
    member("payload", random(10) === 0 ? JSON.stringify(payload).replaceAll("/", "\\/") : text(payload)),
  ];
  if (random(4) > 0) media.push(member("chunk", counter()));
  if (random(4) > 0) media.push(member("timestamp", counter()));
  if (random(4) > 0) media.push(member("track", text(random(10) === 0 ? "outbound" : "inbound")));
  if (random(10) === 0) media.push(member("payload", text("AAAA")));
  if (random(10) === 0) media.push(member(["chunk", "x", "é"][random(3)]!, text("5")));
  const top = [member("event", text(random(20) === 0 ? "mark" : "media")), member("media", shuffled(media))];
  if (random(3) > 0) top.push(member("sequenceNumber", counter()));
  if (random(3) > 0) top.push(member("streamSid", text("MZ1")));
  if (random(10) === 0) top.push(member("extra", ['{"a":1}', "[]", "true", "-1.5", '"\\n"'][random(5)]!));
  if (random(15) === 0)
    top.push(member("media", ["7", '{"payload":"AAAA"}', '"x"', '{"chunk":"5"}'][random(4)]!));
  if (random(15) === 0) top.push(member("event", text("media")));
  return space() + shuffled(top) + space();
}

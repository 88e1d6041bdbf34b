import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { Arena } from "#runtime/media";
import { Admissions } from "./admissions.js";
import { MediaTokens } from "./media-token.js";

const KEY = Buffer.alloc(32, 7);

void t.test("a token is good for its carrier and call, until it expires", async (t) => {
  const tokens = new MediaTokens(KEY);
  const token = tokens.issue("twilio", "call-1", 1_000_000);
  t.match(token, /^[\w.-]+$/, "safe in a path");
  t.strictSame(tokens.check("twilio", token, 999_999), { kind: "good", callId: "call-1" });
  t.strictSame(tokens.check("twilio", token, 1_000_000), { kind: "expired", callId: "call-1" });
  t.match(tokens.check("signalwire", token, 0), { kind: "forged" });
  t.match(new MediaTokens(Buffer.alloc(32, 8)).check("twilio", token, 0), { kind: "forged" });
});

void t.test("no change to any character of a token passes", async (t) => {
  const tokens = new MediaTokens(KEY);
  const token = tokens.issue("twilio", "call-1", 1_000_000);
  for (let at = 0; at < token.length; at++) {
    for (const other of ["A", "0", ".", "-"]) {
      if (token[at] === other) continue;
      const changed = token.slice(0, at) + other + token.slice(at + 1);
      if (tokens.check("twilio", changed, 0).kind !== "forged") t.fail(changed);
    }
  }
  for (const wrong of [
    "",
    ".",
    "..",
    token.slice(0, -1),
    `${token}A`,
    `${token}.`,
    `.${token}`,
    "x".repeat(10_000),
  ]) {
    t.equal(tokens.check("twilio", wrong, 0).kind, "forged", wrong.slice(0, 80));
  }
  // The parts cannot be shifted against each other.
  t.not(tokens.issue("twilio", "call", 36 ** 2), tokens.issue("twilio", "call-", 36));
});

function setUp() {
  const clock = new VirtualClock();
  const expired: string[] = [];
  const admissions = new Admissions(clock, 30_000, (callId) => expired.push(callId));
  const side = Arena.create({ slotCount: 1 }).edgeSide(0);
  const admit = (callId: string, carrierCallId: string) =>
    admissions.add("twilio", carrierCallId, {
      kind: "admitted",
      callId,
      tenantId: "t",
      epoch: 1,
      side,
      ringShard() {},
    });
  return { clock, admissions, expired, admit };
}

void t.test("an admitted call leaves once: taken, expired by time, or expired by the carrier", async (t) => {
  const { clock, admissions, expired, admit } = setUp();
  for (const name of ["a", "b", "c"]) admit(`call-${name}`, `CA-${name}`);
  t.equal(admissions.take("call-a")?.carrierCallId, "CA-a");
  t.equal(admissions.take("call-a"), null);
  t.equal(clock.timerCount, 2, "no timer is left for a call that is not waiting");
  admissions.expire("call-b");
  admissions.expire("call-b");
  clock.advance(29_999);
  t.strictSame(expired, ["call-b"]);
  clock.advance(1);
  t.strictSame(expired, ["call-b", "call-c"]);
  t.equal(admissions.take("call-c"), null);
  clock.advance(60_000);
  t.strictSame(expired, ["call-b", "call-c"]);
  t.equal(clock.timerCount, 0);
  t.equal(admissions.waitingCount, 0);
});

void t.test("a call is found by the carrier's id while it waits, and only with that carrier", async (t) => {
  const { admissions, admit } = setUp();
  const call = admit("call-a", "CA-a");
  t.equal(admissions.find("twilio", "CA-a"), call);
  t.equal(admissions.find("signalwire", "CA-a"), null);
  admissions.take("call-a");
  t.equal(admissions.find("twilio", "CA-a"), null);
  admit("call-b", "CA-a");
  t.equal(admissions.find("twilio", "CA-a")?.admitted.callId, "call-b");
  admissions.expireAll();
  t.equal(admissions.find("twilio", "CA-a"), null);
});

import t from "tap";
import { signForm } from "#bench/caller";
import { carrierAccounts } from "./carrier-accounts.js";
import { resolveSettings } from "./settings.js";

const URL = "https://voice.example/voice";
const FORM = { CallSid: "CA1", From: "+15550100001" };

/** Of each carrier, by name: whose calls are ours, and which of these keys it accepts a signature of. */
function accountsWith(environment: Record<string, string>, keys: readonly string[] = []) {
  const found = carrierAccounts(resolveSettings(environment)).map(({ carrier, account }) => {
    const form = new URLSearchParams(FORM);
    const body = Buffer.from(form.toString());
    const accepts = keys.filter((key) => {
      const signature = signForm(key, URL, FORM);
      const headers = new Map(carrier.headerNames.map((name) => [name, signature]));
      return carrier.verifyWebhook({ url: URL, headers, body, form });
    });
    return [carrier.name, { account, verifies: carrier.verifies, accepts }] as const;
  });
  return Object.fromEntries(found);
}

void t.test("without keys every carrier is there, unsigned, and any account's calls are ours", async (t) => {
  const none = { account: undefined, verifies: false, accepts: [] };
  t.same(accountsWith({}, [""]), { twilio: none, signalwire: none });
});

void t.test("each carrier has its own account, and accepts its key and the next", async (t) => {
  const accounts = accountsWith(
    {
      TWILIO_ACCOUNT_SID: "AC1",
      TWILIO_AUTH_TOKEN: "twilio",
      TWILIO_AUTH_TOKEN_NEXT: "twilio-next",
      SIGNALWIRE_PROJECT_ID: "project",
      SIGNALWIRE_SIGNING_KEY: "signalwire",
      SIGNALWIRE_SIGNING_KEY_NEXT: "signalwire-next",
    },
    ["twilio", "twilio-next", "signalwire", "signalwire-next", "another", ""],
  );
  t.same(accounts, {
    twilio: { account: "AC1", verifies: true, accepts: ["twilio", "twilio-next"] },
    signalwire: { account: "project", verifies: true, accepts: ["signalwire", "signalwire-next"] },
  });
});

void t.test("one key alone, be it the next, is enough to insist on a signature", async (t) => {
  const { twilio, signalwire } = accountsWith({ TWILIO_AUTH_TOKEN_NEXT: "next" }, ["next"]);
  t.match([twilio, signalwire], [{ verifies: true, accepts: ["next"] }, { verifies: false }]);
});

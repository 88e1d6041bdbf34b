import { parse, stringify } from "node:querystring";
import t from "tap";
import { seededRandom } from "#runtime/actor";
import twilio from "twilio";
import type { SignedRequest, WebhookRequest } from "./carrier.js";
import { createSignalWire } from "./signalwire.js";
import { isSignedForm, isSignedUpgrade, joinParameters, sign } from "./signature.js";
import { createTwilio } from "./twilio.js";

const TOKEN = "vector-token-0001";
const carrier = createTwilio({ authTokens: [TOKEN] });

function request(url: string, signature: string, form: URLSearchParams | null, body = ""): WebhookRequest {
  const headers = new Map([["x-twilio-signature", signature]]);
  return { url, headers, form, body: Buffer.from(body) };
}

function upgrade(url: string, signature: string): SignedRequest {
  return { url, headers: new Map([["x-twilio-signature", signature]]) };
}

const FORM = new URLSearchParams({
  CallSid: "CA00000000000000000000000000000001",
  From: "+15550100001",
  To: "+15550100002",
  CallStatus: "ringing",
  Direction: "inbound",
});
const FORM_URL = "https://edge.example.test/voice/inbound?tenant=t1";

void t.test("the published vectors hold: form, with port, JSON, GET", async (t) => {
  t.ok(carrier.verifyWebhook(request(FORM_URL, "iY6s/pZNzFj6XGzw1amMQyRfBpo=", FORM)));
  // Signed by Twilio with the standard port, known to us without; and the other way round.
  t.ok(carrier.verifyWebhook(request(FORM_URL, "3MEr4K9kdeiyyd165axw5ekcYHg=", FORM)));
  const withPort = FORM_URL.replace(".test/", ".test:443/");
  t.ok(carrier.verifyWebhook(request(withPort, "iY6s/pZNzFj6XGzw1amMQyRfBpo=", FORM)));
  t.ok(carrier.verifyWebhook(request(withPort, "3MEr4K9kdeiyyd165axw5ekcYHg=", FORM)));

  const jsonUrl =
    "https://edge.example.test/hooks/json?bodySHA256=2c0666189e06a136563bd761c2f72f38f9bac28ae28ac660caca87f3e6e3fa6f";
  const signature = "gMtIWHKrFM28pIkC1bCLM5zl3/k=";
  t.ok(carrier.verifyWebhook(request(jsonUrl, signature, null, '{"event":"demo","n":1}')));
  t.notOk(carrier.verifyWebhook(request(jsonUrl, signature, null, '{"event":"demo","n":2}')), "another body");
  t.notOk(carrier.verifyWebhook(request("https://edge.example.test/hooks/json", signature, null, "{}")));

  const getUrl = "https://edge.example.test/voice/inbound?From=%2B15550100001&CallStatus=ringing";
  t.ok(
    carrier.verifyWebhook(request(getUrl, "AfmvpcvEGZ1KJ3RNaqFwG4t2cyw=", new URLSearchParams())),
    "nothing is appended for GET",
  );
});

void t.test("the upgrade vectors hold, with and without port and trailing slash", async (t) => {
  const url = "wss://edge.example.test/media/twilio";
  const plain = "rznntnd40E6uwIgoPxgb1pMn+ag=";
  const slash = "fOSRDYVyTLaEwrY0+mTbJfr+2ME=";
  t.equal(sign(TOKEN, url), plain);
  for (const signature of [plain, slash, sign(TOKEN, "wss://edge.example.test:443/media/twilio")]) {
    t.ok(carrier.verifyUpgrade(upgrade(url, signature)), signature);
    t.ok(carrier.verifyUpgrade(upgrade(`${url}/`, signature)), signature);
  }
  t.notOk(
    carrier.verifyUpgrade(upgrade(url, sign(TOKEN, "https://edge.example.test/media/twilio"))),
    "https",
  );
  t.notOk(carrier.verifyUpgrade(upgrade(url, "")));
  t.notOk(isSignedUpgrade([], plain, url));
});

void t.test("a wrong URL, parameter, key or no signature is refused", async (t) => {
  const good = "iY6s/pZNzFj6XGzw1amMQyRfBpo=";
  const changed = new URLSearchParams([...FORM, ["Extra", ""]]);
  t.notOk(carrier.verifyWebhook(request(FORM_URL, good, changed)), "the signature covers all parameters");
  t.notOk(carrier.verifyWebhook(request(FORM_URL.replace("t1", "t2"), good, FORM)));
  t.notOk(carrier.verifyWebhook(request(FORM_URL.replace("https", "http"), good, FORM)));
  t.notOk(carrier.verifyWebhook(request(FORM_URL, "", FORM)));
  t.notOk(carrier.verifyWebhook({ ...request(FORM_URL, good, FORM), headers: new Map() }));
  t.notOk(createTwilio({ authTokens: ["other"] }).verifyWebhook(request(FORM_URL, good, FORM)));
});

void t.test("two tokens are accepted while one replaces the other", async (t) => {
  const rotating = createTwilio({ authTokens: ["next", TOKEN] });
  t.ok(rotating.verifyWebhook(request(FORM_URL, "iY6s/pZNzFj6XGzw1amMQyRfBpo=", FORM)));
  t.ok(
    rotating.verifyWebhook(
      request(FORM_URL, sign("next", FORM_URL + joinParameters(FORM, "distinctSorted")), FORM),
    ),
  );
});

void t.test("SignalWire: its own header or Twilio's, repeated parameters as they came", async (t) => {
  const signalwire = createSignalWire({ signingKeys: [TOKEN] });
  const form = new URLSearchParams([
    ["b", "2"],
    ["a", "z"],
    ["b", "1"],
    ["b", "2"],
  ]);
  const signature = sign(TOKEN, `${FORM_URL}azb2b1b2`);
  const base = { url: FORM_URL, form, body: new Uint8Array() };
  t.ok(signalwire.verifyWebhook({ ...base, headers: new Map([["x-signalwire-signature", signature]]) }));
  t.ok(signalwire.verifyWebhook({ ...base, headers: new Map([["x-twilio-signature", signature]]) }));
  t.notOk(
    signalwire.verifyWebhook({
      ...base,
      headers: new Map([
        ["x-signalwire-signature", "wrong"],
        ["x-twilio-signature", signature],
      ]),
    }),
    "its own header wins",
  );
  t.notOk(carrier.verifyWebhook(request(FORM_URL, signature, form)), "Twilio sorts and drops doubles");
  t.ok(carrier.verifyWebhook(request(FORM_URL, sign(TOKEN, `${FORM_URL}azb1b2`), form)));
});

/** Whole numbers below a limit, the same for the same seed. */
function generator(seed: number): (limit: number) => number {
  const random = seededRandom(seed);
  return (limit) => Math.floor(random.next() * limit);
}

const seed = Number(process.env["TEST_SEED"] ?? Date.now() % 2 ** 31);

void t.test(`twilio's own package agrees on random requests (TEST_SEED=${seed})`, async (t) => {
  const random = generator(seed);
  const alphabet = [
    "a",
    "B",
    "Z",
    "0",
    "9",
    " ",
    "+",
    "'",
    "&",
    "=",
    "%",
    "é",
    "日",
    "€",
    "~",
    "(",
    "!",
    "-",
    ":",
  ];
  const word = (most: number): string =>
    Array.from({ length: random(most) }, () => alphabet[random(alphabet.length)]).join("");
  const hosts = [
    "edge.example.test",
    "edge.example.test:443",
    "edge.example.test:8443",
    "[::1]:8080",
    "u:p@h.test",
  ];
  let goodCount = 0;
  for (let round = 0; round < 1_000; round++) {
    const form = new URLSearchParams();
    const parameters: Record<string, string | string[]> = {};
    for (let index = random(8); index > 0; index--) {
      const name = `${word(4)}k${random(20)}`;
      const values = Array.from({ length: random(6) === 0 ? 3 : 1 }, () => word(6));
      if (parameters[name] !== undefined) continue;
      parameters[name] = values.length === 1 ? values[0]! : values;
      for (const value of values) form.append(name, value);
    }
    const query = random(2) === 0 ? "" : `?q=${encodeURIComponent(word(5))}&r='x'&s=a+b`;
    const url = `${random(2) === 0 ? "https" : "http"}://${hosts[random(hosts.length)]}/voice/${random(100)}${query}`;
    // Signed by their code over any of the forms it may be signed in, or spoilt.
    const candidates = [
      url,
      url.replace(/(test|\]|h\.test)(?=\/)/, "$1:443"),
      url.replace(":443/", "/"),
      new URL(url).toString(),
      url.replace(/\?(.*)$/, (_, query: string) => `?${stringify(parse(query))}`),
    ];
    const signed = candidates[random(candidates.length)]!;
    let signature = twilio.getExpectedTwilioSignature(TOKEN, signed, parameters);
    if (random(4) === 0) signature = `x${signature.slice(1)}`;
    const theirs = twilio.validateRequest(TOKEN, signature, url, parameters);
    const ours = isSignedForm([TOKEN], signature, url, form, "distinctSorted");
    if (theirs) goodCount++;
    if (ours !== theirs) {
      t.fail(`we say ${ours}, they say ${theirs}`, { url, signed, parameters, seed, round });
      return;
    }
  }
  t.ok(goodCount > 300, `${goodCount} of 1000 were good`);
});

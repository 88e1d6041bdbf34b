import t from "tap";
import { parseMarkup } from "./markup.js";
import { signForm, signUpgrade } from "./signature.js";

void t.test("reads stream, parameters and redirect in order", (t) => {
  const verbs = parseMarkup(`<?xml version="1.0" encoding="UTF-8"?>
    <Response>
      <Connect>
        <Stream url="wss://edge.example.test/twilio/media/t0k" statusCallback="https://edge.example.test/cb">
          <Parameter name="session" value="a &amp; b"/>
        </Stream>
      </Connect>
      <Redirect method="POST">https://edge.example.test/voice/after?session=1&amp;n=2</Redirect>
    </Response>`);
  t.same(verbs, [
    {
      kind: "connectStream",
      url: "wss://edge.example.test/twilio/media/t0k",
      parameters: { session: "a & b" },
      bearerToken: null,
    },
    { kind: "redirect", url: "https://edge.example.test/voice/after?session=1&n=2", method: "POST" },
  ]);
  t.end();
});

void t.test("reads refusals, goodbyes and what it does not act out", (t) => {
  t.same(parseMarkup("<Response><Dial>+12025550101</Dial></Response>"), [
    { kind: "dial", number: "+12025550101" },
  ]);
  t.same(parseMarkup("<Response><Enqueue>front &amp; desk</Enqueue></Response>"), [
    { kind: "enqueue", name: "front & desk" },
  ]);
  t.same(parseMarkup('<Response><Reject reason="busy"/></Response>'), [{ kind: "reject", reason: "busy" }]);
  t.same(parseMarkup("<Response/>"), []);
  t.same(
    parseMarkup('<Response><Say>Hi</Say><Pause length="2"/><Gather>q</Gather><Hangup/></Response>').map(
      (verb) => verb.kind,
    ),
    ["say", "pause", "other", "hangup"],
  );
  t.end();
});

void t.test("refuses what a carrier would refuse, and says why", (t) => {
  const stream = (attributes: string, children = ""): string =>
    `<Response><Connect><Stream ${attributes}>${children}</Stream></Connect></Response>`;
  const cases: [string, RegExp][] = [
    ["<Response><Hangup></Response>", /not XML/],
    ["<Answer/>", /<Response>/],
    [stream('url="ws://edge.example.test/m"'), /31922/],
    [stream('url="wss://edge.example.test/m?token=1"'), /31920/],
    [stream('url="/m"'), /31923/],
    [stream('url="wss://e.test/m" track="both_tracks"'), /31941/],
    [stream('url="wss://e.test/m"', `<Parameter name="n" value="${"v".repeat(500)}"/>`), /too long/],
    ["<Response><Connect/></Response>", /exactly one/],
  ];
  for (const [xml, reason] of cases) {
    t.throws(() => parseMarkup(xml), { code: "CALLER_MARKUP_INVALID", message: reason }, xml);
  }
  t.end();
});

void t.test("signs as the carriers do", (t) => {
  const token = "vector-token-0001";
  const parameters = {
    CallSid: "CA00000000000000000000000000000001",
    From: "+15550100001",
    To: "+15550100002",
    CallStatus: "ringing",
    Direction: "inbound",
  };
  t.equal(
    signForm(token, "https://edge.example.test/voice/inbound?tenant=t1", parameters),
    "iY6s/pZNzFj6XGzw1amMQyRfBpo=",
  );
  t.equal(signUpgrade(token, "wss://edge.example.test/media/twilio"), "rznntnd40E6uwIgoPxgb1pMn+ag=");
  t.end();
});

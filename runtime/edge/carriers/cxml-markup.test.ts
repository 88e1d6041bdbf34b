import { XMLParser } from "fast-xml-parser";
import t from "tap";
import twilio from "twilio";
import { create } from "xmlbuilder2";
import { createSignalWire } from "./signalwire.js";
import { createTwilio } from "./twilio.js";

const carrier = createTwilio({ authTokens: [] });
const signalwire = createSignalWire({ signingKeys: [], codec: "L16@16000h" });
const parser = new XMLParser({ ignoreAttributes: false, trimValues: false, parseTagValue: false });

interface Element {
  readonly nodeName: string;
  readonly textContent: string;
  getAttribute(name: string): string | null;
}

/** As a tree, so that quoting and spacing do not matter. */
function tree(markup: string): unknown {
  return parser.parse(markup);
}

const PLAN = {
  mediaUrl: "wss://edge.example.test/twilio/media/a.b.c",
  streamStatusUrl: "https://edge.example.test/twilio/stream-status",
  afterUrl: "https://edge.example.test/twilio/after/call-1?x=1&y=2",
};

void t.test("the markup says what Twilio's own builder says", async (t) => {
  const connect = new twilio.twiml.VoiceResponse();
  connect.connect().stream({ url: PLAN.mediaUrl, statusCallback: PLAN.streamStatusUrl });
  connect.redirect({ method: "POST" }, PLAN.afterUrl);
  t.strictSame(tree(carrier.connectMarkup(PLAN)), tree(connect.toString()));

  const busy = new twilio.twiml.VoiceResponse();
  busy.reject({ reason: "busy" });
  t.strictSame(tree(carrier.overflowMarkup({ kind: "busy" })), tree(busy.toString()));

  const message = new twilio.twiml.VoiceResponse();
  const text = `Nous sommes fermés & "complets" <ce> soir. ]]> ☎`;
  message.say({ language: "fr-FR" }, text);
  message.hangup();
  t.strictSame(
    tree(carrier.overflowMarkup({ kind: "message", text, language: "fr-FR", audioUrl: null })),
    tree(message.toString()),
  );
  const played = new twilio.twiml.VoiceResponse();
  const audioUrl = "https://edge.example.test/overflow/n4me.wav";
  played.play(audioUrl);
  played.hangup();
  t.strictSame(
    tree(carrier.overflowMarkup({ kind: "message", text, language: "fr-FR", audioUrl })),
    tree(played.toString()),
  );
  t.strictSame(tree(carrier.sayMarkup(text, "fr-FR")), tree(message.toString()));

  const forward = new twilio.twiml.VoiceResponse();
  forward.dial("+12025550101");
  t.strictSame(
    tree(carrier.overflowMarkup({ kind: "forward", number: "+12025550101" })),
    tree(forward.toString()),
  );

  const queue = new twilio.twiml.VoiceResponse();
  queue.enqueue("front <desk>");
  t.strictSame(tree(carrier.overflowMarkup({ kind: "queue", name: "front <desk>" })), tree(queue.toString()));

  const hangUp = new twilio.twiml.VoiceResponse();
  hangUp.hangup();
  t.strictSame(tree(carrier.hangUpMarkup()), tree(hangUp.toString()));
});

void t.test("what XML cannot hold does not break the markup", async (t) => {
  const markup = carrier.sayMarkup("bell \u0007 and half \ud800 a pair", "en");
  t.match(tree(markup), { Response: { Say: { "@_language": "en" } } });
  t.notOk(markup.includes("\u0007") || markup.includes("\ud800"), markup);
});

void t.test("whatever a tenant writes is one text, in an element and in an attribute", async (t) => {
  const texts = [
    "plain",
    "",
    "<Hangup/>",
    `"/><Dial>1</Dial>`,
    "a & b &amp; c",
    "two\nlines\tand\r\nmore",
    "'é☎𝄞 ]]> \u0085",
  ];
  for (const text of texts) {
    const say = create(carrier.sayMarkup(text, text)).root().first().node as unknown as Element;
    t.equal(say.nodeName, "Say");
    t.equal(say.textContent, text);
    t.equal(say.getAttribute("language"), text);
  }
});

void t.test("SignalWire's stream names its codec", async (t) => {
  t.match(tree(signalwire.connectMarkup(PLAN)), {
    Response: { Connect: { Stream: { "@_codec": "L16@16000h", "@_url": PLAN.mediaUrl } } },
  });
});

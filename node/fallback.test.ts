/**
 * Providers fail in mid-reply and the caller does not notice: over real sockets, with the vendors' own clients, read back
 * from the audio that reached the phone.
 */
import t from "tap";
import { factsOf, plainWords, startTestNode } from "./node.fixture.js";

// Each test has a node of its own; they run side by side.
t.jobs = 2;

const STORY =
  "Our practice has looked after families in this town for more than twenty years. Three dentists offer " +
  "cleanings, fillings, crowns and whitening.";
const TENANT = "bright-smile-dental";

void t.test(
  "a voice dies in mid-reply: the next says the rest, every word once",
  { buffered: true },
  async (t) => {
    const server = await startTestNode(t, {
      tenants: {
        [TENANT]: {
          tts: { fallbacks: [{ provider: "elevenlabs", model: "eleven_flash_v2_5", voice: "second" }] },
        },
      },
    });
    server.emulators.groq.script(/tell me a story/i, { text: STORY });
    const call = await server.call();
    await call.waitForReply(0);
    server.emulators.cartesia.contextFaults.arm(
      { kind: "dropSocket", afterChunks: 12 },
      { count: Number.POSITIVE_INFINITY },
    );
    const said = await call.say("Please tell me a story.");
    await call.waitForHeard(() => /whitening/.test(call.heardText(said.endedAtMs)));
    call.hangUp();
    const journal = await server.journal(call);
    const failed = factsOf(journal, "providerFailed");
    t.ok(failed.length > 0 && failed.every(({ fallback }) => fallback !== null), "nobody had to apologise");
    t.ok(failed.some(({ fallback }) => fallback === "elevenlabs"));
    t.same(plainWords(call.heardText(said.endedAtMs)), plainWords(STORY), "the reply");
    t.match(
      (await server.admin("/metrics")).text,
      /lumentra_provider_fallbacks_total\{from="cartesia",to="\w+"\} [1-9]/,
    );
  },
);

void t.test(
  "a model breaks off in its answer: another ends it, no word twice",
  { buffered: true },
  async (t) => {
    const server = await startTestNode(t, {
      tenants: { [TENANT]: { llm: { fallbacks: [{ provider: "openai", model: "gpt-4.1-mini" }] } } },
    });
    const { groq, openai } = server.emulators.models;
    groq.script(/tell me a story/i, { text: STORY });
    openai.script(/./, { text: STORY }); // begins all over again, as models do
    const call = await server.call();
    await call.waitForReply(0);
    groq.faults.arm({ kind: "cut", afterTokens: 9 }, { count: Number.POSITIVE_INFINITY });
    const said = await call.say("Please tell me a story.");
    await call.waitForHeard(() => /whitening/.test(call.heardText(said.endedAtMs)));
    await call.waitForSilence(500); // the word's mark is on its way back
    call.hangUp();
    const journal = await server.journal(call);
    t.same(factsOf(journal, "agentTurn").at(-1)!.pii.heard, STORY);
    t.same(plainWords(call.heardText(said.endedAtMs)), plainWords(STORY), "the reply");
    t.notOk(factsOf(journal, "providerFailed").some(({ fallback }) => fallback === null));
  },
);

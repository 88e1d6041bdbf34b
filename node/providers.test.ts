/**
 * Whole calls on other providers than the first choices, with the vendors' own wire protocols: real sockets, real
 * audio, read back from what reached the phone.
 */
import t from "tap";
import { type PhoneCall, runScript } from "#bench/caller";
import { factsOf, plainWords, startTestNode } from "./node.fixture.js";

/** By the number it is dialled by. */
const SETS = {
  "+12025550111": {
    stt: { provider: "deepgram-flux" },
    llm: { provider: "anthropic" },
    tts: { provider: "elevenlabs" },
  },
  "+12025550112": {
    stt: { provider: "assemblyai" },
    llm: { provider: "openai" },
    tts: { provider: "openai-tts" },
  },
  "+12025550113": {
    stt: { provider: "whisper" },
    llm: { provider: "ollama" },
    tts: { provider: "piper" },
  },
  "+12025550114": {
    stt: { provider: "whisper" },
    llm: { provider: "vllm" },
    tts: { provider: "piper" },
  },
} as const;

const server = await startTestNode(t, {
  tenants: Object.fromEntries(
    Object.entries(SETS).map(([number, set], index) => [`set-${index}`, { numbers: [number], ...set }]),
  ),
});

t.jobs = 4;

for (const [number, { stt, llm, tts }] of Object.entries(SETS)) {
  const names = [stt, llm, tts].map(({ provider }) => provider);
  void t.test(`a whole conversation on ${names.join(", ")}`, { buffered: true }, async (t) => {
    const phone: PhoneCall = await server.call({ to: number });
    const { result, failure } = await runScript(phone, [
      { kind: "waitForAgent" },
      { kind: "say", text: "Is there parking?" },
      { kind: "waitForAgent" },
      { kind: "say", text: "Thank you, goodbye." },
      { kind: "waitForAgentToHangUp" },
    ]);
    t.equal(failure, null);
    t.equal(result.outcome.kind, "agentHungUp");
    t.same(result.violations, []);
    const journal = await server.journal(phone);
    t.same(
      factsOf(journal, "callerTurn").map((turn) => turn.pii.said.toLowerCase().replace(/[^a-z ]/g, "")),
      ["is there parking", "thank you goodbye"],
    );
    const agentTurns = factsOf(journal, "agentTurn");
    const answers = agentTurns.filter(({ source }) => source === "model" || source === "quickReply");
    t.match(answers[0]!.pii.heard, /free parking behind the building/);
    const written = agentTurns.flatMap(({ pii }) => plainWords(pii.heard));
    t.same(plainWords(phone.heardText()), written, "what was heard");
    t.same(factsOf(journal, "providerFailed"), []);
    t.same(factsOf(journal, "callEnded")[0]!.outcome, { kind: "agentHungUp" });
  });
}

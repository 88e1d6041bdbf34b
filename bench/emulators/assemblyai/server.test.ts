/** AssemblyAI's streaming sessions at the wire: turns, refusals by close codes as the vendor's, and faults. */
import t from "tap";
import { exactly } from "../distribution.js";
import { startSteered } from "../control.fixture.js";
import { Probe } from "../probe.fixture.js";
import { EMULATOR_API_KEY } from "../options.js";
import { silence, speech } from "../deepgram/speech.fixture.js";

const { emulators, arm, info } = await startSteered(t, {
  latency: { sttFinalMs: exactly(1), sttInterimMs: exactly(1) },
});
const AUTHORISED = { authorization: EMULATOR_API_KEY };
const QUERY = "sample_rate=8000&encoding=pcm_mulaw&format_turns=true";
const address = (query = QUERY): string => `${emulators.urls.assemblyai}/v3/ws?${query}`;

void t.test("a session begins, hears a turn, tells its end twice, and ends", async (t) => {
  const probe = await Probe.open(address(), AUTHORISED);
  await probe.next(({ type }) => type === "Begin");
  const { bytes } = speech("Good morning, Lucia.");
  for (const audio of [bytes, silence(500)]) {
    // A message holds 50 to 1,000 ms.
    for (let at = 0; at < audio.length; at += 800) probe.socket.send(audio.subarray(at, at + 800));
  }
  probe.send({ type: "ForceEndpoint" });
  await probe.next((message) => message["turn_is_formatted"] === true);
  const ends = probe.ofType("Turn").filter((turn) => turn["end_of_turn"] === true);
  t.match(ends, [
    { turn_is_formatted: false },
    { turn_is_formatted: true, transcript: "Good morning, Lucia." },
  ]);
  probe.send({ type: "Terminate" });
  await probe.next(({ type }) => type === "Termination");
  await probe.closed;
});

void t.test("who may not is told by the close code, after the upgrade", async (t) => {
  const codeOf = async (url: string, headers: Record<string, string> = AUTHORISED): Promise<number> =>
    (await (await Probe.open(url, headers)).closed).code;
  t.equal(await codeOf(address(), { authorization: "other" }), 1008);
  t.equal(await codeOf(address("encoding=opus")), 3006);
  t.equal(await codeOf(address(`${QUERY}&speech_model=nova-3`)), 3006);
  t.equal(await codeOf(address(`${QUERY}&keyterms_prompt=Ava`)), 3006);
  t.equal((await Probe.refused(`${emulators.urls.assemblyai}/v2/ws?${QUERY}`, AUTHORISED)).status, 404);
  emulators.setLimits({ assemblyaiSessions: 0 });
  t.equal(await codeOf(address()), 3009);
  emulators.setLimits({ assemblyaiSessions: 10 });
});

void t.test("the control endpoint's faults strike", async (t) => {
  await arm({ target: "assemblyai", fault: { kind: "refuse", status: 503 } });
  t.equal((await Probe.refused(address(), AUTHORISED)).status, 503);
  const probe = await Probe.open(address(), AUTHORISED);
  await probe.next(({ type }) => type === "Begin");
  t.match((await info())["assemblyai"], { live: 1 });
  emulators.assemblyai.live[0]!.inject({ kind: "close", code: 3005, reason: "Internal" });
  t.same(await probe.closed, { code: 3005, reason: "Internal" });
});

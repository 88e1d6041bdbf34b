/** The emulators as a process of their own: started, steered from here, and gone when nobody holds them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import Groq from "groq-sdk";
import t from "tap";
import { AUTHORISED, silence } from "../emulators/deepgram/speech.fixture.js";
import { HEADERS, audioOf, frame, heardIn } from "../emulators/cartesia/voice.fixture.js";
import { Probe } from "../emulators/probe.fixture.js";
import { startEmulatorProcess } from "./emulator-process.js";
import { EmulatorRemote } from "./emulator-remote.js";

void t.test("another process can steer everything, and read the log", async (t) => {
  const emulators = await startEmulatorProcess({
    seed: 3,
    latency: { llmFirstTokenMs: { medianMs: 1, jitterMs: 0 } },
  });
  t.teardown(() => emulators.stop());
  const { remote, environment: env } = emulators;
  t.equal(env["GROQ_URL"], emulators.urls.groq);
  t.match(await remote.info(), { urls: emulators.urls, latency: { llmFirstTokenMs: { medianMs: 1 } } });

  const groq = new Groq({ apiKey: env["GROQ_API_KEY"]!, baseURL: env["GROQ_URL"]!, maxRetries: 0 });
  const ask = async (callId: string): Promise<string> => {
    const stream = await groq.chat.completions.create({
      model: "openai/gpt-oss-20b",
      stream: true,
      user: callId,
      messages: [{ role: "user", content: "Hello" }],
    });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    return text;
  };
  await remote.script({
    match: "hello",
    callId: "c1",
    reply: { parts: [{ text: "Scripted" }, { gate: "g" }, { text: "." }] },
  });
  const scripted = ask("c1");
  t.match(await ask("c2"), /help you/);
  await remote.openGate("g");
  t.equal(await scripted, "Scripted.");
  t.match(await remote.log({ kind: "llm", callId: "c1" }), [{ reply: "Scripted.", aborted: false }]);
  const lastSeq = (await remote.log()).at(-1)!.seq;
  t.same(await remote.log({ since: lastSeq }), []);

  await remote.arm({ target: "groq", fault: { kind: "status", status: 503 }, callId: "c3" });
  t.match(await ask("c2"), /help you/);
  await t.rejects(ask("c3"), { message: /503/ });
  await remote.arm({ target: "groq", fault: { kind: "status", status: 503 } });
  await remote.disarmAll();
  await remote.clearScripts();
  t.match(await ask("c1"), /help you/);
  const armed = { target: "groq", kind: "status" };
  const faults = [
    { ...armed, befallen: 1 },
    { ...armed, befallen: 0 },
  ];
  t.same(await remote.faults(), faults, "who plays a scenario sees which of its faults befell nobody");

  const path = "/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000&tag=c4";
  const probe = await Probe.open(`${emulators.urls.deepgram}${path}`, AUTHORISED);
  probe.socket.send(silence(20));
  await probe.roundTrip();
  t.equal(await remote.inject({ target: "deepgram", fault: { kind: "drop" }, callId: "other" }), 0);
  t.equal(
    await remote.inject({
      target: "deepgram",
      fault: { kind: "close", code: 1011, reason: "x" },
      callId: "c4",
    }),
    1,
  );
  t.same(await probe.closed, { code: 1011, reason: "x" });

  await remote.setLimits({ deepgramStreams: 0 });
  t.equal((await Probe.refused(`${emulators.urls.deepgram}${path}`, AUTHORISED)).status, 429);
  await remote.setLatency({ sttFinalMs: 300 });
  t.match(await remote.info(), { latency: { sttFinalMs: { medianMs: 300, jitterMs: 30 } } });
  await remote.setRates({ llmTokensPerSecond: 50 });
  await t.rejects(remote.setRates({ ttsRealtimeFactor: 0 }), { message: /ttsRealtimeFactor/ });
  await remote.clearLog();
  t.same(await remote.log(), []);
});

void t.test("the spoken voice is heard by the same decoder", async (t) => {
  const emulators = await startEmulatorProcess({ voice: "spoken", ttsFactor: 100 });
  t.teardown(() => emulators.stop());
  const probe = await Probe.open(`${emulators.urls.cartesia}/tts/websocket`, HEADERS);
  probe.send(frame("c", "Good morning, Lucia.", { continue: false }));
  await probe.next((message) => message["type"] === "done");
  const audio = audioOf(probe.messages);
  t.equal(heardIn(audio), "Good morning, Lucia.");
  await probe.close();
});

void t.test("a command that makes no sense is refused with a reason", async (t) => {
  const emulators = await startEmulatorProcess();
  t.teardown(() => emulators.stop());
  const { remote, controlUrl } = emulators;
  // @ts-expect-error no such fault
  await t.rejects(remote.arm({ target: "groq", fault: { kind: "explode" } }), { message: /kinds: status/ });
  // @ts-expect-error a socket is of no call
  const ofNobody = remote.arm({ target: "cartesiaSocket", fault: { kind: "dropHandshake" }, callId: "c" });
  await t.rejects(ofNobody, { message: /callId/ });
  // @ts-expect-error no such latency
  await t.rejects(remote.setLatency({ llm: 3 }), { message: /llm/ });
  await t.rejects(remote.script({ match: "(", reply: {} }), { message: /regular expression/i });
  t.equal((await fetch(`${controlUrl}/control/other`)).status, 404);
  t.equal((await fetch(`${controlUrl}/control/faults`, { method: "POST", body: "{" })).status, 400);
});

void t.test(
  "the process ends on SIGTERM, when it is stopped, and when its standard input goes",
  async (t) => {
    const closed = await startEmulatorProcess();
    await closed.stop();
    await closed.stop();
    await t.rejects(new EmulatorRemote(closed.controlUrl).info());

    const main = fileURLToPath(new URL("../emulators/main.js", import.meta.url));
    const run = () =>
      spawn(process.execPath, [main], {
        stdio: ["pipe", "pipe", "inherit"],
        env: { ...process.env, NODE_OPTIONS: "" },
      });
    const abandoned = run();
    await once(abandoned.stdout, "data");
    const gone = once(abandoned, "exit");
    abandoned.stdin.end();
    t.same(await gone, [0, null]);
    const told = run();
    await once(told.stdout, "data");
    const left = once(told, "exit");
    told.kill("SIGTERM");
    t.same(await left, [0, null]);
  },
);

void t.test("a wrong option stops the start with a reason", async (t) => {
  const main = fileURLToPath(new URL("../emulators/main.js", import.meta.url));
  for (const args of [["--voice", "opera"], ["--seed", "x"], ["--latency", '{"llm":1}'], ["--loud"]]) {
    const child = spawn(process.execPath, [main, ...args], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    let said = "";
    child.stderr.on("data", (bytes: Buffer) => {
      said += bytes.toString("utf8");
    });
    const [code] = (await once(child, "close")) as [number];
    t.equal(code, 2);
    t.match(said, /usage: node/);
  }
});

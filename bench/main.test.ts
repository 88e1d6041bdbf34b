import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { decodeWav } from "#bench/speech";
import { ScriptedPeer } from "./caller/scripted-peer.js";
import { converse } from "./caller/speaking-peer.js";
import { runSim } from "#bench/simulator";
import { runLoadCommand } from "./load-command.js";
import { buildProgram } from "./main.js";
import type { CallReport } from "./report/index.js";

const MAIN = new URL("./main.js", import.meta.url).pathname;

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function bench(...parameters: string[]): Promise<Run> {
  return new Promise((resolve) => {
    // CI is what colour libraries take for a terminal: what we write into a pipe stays plain there as well.
    const env = { ...process.env, CI: "1" };
    execFile(process.execPath, [MAIN, ...parameters], { timeout: 120_000, env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

void t.test("wrong usage exits with 2 and says what was wrong", async (t) => {
  const { code, stderr } = await bench("call", "--loss", "200");
  t.equal(code, 2);
  t.match(stderr, /number from 0 to 100/);
});

void t.test("whatever is wrong, the parser says so and nothing is run", async (t) => {
  const cases: [string[], RegExp][] = [
    [["call", "--echo", "loud"], /number from -60 to 60/],
    [["call", "--dtmf", "12x"], /keys are/],
    [["call", "--carrier", "telnyx"], /Allowed choices are twilio, signalwire/],
    [["call", "--say", " "], /it is empty/],
    [["call", "--url", "localhost:8080"], /http or https URL/],
    [["call", "--frobnicate"], /unknown option/],
    [["placement", "--nodes", "12.5"], /whole number/],
    [["capacity", "--from", "3", "--to", "2"], /--from must not be above --to/],
    [["soak", "--hours", "0.1", "--warm-up", "6"], /longer than its warm-up/],
    [["load", "--set", "shards=2"], /like LUMENTRA_SHARDS=2/],
    [["load", "--set", "A=1", "--target", "http://127.0.0.1:1"], /--set is for a node that is started here/],
    [["dance"], /unknown command/],
  ];
  const output = { write: () => {}, colors: false, columns: 100 };
  for (const [parameters, message] of cases) {
    const program = buildProgram(output, () => t.fail(`${parameters.join(" ")} was run`));
    for (const command of [program, ...program.commands]) command.configureOutput({ writeErr: () => {} });
    await t.rejects(program.parseAsync(parameters, { from: "user" }), { name: "CommanderError", message });
  }
});

/** Each was a stack, or hours of measuring before it was said that there was nowhere to put them. */
void t.test("a file that is wrong is said in a sentence before anything is started", async (t) => {
  const folder = t.testdir({ "cut.json": '{"format', "other.json": "{}" });
  const load = {
    calls: 1,
    seconds: 1,
    processes: 1,
    mix: "mixed",
    to: "",
    carrier: "twilio",
    json: true,
  } as const;
  const output = { write: (text: string) => t.fail(text), colors: false, columns: 100 };
  const sim = { calls: 1, seed: 1, faults: [], steps: 1 };
  const name = "Error";
  for (const [running, message] of [
    [
      () => runLoadCommand({ ...load, out: folder, compare: `${folder}/cut.json` }, output),
      /^--compare .*cut\.json/,
    ],
    [
      () => runLoadCommand({ ...load, out: folder, compare: `${folder}/other.json` }, output),
      /^--compare .*is none/,
    ],
    [
      () => runLoadCommand({ ...load, out: `${folder}/cut.json/x` }, output),
      /^Results cannot be left in .*--out/,
    ],
    [() => runSim({ ...sim, script: `${folder}/cut.json` }, output), /^--script .*cut\.json/],
    [() => runSim({ ...sim, script: `${folder}/other.json` }, output), /^--script .*has no seed, .*calls/],
  ] as const)
    await t.rejects(running(), { name, message });
  // It was measured with none of the node's figures, and "0 records dropped by rings" among what was.
  const elsewhere = { ...load, out: folder, target: "http://127.0.0.1:9", adminUrl: "http://127.0.0.1:9" };
  for (const mix of ["mixed", "webhooks"])
    await t.rejects(runLoadCommand({ ...elsewhere, mix }, output), { name, message: /at --admin-url http/ });
  await t.rejects(runLoadCommand({ ...load, out: folder, mix: "calmer" }, output), {
    message: /^Mix calmer: there is no such file, and no mix of that name; there are idle/,
  });
});

void t.test("help exits with 0 and names every option of a call", async (t) => {
  const { code, stdout } = await bench("call", "--help");
  t.equal(code, 0);
  for (const option of [
    "say",
    "barge-in-after",
    "echo",
    "noise",
    "jitter",
    "loss",
    "stall",
    "dtmf",
    "wav",
    "json",
  ]) {
    t.match(stdout, `--${option}`);
  }
});

void t.test("without a node the call exits with 1, in words and in JSON", async (t) => {
  const { code, stdout } = await bench("call", "--url", "http://127.0.0.1:9", "--json");
  t.equal(code, 1);
  const lines = stdout.trim().split("\n");
  t.match(lines[0], /No node is listening|did not answer/);
  t.match(JSON.parse(lines.at(-1)!), { outcome: "nodeUnreachable", turns: [], journal: [] });
});

void t.test("a call tells the conversation live, writes the WAV and ends with one JSON object", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "lumentra-call-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const peer = await ScriptedPeer.listen({
    answer: (webhook, peer) => {
      if (webhook.path === "/after") return "<Response/>";
      return peer.connectMarkup("/m");
    },
    onSocket: (socket) =>
      converse(socket, "Hello there.", (said) => (said === "Bye" ? null : `You said ${said}`)),
  });
  t.teardown(() => peer.close());
  const wav = join(folder, "deep", "call.wav");
  // biome-ignore format: one option a line would be a page
  const { code, stdout } = await bench(
    "call", "--url", peer.url, "--admin-url", "http://127.0.0.1:9", "--say", "One two", "--say", "Three",
    "--dtmf", "7", "--stall", "200", "--wav", wav, "--json",
  );
  t.equal(code, 0, stdout);
  const lines = stdout.trim().split("\n");
  // A line is told once nothing has come for a moment: a process that stood still tells one in two.
  const told = [...stdout.matchAll(/agent {2}(.*)/g)].map(([, words]) => words).join(" ");
  t.equal(told, "Hello there. You said One two You said Three");
  t.match(stdout, /caller {1}One two/);
  t.match(stdout, /the caller hung up/);
  t.match(stdout, /voice to voice/);
  const report = JSON.parse(lines.at(-1)!) as CallReport;
  t.match(report, {
    outcome: "callerHungUp",
    failure: null,
    violations: [],
    turns: [
      { said: null, heard: "Hello there.", voiceToVoiceMs: null },
      { said: "One two", heard: "You said One two", voiceToVoiceMs: Number },
      { said: "Three", heard: "You said Three", voiceToVoiceMs: Number },
    ],
  });
  t.ok(peer.sockets[0]!.messages.some((message) => message.event === "dtmf"));
  const audio = decodeWav(await readFile(wav));
  t.equal(audio.channels.length, 2);
  t.ok(
    audio.channels[0]!.some((sample) => sample !== 0) && audio.channels[1]!.some((sample) => sample !== 0),
  );
});

void t.test("a node that turns the call away is told in words, and exits with 1", async (t) => {
  const peer = await ScriptedPeer.listen({ answer: () => '<Response><Reject reason="busy"/></Response>' });
  t.teardown(() => peer.close());
  const { code, stdout } = await bench("call", "--url", peer.url, "--json");
  t.equal(code, 1);
  const lines = stdout.trim().split("\n");
  t.equal(lines[0], "the node turned the call away: busy");
  t.match(JSON.parse(lines.at(-1)!), { outcome: "rejected", turns: [], journal: [] });
});

void t.test("an agent that never answers makes the call fail with the reason", async (t) => {
  const peer = await ScriptedPeer.listen({
    answer: (_webhook, peer) => peer.connectMarkup("/m"),
    onSocket: (socket) => void socket.started.then(() => socket.socket.close(1011)),
  });
  t.teardown(() => peer.close());
  const { code, stdout } = await bench("call", "--url", peer.url, "--say", "Anybody?");
  t.equal(code, 1);
  t.match(stdout, /Failed: .*ended/);
});

void t.test("the simulator goes on with further seeds for as long as it is told, on all cores", async (t) => {
  const { code, stdout } = await bench(
    "sim",
    "--seconds",
    "1",
    "--calls",
    "3",
    "--steps",
    "1",
    "--faults",
    "none",
  );
  t.equal(code, 0);
  const calls = Number(/^simulated: .*\bcalls (\d+)/m.exec(stdout)?.[1]);
  const [, worlds, seconds] = /^(\d+) worlds from seed 1, .*?([\d.]+) s,/m.exec(stdout) ?? [];
  // Threads that take longer than that to start have a seed each all the same.
  t.ok(Number(seconds) >= 1 && Number(worlds) >= 1, stdout);
  t.equal(calls, 3 + 10 * (Number(worlds) - 1), "the first has as many as were wanted, all others are full");
  t.match(stdout, /^Every invariant held\.$/m);
});

void t.test(
  "the placement simulator runs from the command line, and its last line is what it leaves",
  async (t) => {
    const out = t.testdir();
    const measured = ["placement", "--nodes", "10", "--calls", "5000"];
    const { code, stdout } = await bench(...measured, "--json", "--out", out);
    t.equal(code, 0);
    const result = JSON.parse(stdout.trim().split("\n").at(-1)!) as { name: string; rows: unknown[] };
    t.equal(result.name, "placement");
    t.ok(result.rows.length > 10);
    const file = JSON.parse(await readFile(join(out, "placement.json"), "utf8")) as unknown;
    t.same(file, result);
    t.match(file, { kind: "placement", command: `npm run bench -- ${measured.join(" ")}`, machine: {} });
  },
);

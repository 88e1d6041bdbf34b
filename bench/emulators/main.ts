/**
 * The emulators as a process of their own, for `npm start` without keys and for benches.
 *
 * Prints one line of JSON when everything listens, `{"kind":"ready","urls":…,"env":…,"controlUrl":…}`, and
 * serves until SIGTERM, SIGINT, or whoever started it is gone (its standard input closes, or its parent
 * changes): nobody is left behind with sockets open.
 */
import { fstatSync } from "node:fs";
import { parseArgs } from "node:util";
import { loadSpokenVoice, toneVoice } from "#bench/speech";
import { ControlServer } from "./control-server.js";
import { latencySchema } from "./control-schema.js";
import { startEmulators } from "./emulators.js";
import { MODEL_VENDORS } from "./llm/vendors.js";
import type { EmulatorOptions } from "./options.js";

const USAGE = `usage: node dist/bench/emulators/main.js [options]   (or EMULATOR_<OPTION> in the environment)
  --host HOST            where the servers listen (127.0.0.1)
  --deepgram-port PORT   0 picks a free one (0); also --assemblyai-port, --whisper-port, --cartesia-port,
                         --elevenlabs-port, --speech-port, --control-port, and of each language model:
                         --groq-port, --openai-port …
  --seed N               of the drawn latencies (1)
  --voice tones|spoken   how the voices speak (tones)
  --latency JSON         such as {"llmFirstTokenMs":300,"sttFinalMs":{"medianMs":150,"jitterMs":0}}
  --tokens-per-second N  of the model (500)
  --tts-factor N         how much faster than spoken speech is delivered (20)
  --max-streams N        Deepgram streams at once; more get 429 (4096)
  --max-contexts N       Cartesia contexts at once; more get 429 (4096)`;

/** How often to see whether the parent is still there. */
const PARENT_POLL_MS = 1_000;

const OPTIONS = [
  "host",
  "deepgram-port",
  "assemblyai-port",
  "whisper-port",
  ...MODEL_VENDORS.map((vendor) => `${vendor}-port` as const),
  "cartesia-port",
  "elevenlabs-port",
  "speech-port",
  "control-port",
  "seed",
  "voice",
  "latency",
  "tokens-per-second",
  "tts-factor",
  "max-streams",
  "max-contexts",
] as const;
type OptionName = (typeof OPTIONS)[number];

/** Argument, else environment, else absent. */
function readOptions(): Partial<Record<OptionName, string>> {
  const { values } = parseArgs({
    options: Object.fromEntries(OPTIONS.map((name) => [name, { type: "string" as const }])),
  });
  const found: Partial<Record<OptionName, string>> = {};
  for (const name of OPTIONS) {
    const value = values[name] ?? process.env[`EMULATOR_${name.toUpperCase().replaceAll("-", "_")}`];
    if (typeof value === "string" && value !== "") found[name] = value;
  }
  return found;
}

async function resolveOptions(given: Partial<Record<OptionName, string>>): Promise<EmulatorOptions> {
  const number = (name: OptionName, missing: number): number => {
    const value = Number(given[name] ?? missing);
    if (Number.isNaN(value) || value < 0) throw new Error(`--${name} must be a number (got ${given[name]})`);
    return value;
  };
  const port = (name: OptionName): number => number(name, 0);
  return {
    host: given.host ?? "127.0.0.1",
    ports: {
      deepgram: port("deepgram-port"),
      assemblyai: port("assemblyai-port"),
      whisper: port("whisper-port"),
      ...Object.fromEntries(MODEL_VENDORS.map((vendor) => [vendor, port(`${vendor}-port`)])),
      cartesia: port("cartesia-port"),
      elevenlabs: port("elevenlabs-port"),
      speech: port("speech-port"),
    },
    seed: number("seed", 1),
    voice: await voiceNamed(given.voice ?? "tones"),
    latency: latencySchema.parse(JSON.parse(given.latency ?? "{}")) as NonNullable<
      EmulatorOptions["latency"]
    >,
    llmTokensPerSecond: number("tokens-per-second", 500),
    ttsRealtimeFactor: number("tts-factor", 20),
    limits: {
      deepgramStreams: number("max-streams", 4_096),
      cartesiaContexts: number("max-contexts", 4_096),
    },
  };
}

async function voiceNamed(name: string): Promise<NonNullable<EmulatorOptions["voice"]>> {
  if (name === "tones") return toneVoice;
  if (name !== "spoken") throw new Error(`--voice must be tones or spoken (got ${name})`);
  return loadSpokenVoice();
}

function whenAbandoned(leave: () => void): void {
  const stdin = fstatSync(0);
  if (stdin.isFIFO() || stdin.isSocket()) {
    process.stdin.on("end", leave);
    process.stdin.on("error", leave);
    process.stdin.resume();
  }
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) leave();
  }, PARENT_POLL_MS).unref();
}

async function main(): Promise<void> {
  const given = readOptions();
  const emulators = await startEmulators(await resolveOptions(given));
  const control = new ControlServer(emulators);
  const controlUrl = await control.listen(Number(given["control-port"] ?? 0));
  let leaving = false;
  const leave = (): void => {
    if (leaving) return;
    leaving = true;
    void Promise.all([emulators.close(), control.close()]).then(() => process.exit(0));
  };
  process.on("SIGTERM", leave);
  process.on("SIGINT", leave);
  whenAbandoned(leave);
  console.log(JSON.stringify({ kind: "ready", urls: emulators.urls, env: emulators.env(), controlUrl }));
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  console.error(USAGE);
  process.exitCode = 2;
});

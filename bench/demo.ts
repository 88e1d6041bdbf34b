/**
 * `npm run demo`: a whole conversation on one machine. Starts the provider emulators and a node as processes of
 * their own, calls the dental practice, tells the conversation live and checks that it was as it should be.
 *
 * Exit codes: 0 everything was as expected, 1 something was not (the checks say what).
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pc from "picocolors";
import type { JournalEvent } from "#actors/journal";
import {
  type PhoneCallResult,
  type ScriptStep,
  fetchClosedJournal,
  followJournal,
  phoneClock,
  placeCall,
  runScript,
} from "#bench/caller";
import { type NodeProcess, startEmulatorProcess, startNodeProcess } from "#bench/processes";
import {
  type CallReport,
  ConversationPrinter,
  callReport,
  describeMachine,
  machineFacts,
  renderTurnTable,
} from "#bench/report";
import { loadSpokenVoice, normalizeWords, writeStereoWav } from "#bench/speech";
import type { CommandOutput } from "./call.js";

export interface DemoOptions {
  /** Where the WAV and the report go. */
  readonly out: string;
  /** Let the node's log through. */
  readonly log: boolean;
}

const TO = "+12025550101";
const PARKING = "Is there parking?";
const ABOUT = "Tell me about your practice.";
const HOURS = "Sorry, are you open on Thursday at six?";
const BYE = "Thank you, that was all. Goodbye.";
/** Into the long answer: after its first words, in the middle of a sentence. */
const BARGE_IN_AFTER_MS = 3_000;

const STEPS: readonly ScriptStep[] = [
  { kind: "waitForAgent" },
  { kind: "say", text: PARKING },
  { kind: "waitForAgent" },
  { kind: "say", text: ABOUT },
  { kind: "bargeIn", afterMs: BARGE_IN_AFTER_MS, text: HOURS },
  { kind: "waitForAgent" },
  { kind: "say", text: BYE },
  { kind: "waitForAgentToHangUp" },
];

/** Resolves with the exit code. */
export async function runDemo(options: DemoOptions, output: CommandOutput): Promise<number> {
  const colors = pc.createColors(output.colors);
  const say = (text: string): void => output.write(`${text}\n`);
  say(colors.bold("Lumentra: one call, end to end"));
  say(
    "A simulated caller dials a dental practice. Carrier, speech recogniser, language model and voice are emulated",
  );
  say(
    "on their own wire protocols; everything between them is the real node. What the agent says is decoded from",
  );
  say("the audio that reaches the caller.\n");
  const [emulators, voice] = await Promise.all([
    startEmulatorProcess({ voice: "spoken" }),
    // The same voice in this process, for the caller's part.
    loadSpokenVoice(),
  ]);
  try {
    const node = await startNodeProcess({ environment: emulators.environment, showLog: options.log });
    try {
      const { result, journal, failure } = await converse(node, voice, output);
      const report = callReport(result, journal, failure);
      say(`\n${renderTurnTable(report.turns, output.colors)}`);
      say(
        colors.dim(
          "ms after the caller's last speech sample; e: begun before the turn was over; voice to voice",
        ),
      );
      say(colors.dim("is from that sample leaving the phone to the agent's first sample being played\n"));
      const checks = checkDemo(report);
      for (const check of checks) say(`${check.ok ? colors.green("✓") : colors.red("✗")} ${check.what}`);
      const files = await writeFiles(options.out, result, report);
      say(`\n${colors.bold("Listen:")} ${files.wav} (caller left, agent right)`);
      say(`${colors.bold("Read:")}   ${files.json}`);
      const failed = checks.filter((check) => !check.ok);
      if (failed.length === 0) return 0;
      say(
        colors.red(
          `\nThe conversation was not as expected: ${failed.map((check) => check.what).join("; ")}.`,
        ),
      );
      if (!options.log && node.logTail !== "")
        say(colors.dim(`The node's last words:\n${node.logTail.slice(-2_000)}`));
      return 1;
    } finally {
      await node.stop();
    }
  } finally {
    await emulators.stop();
  }
}

async function converse(
  node: NodeProcess,
  voice: Awaited<ReturnType<typeof loadSpokenVoice>>,
  output: CommandOutput,
): Promise<{ result: PhoneCallResult; journal: readonly JournalEvent[]; failure: string | null }> {
  const printer = new ConversationPrinter({
    clock: phoneClock(),
    colors: output.colors,
    columns: output.columns,
    write: (text) => output.write(text),
  });
  const call = await placeCall({ nodeUrl: node.edgeUrl, to: TO, voice, record: true });
  printer.watch(call);
  const following = followJournal(node.adminUrl, call.callSid, (event) => printer.journal(event));
  const { result, failure } = await runScript(call, STEPS);
  const journal = await fetchClosedJournal(node.adminUrl, call.callSid);
  await following.stop();
  printer.end();
  return { result, journal, failure: failure === null ? null : failure.reason };
}

async function writeFiles(
  folder: string,
  result: PhoneCallResult,
  report: CallReport,
): Promise<{ wav: string; json: string }> {
  await mkdir(folder, { recursive: true });
  const wav = join(folder, "demo.wav");
  const json = join(folder, "demo.json");
  const { caller, agent } = result.recording!;
  await writeStereoWav(wav, caller.toSamples(), agent.toSamples(), 8_000);
  const machine = machineFacts();
  await writeFile(json, `${JSON.stringify({ machine: describeMachine(machine), ...report }, null, 2)}\n`);
  return { wav, json };
}

export interface DemoCheck {
  readonly what: string;
  readonly ok: boolean;
}

/** What the demo promises to show, held against what happened. */
export function checkDemo(report: CallReport): readonly DemoCheck[] {
  const { journal, turns } = report;
  const heardAfter = (said: string | null): string => turns.find((turn) => turn.said === said)?.heard ?? "";
  const cut = journal.find((event) => event.kind === "agentTurn" && event.cut === "bargeIn");
  const cutHeard = cut?.kind === "agentTurn" ? cut.pii.heard : "";
  const cutIntended = cut?.kind === "agentTurn" ? cut.pii.intended : "";
  return [
    { what: "the script was played to its end", ok: report.failure === null },
    { what: "the agent greeted the caller", ok: heardAfter(null).includes("Bright Smile Dental") },
    {
      what: "a question was answered by the model",
      ok: /parking behind the building/i.test(heardAfter(PARKING)),
    },
    {
      what: "a barge-in cut the reply in mid-sentence",
      ok: turns.some((turn) => turn.said === ABOUT && turn.cut) && cutHeard.length < cutIntended.length,
    },
    {
      what: "the journal holds the words that were heard, and no others",
      ok: cutHeard !== "" && sameWords(cutHeard, heardAfter(ABOUT)),
    },
    { what: "the interruption was answered", ok: /\bopen\b/i.test(heardAfter(HOURS)) },
    {
      what: "a tool was called",
      ok: journal.some((event) => event.kind === "toolCalled" && event.ok),
    },
    {
      what: "the agent said goodbye and hung up",
      ok: report.outcome === "agentHungUp" && heardAfter(BYE) !== "" && report.carrierSaid.length === 0,
    },
    { what: "the carrier's rules were kept", ok: report.violations.length === 0 },
  ];
}

function sameWords(left: string, right: string): boolean {
  return normalizeWords(left).join(" ") === normalizeWords(right).join(" ");
}

/**
 * `npm run call`: one more simulated call against a running node, told live in the terminal.
 *
 * Exit codes: 0 the call took place as asked, 1 it did not (no node, refused, an answer that never came,
 * a broken line), 2 wrong usage.
 */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { JournalEvent } from "#actors/journal";
import {
  type CarrierName,
  type LineImpairments,
  type PhoneCallResult,
  type ScriptStep,
  fetchClosedJournal,
  followJournal,
  phoneClock,
  placeCall,
  runScript,
} from "#bench/caller";
import { ConversationPrinter, callReport, describeOutcome, renderTurnTable } from "#bench/report";
import { loadSpokenVoice, toneVoice, writeStereoWav } from "#bench/speech";
import { LumentraError } from "#runtime/errors";

export interface CallCommandOptions {
  readonly to: string;
  readonly from: string;
  readonly say: readonly string[];
  readonly bargeInAfter?: number;
  readonly dtmf?: string;
  readonly echo?: number;
  readonly echoDelay: number;
  readonly noise?: number;
  readonly jitter?: number;
  readonly loss?: number;
  readonly stall?: number;
  readonly wav?: string;
  readonly json: boolean;
  readonly url: string;
  readonly publicUrl?: string;
  readonly adminUrl: string;
  readonly carrier: CarrierName;
  readonly voice: "tones" | "spoken";
  readonly authToken?: string;
}

export interface CommandOutput {
  write(text: string): void;
  readonly colors: boolean;
  readonly columns: number;
}

/** How far into the first utterance the line stalls: in the middle of a word, where it hurts. */
const STALL_AFTER_MS = 300;

/** Resolves with the exit code. */
export async function runCallCommand(options: CallCommandOptions, output: CommandOutput): Promise<number> {
  const clock = phoneClock();
  const printer = new ConversationPrinter({ ...output, write: (text) => output.write(text), clock });
  const voice = options.voice === "spoken" ? await loadSpokenVoice() : toneVoice;
  let call;
  try {
    call = await placeCall({
      nodeUrl: options.url,
      to: options.to,
      from: options.from,
      carrier: options.carrier,
      voice,
      line: lineOf(options),
      record: options.wav !== undefined,
      ...(options.publicUrl === undefined ? {} : { publicUrl: options.publicUrl }),
      ...(options.authToken === undefined ? {} : { authToken: options.authToken }),
    });
  } catch (error) {
    if (!(error instanceof LumentraError)) throw error;
    output.write(`${error.message}\n`);
    if (options.json)
      output.write(
        `${JSON.stringify({ outcome: "nodeUnreachable", failure: error.message, turns: [], journal: [] })}\n`,
      );
    return 1;
  }
  if (call.outcome !== null) {
    // Turned away before there was a line: nothing to listen to, and no journal.
    const report = callReport(await call.ended, [], null);
    output.write(`${describeOutcome(call.outcome)}\n`);
    if (options.json) output.write(`${JSON.stringify(report)}\n`);
    return 1;
  }
  printer.watch(call);
  if (options.stall !== undefined) {
    const stallMs = options.stall;
    const stop = call.on((event) => {
      if (event.kind !== "saying") return;
      stop();
      call.setTimer(STALL_AFTER_MS, () => call.stallLine(stallMs));
    });
  }
  const following = followJournal(options.adminUrl, call.callSid, (event) => printer.journal(event));
  const { result, failure } = await runScript(call, stepsOf(options));
  const journal = await closedJournal(options.adminUrl, result, printer);
  await following.stop();
  printer.end();
  const report = callReport(result, journal, failure?.reason ?? null);
  output.write(`\n${renderTurnTable(report.turns, output.colors)}\n`);
  output.write(
    "ms after the caller's last speech sample reached the node; e: begun before the turn was over\n",
  );
  if (options.wav !== undefined && result.recording !== null) {
    await mkdir(dirname(options.wav), { recursive: true });
    const { caller, agent } = result.recording;
    await writeStereoWav(options.wav, caller.toSamples(), agent.toSamples(), 8_000);
    output.write(`${options.wav}: caller left, agent right\n`);
  }
  const ok = failure === null && ENDED_WELL.has(result.outcome.kind);
  if (failure !== null) output.write(`Failed: ${failure.reason}\n`);
  if (options.json) output.write(`${JSON.stringify(report)}\n`);
  return ok ? 0 : 1;
}

const ENDED_WELL: ReadonlySet<string> = new Set(["callerHungUp", "agentHungUp"]);

/**
 * Hear the greeting; say each sentence and hear the reply; press the keys; hang up. With `--barge-in-after` the
 * last sentence interrupts what the agent is saying before it.
 */
function stepsOf(options: CallCommandOptions): readonly ScriptStep[] {
  const steps: ScriptStep[] = [];
  for (const [index, text] of options.say.entries()) {
    const interrupts = options.bargeInAfter !== undefined && index === options.say.length - 1;
    if (interrupts) steps.push({ kind: "bargeIn", afterMs: options.bargeInAfter, text });
    else steps.push({ kind: "waitForAgent" }, { kind: "say", text });
  }
  // The last reply; an agent that hangs up instead of answering has ended the call well, too.
  steps.push({ kind: "waitForAgent" });
  if (options.dtmf !== undefined) {
    // Keys are pressed five a second; afterwards the agent gets a moment to take them in.
    steps.push(
      { kind: "dtmf", digits: options.dtmf },
      { kind: "silence", ms: options.dtmf.length * 200 + 1_000 },
    );
  }
  return steps;
}

function lineOf(options: CallCommandOptions): LineImpairments {
  return {
    // Both "20" and "-20" mean 20 dB below.
    ...(options.echo === undefined
      ? {}
      : { echo: { gainDb: -Math.abs(options.echo), delayMs: options.echoDelay } }),
    ...(options.noise === undefined ? {} : { noise: { snrDb: options.noise } }),
    ...(options.jitter === undefined ? {} : { jitterMs: options.jitter }),
    ...(options.loss === undefined ? {} : { lossRatio: options.loss / 100 }),
  };
}

async function closedJournal(
  adminUrl: string,
  result: PhoneCallResult,
  printer: ConversationPrinter,
): Promise<readonly JournalEvent[]> {
  try {
    const journal = await fetchClosedJournal(adminUrl, result.callSid);
    if (journal.length === 0) printer.note("the node has no journal of this call");
    return journal;
  } catch (error) {
    printer.note(error instanceof Error ? error.message : String(error));
    return [];
  }
}

/**
 * One load: warms the node up, begins the generators, samples everybody once a window and puts it together.
 *
 *   start        first call due          all due, settled             no turn begins after     end
 *     | warm-up    |       ramp            |        steady, measured      |    last replies     |
 *
 * R1 figures are of the steady part alone; turns count by the instant their sentence ended.
 * R2 what is kept is bounded: turns wait for the emulators' log for as long as it takes to fetch it, windows are as
 *    many as WINDOWS_MAX, and the rest is in histograms.
 */
import { phoneClock } from "#bench/caller";
import { machineFacts } from "#bench/report";
import { seededRandom } from "#runtime/actor";
import { until } from "./callers.js";
import { Distribution } from "./distribution.js";
import { Averaged, Bucketed, type Figure, SLICE_COUNT, Sliced } from "./figures.js";
import { Generators } from "./generators.js";
import { ObjectiveCount } from "./objective.js";
import { type CallMix, callersOf, comesAgain } from "./mix.js";
import type { GeneratorPlan, GeneratorReport, TurnRecord } from "./records.js";
import {
  type LoadResult,
  type LoadWindow,
  RESULT_FORMAT,
  nodePart,
  percentilesOf,
  round,
  rounded,
} from "./results.js";
import { type MachineWindow, Sampler } from "./sampler.js";
import { arrivals } from "./schedule.js";
import type { Subject } from "./subject.js";
import { TurnDelayLog } from "./turn-log.js";

export interface LoadOptions {
  readonly subject: Subject;
  readonly mix: CallMix;
  readonly mixName: string;
  readonly calls: number;
  readonly rampS: number;
  readonly seconds: number;
  /** Generator processes. @default 1 */
  readonly processes?: number;
  /** From the last call's due instant to where measuring begins. @default 3, at most a third of `seconds` */
  readonly settleS?: number;
  /** Calls that talk two turns each before anything is measured; 0 for a node that is warm. @default 10 */
  readonly warmUpCalls?: number;
  /** Ends it early, with what was measured by then. */
  readonly interrupted?: AbortSignal;
  onWindow?(window: LoadWindow): void;
}

/** Of a report's time axis, and of what the JSON holds. */
const WINDOWS_MAX = 1_200;
const WINDOW_MS_MIN = 1_000;
const SETTLE_S = 3;
const WARM_UP_CALLS = 10;
const WARM_UP_S = 6;
/** Before the first call is due: generators make their first connection meanwhile, which takes a cold process long. */
const START_AFTER_MS = 1_500;
/** The emulators' log is asked for so often, and at the end: it is long, and they stand still while they write it. */
const LOG_EVERY_MS = 60_000;
const FAILURES_TOLD_MAX = 20;
/** Of a node that ended: the lines that tell why. */
const LAST_WORDS_CHARS_MAX = 600;
/** With fewer calls the collector's comings and goings are larger than what they need. */
const RSS_CALLS_MIN = 50;
/** A line that is dialled late, or frames that leave late, by more than this at p99 say that the generator is too slow. */
const GENERATOR_LATE_MS_MAX = 15;

/** From the last call's due instant to where measuring begins. */
export function settleSecondsOf({ settleS, seconds }: Pick<LoadOptions, "settleS" | "seconds">): number {
  return settleS ?? Math.min(SETTLE_S, seconds / 3);
}

export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  if (process.platform !== "linux") throw new Error("a load reads /proc, so it runs on Linux alone");
  options.interrupted?.throwIfAborted();
  const warmUpCalls = Math.min(options.warmUpCalls ?? WARM_UP_CALLS, options.calls);
  if (warmUpCalls > 0) await warmUp(options, warmUpCalls);
  const run = new LoadRun(options, await Generators.start(options.processes ?? 1));
  try {
    return await run.run();
  } finally {
    await run.close();
  }
}

/**
 * A run of its own: code is compiled and pools are filled by its end, and nobody is asked what it measured.
 *
 * @throws Error when not one reply was right: a load would say so only at its end. Or the reason of the interruption.
 */
async function warmUp(options: LoadOptions, calls: number): Promise<void> {
  const generators = await Generators.start(1);
  let isAnswered = false;
  let refused = 0;
  const failures: string[] = [];
  generators.onReport = (report) => {
    isAnswered ||= report.turns.some(({ right }) => right);
    refused += report.calls.filter(({ end }) => end === "refused").length;
    failures.push(...report.failures, ...report.turns.map(wrongTurn));
    failures.length = Math.min(failures.length, FAILURES_TOLD_MAX);
  };
  const startAtMs = phoneClock().nowMs();
  const caller = { kind: "conversation", weight: 1, thinkMs: [300, 600], everySeconds: 10 } as const;
  generators.begin({
    ...planOf(options, startAtMs, WARM_UP_S * 1_000, WINDOW_MS_MIN),
    lines: Array.from({ length: calls }, (_, index) => ({
      index,
      caller: { ...caller, thinkMs: [...caller.thinkMs] },
      dueAtMs: startAtMs + index * 20,
    })),
  });
  const { interrupted } = options;
  const kill = (): void => void generators.kill();
  interrupted?.addEventListener("abort", kill);
  failures.push(...(await generators.ended(WARM_UP_S * 1_000)));
  interrupted?.removeEventListener("abort", kill);
  interrupted?.throwIfAborted();
  if (isAnswered) return;
  const { url, to } = options.subject.target;
  if (failures.length === 0 && refused > 0)
    failures.push(`it refuses calls: has it room, and does a tenant have ${to}?`);
  throw new Error(
    `No call to ${url} went well, so there is nothing to measure: ${failures[0] ?? "it is silent"}`,
  );
}

function wrongTurn({ expected, heard, callSid }: TurnRecord): string {
  return `“${expected ?? "a reply"}” was to be heard, “${heard}” was, in ${callSid}`;
}

function planOf(
  { subject: { target }, mix }: LoadOptions,
  startAtMs: number,
  lastsMs: number,
  windowMs: number,
): Omit<GeneratorPlan, "lines"> {
  return {
    nodeUrl: target.url,
    to: target.to,
    carrier: target.carrier,
    checked: mix.replies === "echo",
    startAtMs,
    windowMs,
    endAtMs: startAtMs + lastsMs,
    ...(target.publicUrl !== undefined && { publicUrl: target.publicUrl }),
    ...(target.authToken !== undefined && { authToken: target.authToken }),
  };
}

class LoadRun {
  readonly #options: LoadOptions;
  readonly #generators: Generators;
  readonly #sampler: Sampler;
  readonly #delays: TurnDelayLog;
  readonly #startAtMs: number;
  readonly #steadyAtMs: number;
  readonly #endAtMs: number;
  readonly #windowMs: number;
  readonly #windows: LoadWindow[] = [];

  readonly #voiceToVoice = new Sliced("voice to voice");
  readonly #bargeIn = new Sliced("interruption to clear");
  readonly #webhook = new Sliced("webhook to answer");
  readonly #greeting = new Sliced("webhook to first greeting audio");
  readonly #late = new Distribution("generator's frames late");
  readonly #dialLate = new Distribution("generator's calls dialled late");
  readonly #nodeCpu = new Averaged("node CPU per call and second", "ms");
  readonly #edgeCpu = new Averaged("of it the edge's thread", "ms");
  readonly #shardCpu = new Averaged("of it the shards' threads", "ms");
  readonly #quietCpu = new Averaged("node CPU per call and second, lines silent", "ms");
  readonly #generatorCpu = new Averaged("generator CPU per call and second", "ms");
  readonly #emulatorCpu = new Averaged("emulator CPU per call and second", "ms");
  readonly #pacing = new Bucketed();
  readonly #loops = new Sliced("event loop of the worst thread late, p99 of a window");
  /** Of two runs with different numbers of calls its difference says what one call more takes. */
  readonly #wholeMemory = new Averaged("node memory, whole process", "MiB");
  /** What the process has grown since before the first call. */
  readonly #memory = new Averaged("node memory per call", "KiB");
  readonly #objective = new ObjectiveCount();

  // Of the window under way, emptied at its end.
  #reports: (GeneratorReport | undefined)[] = [];
  readonly #windowVoice = new Distribution("voice to voice");
  #windowCounts = { turns: 0, wrong: 0, refused: 0, failed: 0, underruns: 0 };
  #busyBefore = Number.POSITIVE_INFINITY;
  #measuredMs = 0;
  #isNodeGone = false;

  #baseRssBytes: number | null = null;
  #turns = 0;
  #wrong = 0;
  #callsDone = 0;
  #refused = 0;
  #underruns = 0;
  #violations = 0;
  #drops = 0;
  #underPressureS = 0;
  readonly #failures: string[] = [];
  #failureCount = 0;

  constructor(options: LoadOptions, generators: Generators) {
    const { calls, rampS, seconds } = options;
    this.#options = options;
    this.#generators = generators;
    this.#sampler = new Sampler(options.subject, generators.pids);
    const settleMs = settleSecondsOf(options) * 1_000;
    this.#windowMs = Math.max(
      Math.min(WINDOW_MS_MIN, seconds * 200),
      Math.ceil(((rampS + seconds) * 1_000) / WINDOWS_MAX),
    );
    this.#startAtMs = phoneClock().nowMs() + START_AFTER_MS;
    this.#steadyAtMs = this.#startAtMs + rampS * 1_000 + settleMs;
    this.#endAtMs = this.#steadyAtMs + seconds * 1_000;
    this.#delays = new TurnDelayLog(options.subject.emulators, (atMs) => this.#sliceAt(atMs));
    assertRoom(calls, options.subject.slots);
    generators.onReport = (report, index) => this.#take(report, index);
  }

  async run(): Promise<LoadResult> {
    const { mix, calls, rampS } = this.#options;
    const due = arrivals(mix.arrivals, calls, rampS * 1_000, mix.burst, seededRandom(mix.seed));
    const callers = callersOf(mix, calls);
    await this.#delays.begin();
    await this.#sampler.take();
    const first = await this.#sampler.take();
    this.#baseRssBytes = first?.node?.rssBytes ?? null;
    this.#generators.begin({
      ...planOf(this.#options, this.#startAtMs, this.#endAtMs - this.#startAtMs, this.#windowMs),
      lines: callers.map((caller, index) => ({
        index,
        caller,
        dueAtMs: this.#startAtMs + due[index]!,
      })),
    });
    const { interrupted } = this.#options;
    await this.#sampleUntilEnd();
    if (interrupted?.aborted === true || this.#isNodeGone) {
      if (this.#measuredMs === 0) {
        interrupted?.throwIfAborted();
        throw new Error(`Nothing was measured: ${this.#nodesEnd()}`);
      }
      await this.#delays.fetch().catch(() => {});
      return this.#result();
    }
    const lost = await this.#generators.ended(0);
    this.#fail(lost, lost.length);
    await this.#delays.fetch();
    return this.#result();
  }

  close(): Promise<void> {
    return this.#generators.kill();
  }

  async #sampleUntilEnd(): Promise<void> {
    let nextLogAtMs = this.#startAtMs + LOG_EVERY_MS;
    const { interrupted } = this.#options;
    const isInterrupted = new Promise<void>((resolve) =>
      interrupted?.addEventListener("abort", () => resolve()),
    );
    await Promise.race([until(this.#startAtMs), isInterrupted]);
    await this.#sampler.take();
    for (let window = 1; ; window += 1) {
      const atMs = this.#startAtMs + window * this.#windowMs;
      if (atMs > this.#endAtMs + 1) return;
      await Promise.race([until(atMs), isInterrupted]);
      if (interrupted?.aborted === true) return;
      const machine = await this.#sampler.take();
      if (machine !== null) this.#closeWindow(machine, atMs);
      if (this.#isNodeGone) return;
      if (atMs < nextLogAtMs) continue;
      nextLogAtMs += LOG_EVERY_MS;
      await this.#delays.fetch();
    }
  }

  #take(report: GeneratorReport, index: number): void {
    // What callers see from then on is their end, and that of a node which the same signal may have reached.
    if (this.#options.interrupted?.aborted === true) return;
    this.#reports[index] = report;
    for (const turn of report.turns) this.#takeTurn(turn);
    for (const call of report.calls) {
      const slice = this.#arrivalSliceAt(call.dueAtMs);
      this.#callsDone += 1;
      this.#objective.callEnded(call);
      this.#underruns += call.underruns;
      this.#violations += call.violations;
      this.#windowCounts.underruns += call.underruns;
      if (call.end === "refused") {
        this.#refused += 1;
        this.#windowCounts.refused += 1;
      }
      if (call.webhookMs !== null) this.#webhook.record(call.webhookMs, slice);
      if (call.greetingMs !== null) this.#greeting.record(call.greetingMs, slice);
    }
    this.#windowCounts.failed += report.failureCount;
    this.#fail(report.failures, report.failureCount);
    this.#late.addEncoded(report.late);
    this.#dialLate.addEncoded(report.dialLate);
  }

  #takeTurn(turn: TurnRecord): void {
    const slice = this.#sliceAt(turn.speechEndAtMs);
    this.#turns += 1;
    this.#windowCounts.turns += 1;
    if (slice >= 0) this.#objective.add(turn);
    if (!turn.right) {
      this.#wrong += 1;
      this.#windowCounts.wrong += 1;
      this.#fail([wrongTurn(turn)], 1);
      return;
    }
    const voiceToVoiceMs = turn.replyAtMs! - turn.speechEndAtMs;
    this.#windowVoice.record(voiceToVoiceMs);
    if (slice < 0) return;
    this.#voiceToVoice.record(voiceToVoiceMs, slice);
    if (turn.bargeInMs !== null) this.#bargeIn.record(turn.bargeInMs, slice);
    this.#delays.add(turn);
  }

  #nodesEnd(): string {
    const words = this.#options.subject.lastWords?.().trim().slice(-LAST_WORDS_CHARS_MAX) ?? "";
    return `the node's process ended under load${words === "" ? "" : `, and its log with: ${words}`}`;
  }

  /** Below 0 before the steady part. */
  #sliceAt(atMs: number): number {
    const share = (atMs - this.#steadyAtMs) / (this.#endAtMs - this.#steadyAtMs);
    return share < 0 ? -1 : Math.min(SLICE_COUNT - 1, Math.floor(share * SLICE_COUNT));
  }

  /** Calls come in the ramp, or by schedule until the end: their slices are of what there is of arrivals. */
  #arrivalSliceAt(atMs: number): number {
    const lastsMs = this.#options.mix.callers.every(comesAgain)
      ? this.#endAtMs - this.#startAtMs
      : this.#steadyAtMs - this.#startAtMs;
    // All at once, and measured from then on: there are no fifths of that.
    if (lastsMs === 0) return 0;
    return Math.floor(((atMs - this.#startAtMs) / lastsMs) * SLICE_COUNT);
  }

  #closeWindow(machine: MachineWindow, atMs: number): void {
    const { node, seconds, generatorCores, emulatorCores } = machine;
    const up = this.#reports.reduce((sum, report) => sum + (report?.up ?? 0), 0);
    const busy = this.#reports.reduce((sum, report) => sum + (report?.busyMost ?? 0), 0);
    const slice = this.#sliceAt(atMs - this.#windowMs);
    if (slice >= 0) this.#measuredMs += this.#windowMs;
    if (node === null && this.#options.subject.pid !== null && !this.#isNodeGone) {
      this.#isNodeGone = true;
      this.#failureCount += 1;
      this.#failures.unshift(this.#nodesEnd());
    }
    if (slice >= 0 && up > 0) {
      const callSeconds = up * seconds;
      const perCall = (figure: Averaged, cores: number): void =>
        figure.add(cores * seconds * 1_000, callSeconds, slice);
      perCall(this.#generatorCpu, generatorCores);
      if (emulatorCores !== null) perCall(this.#emulatorCpu, emulatorCores);
      if (node !== null) {
        perCall(this.#nodeCpu, node.cores);
        if (this.#options.subject.target.adminUrl !== undefined) {
          perCall(this.#edgeCpu, node.edgeCores ?? 0);
          perCall(this.#shardCpu, sum(Object.values(node.shardCores)));
        }
        // Windows of parent and generators are not quite the same: the one before must have been silent, too.
        if (busy + this.#busyBefore === 0) perCall(this.#quietCpu, node.cores);
        this.#pacing.add(node.pacingBuckets, slice);
        if (node.eventLoopP99Ms !== null) this.#loops.record(node.eventLoopP99Ms, slice);
        this.#wholeMemory.add(node.rssBytes / 2 ** 20, 1, slice);
        if (this.#baseRssBytes !== null && up >= RSS_CALLS_MIN) {
          this.#memory.add((node.rssBytes - this.#baseRssBytes) / 1_024, up, slice);
        }
      }
    }
    this.#busyBefore = busy;
    this.#drops += node?.drops ?? 0;
    if (slice >= 0 && (node?.pressureRung ?? 0) > 0) this.#underPressureS += seconds;
    const window: LoadWindow = {
      atS: round((atMs - this.#startAtMs) / 1_000, 2),
      phase: slice < 0 ? "ramp" : "steady",
      up,
      ...this.#windowCounts,
      voiceToVoiceMs: percentilesOf(this.#windowVoice),
      addedMs: null,
      ...nodePart(node),
      generatorCores: round(generatorCores, 3),
      emulatorCores: rounded(emulatorCores),
      generatorLateP99Ms: round(this.#lastLateP99Ms(), 2),
    };
    this.#windows.push(window);
    this.#windowVoice.reset();
    this.#windowCounts = { turns: 0, wrong: 0, refused: 0, failed: 0, underruns: 0 };
    this.#options.onWindow?.(window);
  }

  #lastLateP99Ms(): number {
    const late = new Distribution("late");
    for (const report of this.#reports) if (report !== undefined) late.addEncoded(report.late);
    return late.count === 0 ? 0 : late.percentileMs(99);
  }

  #fail(words: readonly string[], count: number): void {
    this.#failureCount += count;
    for (const word of words) if (this.#failures.length < FAILURES_TOLD_MAX) this.#failures.push(word);
  }

  #result(): LoadResult {
    const { mixName, mix, calls, rampS, processes = 1, subject, interrupted } = this.#options;
    const isShort = interrupted?.aborted === true || this.#isNodeGone;
    const seconds = isShort ? round(this.#measuredMs / 1_000, 1) : this.#options.seconds;
    if (this.#turns === 0) {
      const why = this.#refused > 0 ? `${this.#refused} calls were refused` : "there is nothing to measure";
      this.#fail([`nobody said anything: ${why}`], 1);
    }
    if (this.#violations > 0) this.#fail([`${this.#violations} messages broke the carrier's rules`], 1);
    const plain = (name: string, value: number, better: Figure["better"] = "lower"): Figure => ({
      name,
      unit: "",
      value,
      slices: [],
      better,
    });
    const figures: Figure[] = [
      plain("turns", this.#turns, "none"),
      plain("turns that were wrong", this.#wrong),
      plain("calls that ended", this.#callsDone, "none"),
      plain("calls refused", this.#refused),
      plain("underruns heard by callers", this.#underruns),
      ...this.#objective.figures(),
      ...(subject.target.adminUrl === undefined
        ? []
        : [
            plain("records dropped by rings", this.#drops),
            plain("seconds under pressure, replies not prepared early", this.#underPressureS),
          ]),
      ...this.#voiceToVoice.figures([50, 95, 99]),
      ...this.#delays.figures(),
      ...this.#bargeIn.figures([50, 99]),
      ...this.#webhook.figures([50, 95, 99]),
      ...this.#greeting.figures([50, 95, 99]),
      ...this.#pacing.figures("pacing error", [50, 99]),
      ...this.#loops.figures([50, 99]),
      ...this.#nodeCpu.figures(),
      ...this.#edgeCpu.figures(),
      ...this.#shardCpu.figures(),
      ...this.#quietCpu.figures(),
      ...this.#wholeMemory.figures(),
      ...this.#memory.figures(),
      ...this.#generatorCpu.figures("none"),
      ...this.#emulatorCpu.figures("none"),
      ...lateFigures(this.#late),
      ...lateFigures(this.#dialLate),
    ];
    const withAdded = this.#windows.map((window) => ({
      ...window,
      addedMs: this.#delays.addedIn(
        this.#startAtMs + window.atS * 1_000 - this.#windowMs,
        this.#startAtMs + window.atS * 1_000,
      ),
    }));
    return {
      format: RESULT_FORMAT,
      machine: machineFacts(),
      startedAt: new Date(Date.now() - (phoneClock().nowMs() - this.#startAtMs)).toISOString(),
      mix: mixName,
      calls,
      rampS,
      seconds,
      processes,
      target: subject.pid === null ? subject.target.url : "a node on this machine, providers emulated",
      figures: figures.map((figure) => ({
        ...figure,
        value: round(figure.value, 3),
        slices: figure.slices.map((slice) => round(slice, 3)),
      })),
      windows: withAdded,
      notes: this.#notes(mix),
      failures: this.#failures,
      failureCount: this.#failureCount,
    };
  }

  #notes(mix: CallMix): string[] {
    const { subject, seconds, interrupted } = this.#options;
    const notes = [
      mix.replies === "echo"
        ? "all audio of all calls is decoded, every reply checked word for word"
        : "replies are not known beforehand: that one came is all that is checked",
      "figures are of the steady part; latencies count from the instant a call or a sample was due",
    ];
    if (subject.emulators !== null) {
      notes.push(
        "added: voice to voice less what the emulators drew, and less what phones and emulators were late",
      );
    } else notes.push("what the node added is not told apart: its providers are not ours to ask");
    for (const [name, value] of Object.entries(subject.settings ?? {})) notes.push(`${name}=${value}`);
    if (this.#delays.unjoined > 0)
      notes.push(
        `${this.#delays.unjoined} turns are not in added: the emulators' log has not all of their way`,
      );
    if (interrupted?.aborted === true) {
      notes.push(
        `interrupted: ${round(this.#measuredMs / 1_000, 1)} of ${seconds} s were measured; calls that were up then are in no figure of calls or greetings`,
      );
    }
    if (subject.target.adminUrl === undefined)
      notes.push("no admin URL: the node's own figures are left out");
    const lateMs = this.#late.count === 0 ? 0 : this.#late.percentileMs(99);
    if (lateMs > GENERATOR_LATE_MS_MAX) {
      notes.push(
        `the generator was ${round(lateMs, 1)} ms late at p99: give it more processes, or a machine of its own`,
      );
    }
    return notes;
  }
}

function lateFigures(late: Distribution): Figure[] {
  if (late.count === 0) return [];
  return [50, 99].map((percentile) => ({
    name: `${late.what} p${percentile}`,
    unit: "ms",
    value: late.percentileMs(percentile),
    slices: [],
    better: "none" as const,
  }));
}

function assertRoom(calls: number, slots: number | null): void {
  if (slots !== null && calls > slots) throw new RangeError(`${calls} calls do not fit into ${slots} slots`);
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

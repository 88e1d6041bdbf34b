/**
 * One load of a front door: warms it up, offers its rate by schedule, samples whoever answers once a second, and puts it
 * together as a load of calls is, so that the same report, JSON and comparison serve both.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { machineFacts } from "#bench/report";
import { Distribution } from "./distribution.js";
import { type DoorOptions, type Door, openDoor } from "./doors.js";
import { Averaged, type Figure, SLICE_COUNT, Sliced } from "./figures.js";
import {
  type LoadResult,
  type LoadWindow,
  RESULT_FORMAT,
  nodePart,
  percentilesOf,
  round,
} from "./results.js";
import { type MachineWindow, Sampler } from "./sampler.js";

export interface FrontOptions extends DoorOptions {
  readonly mixName: string;
  readonly seconds: number;
  onWindow?(window: LoadWindow): void;
}

const WINDOW_MS = 1_000;
/** Its code is compiled and its connections are made by then. */
const WARM_UP_S = 2;
const FAILURES_TOLD_MAX = 20;

/** @throws what kept the door from being opened. */
export async function runFront(options: FrontOptions): Promise<LoadResult> {
  const door = await openDoor(options);
  try {
    await door.offer(Math.min(WARM_UP_S, options.seconds), { answered: () => {}, keptWaiting: () => {} });
    return await new FrontRun(options, door).run();
  } finally {
    await door.close();
  }
}

class FrontRun {
  readonly #options: FrontOptions;
  readonly #door: Door;
  readonly #sampler: Sampler;
  readonly #latency: Sliced;
  readonly #nodeCpu = new Averaged("node CPU per answer", "ms");
  readonly #edgeCpu = new Averaged("of it the main thread", "ms");
  readonly #generatorCpu = new Averaged("generator CPU per answer", "ms");
  readonly #windows: LoadWindow[] = [];
  readonly #windowLatency = new Distribution("answers");
  #answers = 0;
  #answersBefore = 0;
  #startAtMs = 0;

  constructor(options: FrontOptions, door: Door) {
    this.#options = options;
    this.#door = door;
    this.#latency = new Sliced(door.what);
    this.#sampler = new Sampler(door.subject, [process.pid]);
  }

  async run(): Promise<LoadResult> {
    const { seconds } = this.#options;
    await this.#sampler.take();
    this.#startAtMs = performance.now();
    const isOver = new AbortController();
    const sampling = this.#sampleUntil(isOver.signal);
    const keptWaiting = (latencyMs: number): void => {
      this.#latency.record(latencyMs, this.#sliceAt(performance.now()));
      this.#windowLatency.record(latencyMs);
    };
    const answered = (latencyMs: number): void => {
      this.#answers += 1;
      keptWaiting(latencyMs);
    };
    const wrong = await this.#door.offer(seconds, { answered, keptWaiting });
    const lastedMs = performance.now() - this.#startAtMs;
    isOver.abort();
    await sampling;
    return this.#result(wrong, lastedMs / 1_000);
  }

  async #sampleUntil(isOver: AbortSignal): Promise<void> {
    for (let window = 1; ; window += 1) {
      const waitMs = this.#startAtMs + window * WINDOW_MS - performance.now();
      await sleep(Math.max(0, waitMs), undefined, { signal: isOver }).catch(() => {});
      if (isOver.aborted) return;
      const machine = await this.#sampler.take();
      if (machine !== null) this.#closeWindow(machine, window);
    }
  }

  #sliceAt(atMs: number): number {
    return Math.floor(((atMs - this.#startAtMs) / (this.#options.seconds * 1_000)) * SLICE_COUNT);
  }

  #closeWindow({ node, seconds, generatorCores }: MachineWindow, index: number): void {
    const count = this.#answers - this.#answersBefore;
    this.#answersBefore = this.#answers;
    const slice = this.#sliceAt(this.#startAtMs + (index - 0.5) * WINDOW_MS);
    const perAnswer = (figure: Averaged, cores: number): void =>
      figure.add(cores * seconds * 1_000, count, slice);
    if (count > 0) {
      perAnswer(this.#generatorCpu, generatorCores);
      if (node !== null) perAnswer(this.#nodeCpu, node.cores);
      if (node !== null && node.edgeCores !== null) perAnswer(this.#edgeCpu, node.edgeCores);
    }
    const window: LoadWindow = {
      atS: round((index * WINDOW_MS) / 1_000, 2),
      phase: "steady",
      up: 0,
      turns: 0,
      wrong: 0,
      refused: 0,
      failed: 0,
      underruns: 0,
      voiceToVoiceMs: null,
      addedMs: null,
      answers: count,
      answerMs: percentilesOf(this.#windowLatency),
      ...nodePart(node),
      generatorCores: round(generatorCores, 3),
      emulatorCores: null,
      generatorLateP99Ms: 0,
    };
    this.#windows.push(window);
    this.#windowLatency.reset();
    this.#options.onWindow?.(window);
  }

  #result(wrong: ReadonlyMap<string, number>, lastedS: number): LoadResult {
    const { mix, mixName, seconds } = this.#options;
    const { subject } = this.#door;
    const wrongCount = [...wrong.values()].reduce((sum, count) => sum + count, 0);
    const count = this.#answers;
    const plain = (name: string, value: number, better: Figure["better"]): Figure => ({
      name,
      unit: "",
      value,
      slices: [],
      better,
    });
    const figures = [
      plain("answers", count, "none"),
      plain("answers that were wrong", wrongCount, "lower"),
      plain("answers a second", Math.round(count / lastedS), "none"),
      ...this.#latency.figures([50, 95, 99]),
      ...this.#nodeCpu.figures(),
      ...this.#edgeCpu.figures(),
      ...this.#generatorCpu.figures("none"),
    ];
    return {
      format: RESULT_FORMAT,
      machine: machineFacts(),
      startedAt: new Date(Date.now() - (performance.now() - this.#startAtMs)).toISOString(),
      mix: mixName,
      calls: 0,
      ratePerSecond: mix.ratePerSecond,
      rampS: 0,
      seconds,
      processes: 1,
      target: subject.pid === null ? subject.target.url : "a process of this machine",
      figures: figures.map((figure) => ({
        ...figure,
        value: round(figure.value, 3),
        slices: figure.slices.map((slice) => round(slice, 3)),
      })),
      windows: this.#windows,
      notes: ["every answer is read and must be the right one; latencies count from the instant it was due"],
      failures: [...wrong].slice(0, FAILURES_TOLD_MAX).map(([why, times]) => `${times} × ${why}`),
      failureCount: wrongCount,
    };
  }
}

/**
 * A whole call on virtual time down to the sample: the real call, the edge's real pacing, and a phone whose
 * earpiece leaks into its microphone. Tone speech both ways, so that what the recogniser makes of an echo
 * is read off the audio. Everything that can be late on a busy machine or network can be made late, by a
 * seed:
 *
 *   shard ──out-ring──> edge ──────network──────> phone: playout ─┐
 *     ^                  │                           │            echo, −20 dB, delayed
 *     └──in-ring──────── edge <──────network──────── microphone <─┘   marks: late
 *   late: looks, timers   late: both directions   held, then a burst
 */
import { type Clock, type Random, type VirtualClock, seededRandom } from "#runtime/actor";
import { FRAME_MS, MULAW_8K, RecordKind } from "#runtime/media";
import { createMetrics } from "#runtime/telemetry";
import type { SttEvents, SttProvider, SttWord, TtsEvents, TtsProvider } from "#actors/providers";
import { encodeForLeg, toneVoice } from "#bench/speech";
import { EncodedSpeech } from "../../bench/caller/encoded-speech.js";
import { Ear } from "../../bench/caller/ear.js";
import { Microphone } from "../../bench/caller/microphone.js";
import { Playout as PhonePlayout } from "../../bench/caller/playout.js";
import { Recognizer } from "../../bench/emulators/deepgram/recognizer.js";
import { Playout as EdgePlayout } from "../../runtime/edge/playout.js";
import { Pump, type Pumped } from "../../runtime/edge/pump.js";
import { CallFixture, type CallFixtureOptions } from "./call.fixture.js";

/** One way through the network when nothing holds it. */
const NETWORK_MS = 20;
/** The shard looks at its rings, and the phone at its marks, this often. */
const STEP_MS = 5;
const TTS_DELAY_MS = 60;
/** From a word's audio to the interim with it, and from the silence after it to the final. */
const INTERIM_MS = 100;
const FINAL_AFTER_SILENCE_MS = 200;
const FINAL_MS = 80;

/** Between two faults of a kind. */
const FAULT_PAUSE_MS = [200, 1_500] as const;

interface Fault {
  readonly range: readonly [number, number];
  readonly victim: { heldUntilMs: number };
  nextAtMs: number;
}

/** What may be late, and for how long at a time. */
export interface LineFaults {
  /** The shard's thread stands still. */
  readonly shardMs?: readonly [min: number, max: number];
  /** The edge's thread does: nothing is sent, and what came waits. Beyond 400 ms the caller hears gaps. */
  readonly edgeMs?: readonly [min: number, max: number];
  /** The carrier's messages to us are held and then burst. */
  readonly uplinkMs?: readonly [min: number, max: number];
  /** Ours to the carrier are. */
  readonly downlinkMs?: readonly [min: number, max: number];
  /** Each mark comes back this much later than it was played. */
  readonly markMs?: readonly [min: number, max: number];
}

export interface LineOptions extends Pick<CallFixtureOptions, "reply"> {
  readonly echo?: { readonly gainDb: number; readonly delayMs: number };
  readonly faults?: LineFaults;
  /** The recogniser takes this much longer over everything. @default 0 */
  readonly sttLateMs?: number;
  readonly seed: number;
}

/** A thread's time: the common clock, but what falls due while the thread stands still waits. */
class ThreadClock implements Clock {
  heldUntilMs = 0;
  readonly #clock: VirtualClock;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  unixMs(): number {
    return this.#clock.unixMs();
  }

  get isHeld(): boolean {
    return this.nowMs() < this.heldUntilMs;
  }

  setTimer(delayMs: number, callback: () => void): { cancel(): void } {
    let cancelled = false;
    const fire = (): void => {
      if (cancelled) return;
      if (this.isHeld) timer = this.#clock.setTimer(this.heldUntilMs - this.nowMs(), fire);
      else callback();
    };
    let timer = this.#clock.setTimer(delayMs, fire);
    return {
      cancel: () => {
        cancelled = true;
        timer.cancel();
      },
    };
  }
}

/** One direction of the network: in order, as on one connection. */
class Wire {
  heldUntilMs = 0;
  readonly #clock: VirtualClock;
  #lastAtMs = 0;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  send(deliver: () => void): void {
    const nowMs = this.#clock.nowMs();
    this.#lastAtMs = Math.max(this.#lastAtMs, nowMs + NETWORK_MS, this.heldUntilMs);
    this.#clock.setTimer(this.#lastAtMs - nowMs, deliver);
  }
}

export class LineFixture {
  readonly call: CallFixture;
  /** Words of the agent that the caller understood. */
  readonly heard: string[] = [];
  readonly #options: LineOptions;
  readonly #random: Random;
  readonly #clock: VirtualClock;
  readonly #shard: ThreadClock;
  readonly #edge: ThreadClock;
  readonly #up: Wire;
  readonly #down: Wire;
  readonly #phone: PhonePlayout;
  readonly #microphone: Microphone;
  readonly #originMs: number;
  readonly #faults: Fault[];
  #frameCount = 0;

  constructor(options: LineOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    let clocks: { clock: VirtualClock; shard: ThreadClock } | undefined;
    // The call may write before the edge is there; the first wake after it finds everything.
    let wake = (): void => {};
    this.call = new CallFixture({
      ...(options.reply && { reply: options.reply }),
      clockOver: (clock) => {
        clocks = { clock, shard: new ThreadClock(clock) };
        return clocks.shard;
      },
      stt: () => recogniser(clocks!.shard, options.sttLateMs ?? 0),
      tts: () => voice(clocks!.shard),
      wakeEdge: () => wake(),
    });
    this.#clock = clocks!.clock;
    this.#shard = clocks!.shard;
    this.#edge = new ThreadClock(this.#clock);
    this.#up = new Wire(this.#clock);
    this.#down = new Wire(this.#clock);
    this.#originMs = this.#clock.nowMs();
    const { shardMs, edgeMs, uplinkMs, downlinkMs } = options.faults ?? {};
    this.#faults = [
      { range: shardMs, victim: this.#shard },
      { range: edgeMs, victim: this.#edge },
      { range: uplinkMs, victim: this.#up },
      { range: downlinkMs, victim: this.#down },
    ].flatMap(({ range, victim }) =>
      range === undefined ? [] : [{ range, victim, nextAtMs: this.#originMs + this.#draw(FAULT_PAUSE_MS) }],
    );
    this.#microphone = new Microphone(options.echo ? { echo: options.echo } : {}, this.#random);
    const ear = new Ear(this.#originMs, ({ word }, understood) => understood && this.heard.push(word));
    this.#phone = new PhonePlayout(this.#originMs, {
      onAudio: (samples) => {
        ear.hear(samples);
        this.#microphone.hearPlayed(samples);
      },
      onSilence: (count) => {
        ear.hearSilence(count);
        this.#microphone.hearSilence(count);
      },
      onCut: () => ear.cut(),
    });
    wake = this.#startEdge();
    wake();
  }

  /** Line time goes on. */
  run(ms: number): void {
    for (let elapsed = 0; elapsed < ms && this.call.outcome === null; elapsed += STEP_MS) {
      this.#strike();
      this.#clock.advance(STEP_MS);
      this.#phoneTick();
      if (!this.#shard.isHeld) this.call.call.onRingsReady();
      if (this.call.crash !== null) throw this.call.crash;
    }
  }

  /** Until this holds; throws when it does not within a minute of line time. */
  runUntil(condition: () => boolean): void {
    const latestAtMs = this.#clock.nowMs() + 60_000;
    while (!condition()) {
      if (this.#clock.nowMs() > latestAtMs) throw new Error("what was waited for never came");
      this.run(STEP_MS);
    }
  }

  /** Until the agent has begun and ended so many turns, and nobody has said anything for `silenceMs`. */
  runToSilence(agentTurns: number, silenceMs: number): void {
    this.runUntil(() => this.call.facts("agentTurn").length >= agentTurns);
    let quietMs = 0;
    this.runUntil(() => {
      const isQuiet = !this.#phone.isPlaying(this.#clock.nowMs()) && !this.#microphone.speaking;
      quietMs = isQuiet ? quietMs + STEP_MS : 0;
      return quietMs >= silenceMs;
    });
  }

  /** The caller says this, over whatever is on the line, so far into a frame; time goes on to its end. */
  say(text: string, gainDb = 0, offsetSamples = 0): void {
    const { samples, words } = toneVoice.synthesize(text);
    const offset = new Int16Array(offsetSamples + samples.length);
    offset.set(samples, offsetSamples);
    this.sound(offset, gainDb, (words.at(-1)?.endMs ?? 0) + offsetSamples / 8);
  }

  /** The same for any sound. */
  sound(samples: Int16Array, gainDb = 0, endMs = samples.length / 8): void {
    const gain = 10 ** (gainDb / 20);
    const speech = new EncodedSpeech(
      "",
      samples.map((sample) => Math.round(sample * gain)),
      endMs,
    );
    this.#microphone.say({ speech, onStarted: () => {}, onEnded: () => {} });
    this.run(speech.frameCount * FRAME_MS);
  }

  #startEdge(): () => void {
    const ring = this.call.edge;
    const pump = new Pump(this.#edge);
    const playout = new EdgePlayout(
      ring.out,
      MULAW_8K,
      0,
      {
        sendAudio: (audio, lengthBytes) => {
          const copy = Uint8Array.from(audio.subarray(0, lengthBytes));
          this.#down.send(() => this.#phonePlays(copy));
        },
        sendMark: (epoch, id) =>
          this.#down.send(() => this.#phone.mark(`${epoch}.${id}`, this.#clock.nowMs())),
        sendClear: (epoch, nowMs) => {
          this.#down.send(() => this.#phone.clear(this.#clock.nowMs()));
          ring.in.writeU32Event(RecordKind.cleared, nowMs, epoch);
        },
        cueSent: (id, sentAtMs) => ring.in.writeU32Event(RecordKind.cueSent, sentAtMs, id),
      },
      createMetrics({ thread: "edge" }).edgePacingErrorMs,
      { pieceMs: 100, leadMs: 400, grid: pump.grid },
    );
    const leg: Pumped = { pump: (nowMs) => playout.pump(nowMs), pumpIndex: -1, pumpDueAtMs: 0 };
    this.#edgeEpoch = () => playout.epoch;
    return () => this.#edge.setTimer(0, () => pump.wake(leg));
  }

  #edgeEpoch: () => number = () => 0;

  /** At the edge, in its own time: a record is stamped when it was taken, not when it came. */
  #toShard(write: (nowMs: number) => void): void {
    this.#up.send(() => this.#edge.setTimer(0, () => write(this.#clock.nowMs())));
  }

  #phonePlays(audio: Uint8Array): void {
    const nowMs = this.#clock.nowMs();
    this.#phone.renderUntil(nowMs);
    this.#phone.enqueue(audio, nowMs);
  }

  #phoneTick(): void {
    const nowMs = this.#clock.nowMs();
    for (const name of this.#phone.takeDueMarks(nowMs)) this.#echoMark(name);
    const dueAtMs = this.#originMs + (this.#frameCount + 1) * FRAME_MS;
    if (dueAtMs > nowMs) return;
    this.#frameCount += 1;
    this.#phone.renderUntil(dueAtMs);
    const frame = Buffer.from(this.#microphone.nextFrame(nowMs, dueAtMs, null), "base64");
    this.#toShard((atMs) => this.call.edge.in.writeAudio(frame, 0, frame.length, atMs));
  }

  #echoMark(name: string): void {
    const [epoch, id] = name.split(".").map(Number);
    this.#clock.setTimer(this.#draw(this.#options.faults?.markMs), () =>
      this.#toShard((atMs) => {
        if (epoch === this.#edgeEpoch()) this.call.edge.in.writeU32Event(RecordKind.markEchoed, atMs, id!);
      }),
    );
  }

  /** Makes something late, now and then; never what is late already, as a thread keeps its order. */
  #strike(): void {
    const nowMs = this.#clock.nowMs();
    for (const fault of this.#faults) {
      if (nowMs < fault.nextAtMs) continue;
      fault.victim.heldUntilMs = nowMs + this.#draw(fault.range);
      if (fault.victim === this.#shard) this.#lookFirst(fault.victim.heldUntilMs - nowMs);
      fault.nextAtMs = fault.victim.heldUntilMs + this.#draw(FAULT_PAUSE_MS);
    }
  }

  /** A thread that was held takes its rings and what lies in its sockets in either order: here the harder one. */
  #lookFirst(afterMs: number): void {
    this.#clock.setTimer(afterMs, () => this.call.call.onRingsReady());
  }

  #draw(range: readonly [number, number] | undefined): number {
    return range === undefined ? 0 : Math.round(range[0] + this.#random.next() * (range[1] - range[0]));
  }
}

/** Decodes the leg's tones. Damaged words are told as they were misread, as recognisers do. */
function recogniser(clock: Clock, lateMs: number): SttProvider {
  return {
    name: "stt",
    open: (_request, events) => new Recognition(clock, lateMs, events),
    warm: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

class Recognition {
  readonly #clock: Clock;
  readonly #lateMs: number;
  readonly #recognizer: Recognizer;
  #events: SttEvents | null;
  /** Known to it, not final yet. */
  #words: SttWord[] = [];

  constructor(clock: Clock, lateMs: number, events: SttEvents) {
    this.#clock = clock;
    this.#lateMs = lateMs;
    this.#events = events;
    this.#recognizer = new Recognizer("mulaw", 8000, clock, Number.POSITIVE_INFINITY, {
      onWord: ({ word, startMs, endMs }) => {
        this.#words.push({ word, startMs, endMs });
        const words = this.#words.slice();
        const whose = this.#words;
        clock.setTimer(
          INTERIM_MS + lateMs,
          () => this.#words === whose && this.#events?.onInterim(transcript(words)),
        );
      },
      onSpeechStart: () => {},
    });
  }

  write(audio: Uint8Array): void {
    this.#recognizer.push(audio);
    if (this.#words.length === 0 || this.#recognizer.silenceMs < FINAL_AFTER_SILENCE_MS) return;
    const words = this.#words;
    this.#words = [];
    this.#clock.setTimer(FINAL_MS + this.#lateMs, () => this.#events?.onFinal(transcript(words), true));
  }

  flush(): void {}

  nudge(): void {}

  finalize(): void {}

  close(): void {
    this.#events = null;
  }
}

function transcript(words: readonly SttWord[]) {
  return {
    text: words.map(({ word }) => word).join(" "),
    words,
    startMs: words[0]!.startMs,
    endMs: words.at(-1)!.endMs,
  };
}

/** Speaks in tones; all audio of a piece of text comes TTS_DELAY_MS after it. */
function voice(clock: Clock): TtsProvider {
  return {
    name: "tts",
    speak: (_request, events) => {
      let spokenMs = 0;
      let pending = 0;
      let finished = false;
      let cancelled = false;
      const settle = (): void => {
        if (finished && pending === 0) clock.setTimer(1, () => !cancelled && events.onDone());
      };
      return {
        push: (text) => {
          pending += 1;
          clock.setTimer(TTS_DELAY_MS, () => {
            pending -= 1;
            if (cancelled) return;
            spokenMs += speak(text, spokenMs, events);
            settle();
          });
        },
        finish: () => {
          finished = true;
          settle();
        },
        cancel: () => {
          cancelled = true;
        },
      };
    },
    warm: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

function speak(text: string, fromMs: number, events: TtsEvents): number {
  const { samples, words } = toneVoice.synthesize(text);
  events.onWords(
    words.map(({ word, startMs, endMs }) => ({ word, startMs: startMs + fromMs, endMs: endMs + fromMs })),
  );
  events.onAudio(encodeForLeg(samples, MULAW_8K));
  return samples.length / 8;
}

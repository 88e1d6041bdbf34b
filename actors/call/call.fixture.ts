/**
 * A call on virtual time: the real call over real rings, with a scripted recogniser, model and voice at
 * their interfaces and a carrier that plays what the out-ring holds. Nothing waits for a wall clock, so a
 * test can act at the exact instant.
 */
import { type Clock, VirtualClock } from "#runtime/actor";
import type { CallOutcome, CallStart, ResumeReason } from "#runtime/cluster";
import { LumentraError } from "#runtime/errors";
import {
  Arena,
  type AudioReplay,
  FRAME_MS,
  LegEnd,
  MULAW_8K,
  type PlayoutRest,
  RecordKind,
} from "#runtime/media";
import { createMetrics, silentLogger } from "#runtime/telemetry";
import type {
  LlmEvents,
  LlmProvider,
  LlmRequest,
  SttEvents,
  SttProvider,
  TtsEvents,
  TtsProvider,
} from "#actors/providers";
import { tenantSchema } from "#actors/tenants";
import { type Tool, ToolRegistry } from "#actors/tools";
import { Call } from "./call.js";
import { CallCounters } from "./counters.js";
import type { JournalEvent } from "#actors/journal";
import { Lull } from "./lull.js";
import { MessageFiles } from "./message-files.js";
import { VoiceCache, type VoiceKey } from "./voice-cache.js";

const FRAME_BYTES = 160;
/** Loud square wave and silence in µ-law: all the voice activity needs. */
const SPEECH = Uint8Array.from({ length: FRAME_BYTES }, (_, index) => (index % 16 < 8 ? 0x9f : 0x1f));
const SILENCE = new Uint8Array(FRAME_BYTES).fill(0xff);

export const MS_PER_WORD = 300;
const TTS_DELAY_MS = 40;
export const LLM_DELAY_MS = 200;

export interface ScriptedReply {
  readonly text?: string;
  readonly tools?: readonly { readonly name: string; readonly argumentsJson: string }[];
  /** Until the first token; never when Infinity. */
  readonly delayMs?: number;
  /** After the text, if there is any. */
  readonly error?: LumentraError;
  /** How long after it. @default 0 */
  readonly errorAfterMs?: number;
}

/** Whose patient this call's callers are. */
export const TEST_TENANT = {
  id: "test",
  name: "Test Dental",
  industry: "dental practice",
  numbers: ["+12025550101"],
  timeZone: "America/New_York",
  agentName: "Ava",
  greeting: "Hello there.",
};

export interface CallFixtureOptions {
  /** @default TEST_TENANT's */
  readonly greeting?: string;
  /** Another owner had the call before, under epoch 1. */
  readonly resumed?: {
    readonly gapMs: number;
    readonly journal: readonly JournalEvent[];
    /** @default null, and `legLost` */
    readonly playing?: PlayoutRest;
    /** @default null */
    readonly replay?: AudioReplay;
    readonly reason?: ResumeReason;
  };
  /** @default 1; resumed: 2 */
  readonly epoch?: number;
  /** The former owner's, so that time goes on. */
  readonly clock?: VirtualClock;
  /** After each 20 ms of line time. */
  readonly onFrame?: () => void;
  readonly cache?: VoiceCache;
  /** @default a folder that cannot be written */
  readonly dataDirectory?: string;
  readonly reply?: (request: LlmRequest, index: number) => ScriptedReply;
  readonly tools?: readonly Tool[];
  readonly toolNames?: readonly string[];
  readonly callMinutes?: number;
  /** The shard's idea of time, over the fixture's own. @default that one */
  readonly clockOver?: (clock: VirtualClock) => Clock;
  /** In place of the scripted ones, on the shard's clock. */
  readonly stt?: (clock: Clock) => SttProvider;
  readonly llm?: (clock: Clock) => LlmProvider;
  readonly tts?: (clock: Clock) => TtsProvider;
  /** The call has something for the edge. */
  readonly wakeEdge?: () => void;
}

export class CallFixture {
  readonly clock: VirtualClock;
  readonly cache: VoiceCache;
  readonly messages: MessageFiles;
  /** What the call's cached audio is kept under. */
  readonly voiceKey: VoiceKey;
  /** How much audio of the last reply was played to the caller. */
  playedMs = 0;
  readonly journal: JournalEvent[] = [];
  readonly requests: LlmRequest[] = [];
  readonly cancelled: number[] = [];
  readonly start: CallStart;
  readonly call: Call;
  /** Whether the shard would wait with the next frame; `run` does not. */
  readonly lull: Lull;
  outcome: CallOutcome | null = null;
  crash: unknown = null;
  hangUpAsked = false;
  readonly clearsAtMs: number[] = [];
  callerSpeaks = false;
  /** The shard's answer while the node is under no pressure. */
  maySpeculate = true;
  readonly #arena = Arena.create({ slotCount: 1 });
  /** The edge's side of the rings; `run` plays the edge and the carrier, for who does not do so himself. */
  readonly edge = this.#arena.edgeSide(0);
  readonly #metrics = createMetrics({ thread: "test" });
  #sttEvents: SttEvents | null = null;
  #epoch = 0;
  #spokenMs = 0;
  #positionMs = 0;
  readonly #onFrame: () => void;

  constructor(options: CallFixtureOptions = {}) {
    this.clock = options.clock ?? new VirtualClock();
    this.#onFrame = options.onFrame ?? (() => {});
    const clock = options.clockOver?.(this.clock) ?? this.clock;
    const tts = options.tts?.(clock) ?? this.#tts();
    const tenant = tenantSchema.parse({
      ...TEST_TENANT,
      ...(options.greeting !== undefined && { greeting: options.greeting }),
      limits: { callMinutes: options.callMinutes ?? 30 },
      ...(options.toolNames && { tools: options.toolNames }),
    });
    this.cache =
      options.cache ??
      new VoiceCache({ clock, log: silentLogger, directory: "/nonexistent", tts: () => tts });
    this.messages = new MessageFiles(options.dataDirectory ?? "/dev/null", silentLogger);
    const { provider: _provider, ...voice } = tenant.tts;
    this.voiceKey = { ...voice, provider: tts.name, language: tenant.language, format: MULAW_8K };
    const leg = this.#arena.shardSide(0);
    this.lull = new Lull(leg.in);
    this.start = {
      callId: "call-1",
      carrierCallId: "CA1",
      carrier: "twilio",
      tenantId: "test",
      epoch: options.epoch ?? (options.resumed ? 2 : 1),
      nodeId: options.resumed ? "node-2" : "node-1",
      tenure: 0,
      resumed: options.resumed
        ? { playing: null, replay: null, reason: "legLost", ...options.resumed }
        : null,
      format: MULAW_8K,
      webhookAtMs: clock.nowMs(),
      openedAtMs: clock.nowMs(),
      pii: { from: "+15550100001", to: "+12025550101" },
    };
    this.call = new Call({
      clock,
      log: silentLogger,
      start: this.start,
      leg,
      lull: this.lull,
      tenant,
      stt: options.stt?.(clock) ?? this.#stt(),
      llm: options.llm?.(clock) ?? this.#llm(options.reply ?? (() => ({ text: "All right." }))),
      tts,
      tools: new ToolRegistry(options.tools),
      cache: this.cache,
      messages: this.messages,
      counters: new CallCounters(this.#metrics),
      emit: (event) => this.journal.push(event) > 0,
      enter: () => {},
      leave: () => {},
      wakeEdge: options.wakeEdge ?? (() => {}),
      maySpeculate: () => this.maySpeculate,
      hangUp: () => {
        this.hangUpAsked = true;
      },
      onEnded: (outcome) => {
        this.outcome = outcome;
      },
      onCrash: (error) => {
        this.crash = error;
      },
    });
    this.call.begin();
  }

  /** The metrics page. */
  async metricsText(): Promise<string> {
    return this.#metrics.registry.metrics();
  }

  /** Runs `ms` of line time: each 20 ms the carrier plays, the caller's frame comes in, the call looks. */
  run(ms: number): void {
    for (let elapsed = 0; elapsed < ms && this.outcome === null; elapsed += FRAME_MS) {
      this.clock.advance(FRAME_MS);
      this.#carrierTick();
      this.#spokenMs = this.callerSpeaks ? this.#spokenMs + FRAME_MS : 0;
      // A breath after each word: a sound that never changes is taken for the line's noise, and rightly so.
      const frame = this.callerSpeaks && this.#spokenMs % MS_PER_WORD !== 0 ? SPEECH : SILENCE;
      this.#positionMs += FRAME_MS;
      this.edge.in.writeAudio(frame, 0, FRAME_BYTES, this.clock.nowMs());
      this.call.onRingsReady();
      if (this.hangUpAsked) this.legEnds(LegEnd.hungUp);
      this.#onFrame();
    }
  }

  /**
   * The caller says this: speech for as long as it takes, each word's interim 100 ms after it, the final
   * 150 ms after the last. Time goes on to the end of the words, and `thenMs` further.
   */
  say(text: string, thenMs = 0): void {
    const words = text.split(" ");
    const fromMs = this.#positionMs;
    this.callerSpeaks = true;
    for (const index of words.keys()) {
      const soFar = words.slice(0, index + 1);
      this.clock.setTimer((index + 1) * MS_PER_WORD + 100, () => this.interim(soFar, fromMs));
    }
    this.clock.setTimer(words.length * MS_PER_WORD + 150, () => this.final(words, fromMs));
    this.run(words.length * MS_PER_WORD);
    this.callerSpeaks = false;
    this.run(thenMs);
  }

  interim(words: readonly string[], fromMs: number): void {
    this.#sttEvents?.onInterim(transcript(words, fromMs));
  }

  /** The recogniser's own early word on the end of the turn (Flux). */
  eagerEndOfTurn(words: readonly string[], fromMs: number): void {
    this.#sttEvents?.onEagerEndOfTurn(transcript(words, fromMs));
  }

  final(words: readonly string[], fromMs: number): void {
    this.#sttEvents?.onFinal(transcript(words, fromMs), true);
  }

  /** The recogniser is through with what came since then: there were no words in it. */
  noWords(fromMs: number): void {
    const range = { startMs: fromMs, endMs: this.#positionMs };
    this.#sttEvents?.onFinal({ text: "", words: [], ...range }, true);
  }

  /** Milliseconds of the caller's audio so far. */
  get positionMs(): number {
    return this.#positionMs;
  }

  /** What the recogniser makes of sound that nobody made: an echo, say. */
  recognise(text: string): void {
    const words = text.split(" ");
    this.final(words, this.#positionMs - words.length * MS_PER_WORD);
  }

  failStt(): void {
    this.#sttEvents?.onError(new LumentraError("STT_STREAM_BROKEN", "scripted"));
  }

  digit(digit: string): void {
    this.edge.in.writeByteEvent(RecordKind.dtmf, this.clock.nowMs(), digit.charCodeAt(0));
  }

  legEnds(end: LegEnd): void {
    this.edge.in.writeByteEvent(RecordKind.legEnded, this.clock.nowMs(), end);
    this.call.onRingsReady();
  }

  facts<K extends JournalEvent["kind"]>(kind: K): Extract<JournalEvent, { kind: K }>[] {
    return this.journal.filter((event): event is Extract<JournalEvent, { kind: K }> => event.kind === kind);
  }

  /** What the agent's turns say was heard. */
  heardByJournal(): string[] {
    return this.facts("agentTurn").map((turn) => turn.pii.heard);
  }

  /** 20 ms of playout straight from the ring; marks come back when what stands before them was played. */
  #carrierTick(): void {
    const { out } = this.edge;
    const nowMs = this.clock.nowMs();
    if (out.epoch !== this.#epoch) {
      this.#epoch = out.epoch;
      this.clearsAtMs.push(nowMs);
      this.edge.in.writeU32Event(RecordKind.cleared, nowMs, this.#epoch);
    }
    let playedMs = 0;
    while (!out.paused && playedMs < FRAME_MS && out.read()) {
      if (out.kind === RecordKind.mark) this.edge.in.writeU32Event(RecordKind.markEchoed, nowMs, out.u32());
      else if (out.kind === RecordKind.cue) {
        this.edge.in.writeU32Event(RecordKind.cueSent, nowMs, out.u32());
        this.playedMs = 0;
      } else playedMs += out.length / 8;
    }
    this.playedMs += playedMs;
  }

  #stt(): SttProvider {
    return {
      name: "stt",
      open: (_request, events) => {
        this.#sttEvents = events;
        return {
          write: () => {},
          flush: () => {},
          nudge: () => {},
          finalize: () => {},
          close: () => {
            this.#sttEvents = null;
          },
        };
      },
      warm: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
  }

  #llm(reply: NonNullable<CallFixtureOptions["reply"]>): LlmProvider {
    return {
      name: "llm",
      generate: (request, events) => {
        const index = this.requests.push(request) - 1;
        const scripted = reply(request, index);
        const delayMs = scripted.delayMs ?? LLM_DELAY_MS;
        const timer =
          delayMs === Number.POSITIVE_INFINITY
            ? null
            : this.clock.setTimer(delayMs, () => answer(scripted, events, this.clock));
        return {
          cancel: () => {
            timer?.cancel();
            this.cancelled.push(index);
          },
        };
      },
      warm: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
  }

  /** 300 ms of sound per word, all of it TTS_DELAY_MS after the text. */
  #tts(): TtsProvider {
    return {
      name: "tts",
      speak: (_request, events) => {
        let wordCount = 0;
        let pending = 0;
        let finished = false;
        let cancelled = false;
        const settle = (): void => {
          if (finished && pending === 0 && !cancelled)
            this.clock.setTimer(1, () => !cancelled && events.onDone());
        };
        return {
          push: (text) => {
            pending += 1;
            this.clock.setTimer(TTS_DELAY_MS, () => {
              pending -= 1;
              if (cancelled) return;
              wordCount = speakWords(text, wordCount, events);
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
}

function speakWords(text: string, spokenBefore: number, events: TtsEvents): number {
  const words = text.split(/\s+/).filter(Boolean);
  const timed = words.map((word, index) => ({
    word,
    startMs: (spokenBefore + index) * MS_PER_WORD,
    endMs: (spokenBefore + index + 1) * MS_PER_WORD,
  }));
  if (timed.length > 0) {
    events.onWords(timed);
    events.onAudio(new Uint8Array(words.length * MS_PER_WORD * 8).fill(0x9f));
  }
  return spokenBefore + words.length;
}

function answer(scripted: ScriptedReply, events: LlmEvents, clock: Clock): void {
  if (scripted.text !== undefined) events.onText(scripted.text);
  const { error, errorAfterMs = 0 } = scripted;
  if (error !== undefined && errorAfterMs > 0) {
    clock.setTimer(errorAfterMs, () => events.onError(error));
    return;
  }
  if (error !== undefined) return events.onError(error);
  for (const [index, tool] of (scripted.tools ?? []).entries()) {
    events.onToolCall({ id: `tool-${index}`, ...tool });
  }
  events.onDone(scripted.tools === undefined ? "stop" : "toolCalls", null);
}

function transcript(words: readonly string[], fromMs: number) {
  return {
    text: words.join(" "),
    words: words.map((word, index) => ({
      word,
      startMs: fromMs + index * MS_PER_WORD,
      endMs: fromMs + (index + 1) * MS_PER_WORD,
    })),
    startMs: fromMs,
    endMs: fromMs + words.length * MS_PER_WORD,
  };
}

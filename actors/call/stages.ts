/**
 * The stages of one call, and which of them tells which what. What may end the call they tell the call itself.
 *
 *   in-ring → Inbound → VoiceActivity ─┬→ SttFeed → recogniser → Listener ─┐
 *                                      └──────────────────────────────────┴→ Turns → Generation ─┐
 *   out-ring ←──────────────────── Playout ←──────────────────── Speaker ←──────────────────────┘
 */
import type { Clock } from "#runtime/actor";
import type { CallOutcome, CallStart } from "#runtime/cluster";
import type { ErrorCode, LumentraError } from "#runtime/errors";
import type { LegEnd, ShardSlot } from "#runtime/media";
import type { Logger } from "#runtime/telemetry";
import type { JournalEvent } from "#actors/journal";
import type { LlmProvider, SttProvider, SttStream, TtsProvider, TtsRequest } from "#actors/providers";
import { EchoGuard, Endpointing, VoiceActivity, phrasesFor } from "#actors/speech";
import type { TenantConfig } from "#actors/tenants";
import type { ToolRegistry } from "#actors/tools";
import { AudioInstants } from "./audio-instants.js";
import type { CallCounters } from "./counters.js";
import { openHearing } from "./hearing.js";
import type { History } from "./history.js";
import { Inbound } from "./inbound.js";
import { JournalWriter } from "./journal-writer.js";
import { Keypad } from "./keypad.js";
import { Listener } from "./listener.js";
import { LULL_AFTER_MS } from "./lull.js";
import type { MessageFiles } from "./message-files.js";
import { MessageOffer } from "./message-offer.js";
import { Playout } from "./playout.js";
import { Replies } from "./replies.js";
import { type Replayed, typedText } from "./resume.js";
import { Silence } from "./silence.js";
import { Speaker } from "./speaker.js";
import { SttFeed } from "./stt-feed.js";
import { quickReplyText } from "./tenant-phrases.js";
import { Turns } from "./turns.js";
import type { VoiceCache } from "./voice-cache.js";

/**
 * Bridges the pauses inside what somebody says, so that a barge-in is measured as one stretch of speech.
 * Endpointing reads silence itself and does not wait for this.
 */
const VAD_HANGOVER_MS = 200;

export interface StagesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly start: CallStart;
  readonly leg: ShardSlot;
  readonly tenant: TenantConfig;
  readonly stt: SttProvider;
  readonly llm: LlmProvider;
  readonly tts: TtsProvider;
  readonly tools: ToolRegistry;
  readonly cache: VoiceCache;
  /** Where messages go when a kind of provider is gone. */
  readonly messages: Pick<MessageFiles, "open">;
  readonly counters: CallCounters;
  /** False when it was dropped. */
  readonly emit: (event: JournalEvent) => boolean;
  readonly wakeEdge: () => void;
  /** Whether replies may be begun before their turn is over; asked anew for each. */
  readonly maySpeculate: () => boolean;
}

/** What the stages tell the call. */
export interface StageEvents {
  /** Runs a callback from outside: a throw is this call's crash and nobody else's. */
  readonly guard: (body: () => void) => void;
  /** Last words, then the end. */
  readonly onLeave: (words: string, cut: "legEnded" | "failed", outcome: CallOutcome) => void;
  /** The end, without a word. */
  readonly onHangUp: (outcome: CallOutcome) => void;
  readonly onFailed: (error: LumentraError, provider: string) => void;
  readonly onLegEnded: (end: LegEnd) => void;
}

export class Stages {
  readonly journal: JournalWriter;
  readonly history: History;
  readonly listener = new Listener();
  readonly vad: VoiceActivity;
  readonly playout: Playout;
  readonly speaker: Speaker;
  readonly turns: Turns;
  readonly stt: SttStream;
  readonly inbound: Inbound;
  readonly silence: Silence;
  readonly keypad: Keypad;
  readonly message: MessageOffer;
  readonly #log: Logger;
  readonly #language: string;

  /** `replayed`: what another owner's journal says, which `history` has already; null for a call that begins here. */
  constructor(deps: StagesDeps, events: StageEvents, history: History, replayed: Replayed | null) {
    const { clock, log, start, leg, tenant, stt, cache, tts, counters } = deps;
    this.#log = log;
    this.#language = tenant.language;
    this.history = history;
    const { callId, format } = start;
    const { guard, onLeave, onHangUp, onFailed } = events;
    const echoGuard = new EchoGuard();
    const instants = new AudioInstants();
    const ttsRequest: TtsRequest = {
      callId,
      model: tenant.tts.model,
      voice: tenant.tts.voice,
      language: tenant.language,
      format,
    };
    const nextSequence = replayed?.nextSequence ?? 0;
    this.journal = new JournalWriter(callId, start.epoch, nextSequence, clock, deps.emit);
    this.vad = new VoiceActivity(format, { echoGuard, hangoverMs: VAD_HANGOVER_MS });
    this.playout = new Playout({ clock, ring: leg.out, format, echoGuard, wakeEdge: deps.wakeEdge, guard });
    this.speaker = new Speaker({
      playout: this.playout,
      cache,
      tts,
      ttsRequest,
      history: this.history,
      journal: this.journal,
      guard,
      onSwitched: this.#onSwitched,
    });
    const replies = new Replies({
      clock,
      start,
      tenant,
      llm: deps.llm,
      tts,
      ttsRequest,
      tools: deps.tools,
      cache,
      history: this.history,
      journal: this.journal,
      turn: () => this.turns.turn,
      onSwitched: this.#onSwitched,
      guard,
    });
    this.turns = new Turns({
      clock,
      log,
      language: tenant.language,
      vad: this.vad,
      listener: this.listener,
      instants,
      endpointing: new Endpointing(),
      history: this.history,
      journal: this.journal,
      playout: this.playout,
      speaker: this.speaker,
      counters,
      maySpeculate: deps.maySpeculate,
      generate: (said, ledger, events, aid) => replies.begin(said, ledger, events, aid),
      quickReplyText: (kind) => quickReplyText(tenant, kind),
      onIdle: () => this.silence.arm(),
      onActivity: () => this.silence.onActivity(),
      onWordsMissing: () => this.stt.finalize(),
      onAgentEnds: () => onHangUp({ kind: "agentHungUp" }),
      onProviderFailed: onFailed,
    });
    this.silence = new Silence(
      {
        clock,
        guard,
        isListening: () => this.turns.state === "listening",
        isSpeech: () => this.vad.isSpeech,
        onPrompt: (index) => this.#askWhetherAnybodyIsThere(index),
        onGoodbye: () =>
          onLeave(phrasesFor(tenant.language).silenceGoodbye, "legEnded", { kind: "callerSilent" }),
      },
      replayed?.silencePrompts,
    );
    this.keypad = new Keypad({
      clock,
      guard,
      onTyped: (digits) => this.turns.onDigits(typedText(digits)),
    });
    this.stt = openHearing({
      clock,
      start,
      tenant,
      stt,
      listener: this.listener,
      guard,
      onHeard: () => {
        if (!this.listener.isEmpty) this.silence.onActivity();
        this.turns.consider();
      },
      onEagerEndOfTurn: () => this.turns.onEagerEndOfTurn(),
      onSwitched: this.#onSwitched,
      onFailed: (error) => onFailed(error, stt.name),
    });
    const feed = new SttFeed(this.stt, format);
    this.message = new MessageOffer({
      turns: this.turns,
      listener: this.listener,
      vad: this.vad,
      journal: this.journal,
      stt: this.stt,
      feed,
      guard,
      clock,
      start,
      tenant,
      tts,
      ttsRequest,
      cache,
      messages: deps.messages,
      counters,
      leave: onLeave,
      hangUp: onHangUp,
    });
    this.inbound = new Inbound(leg.in, this.vad, this.playout, feed, instants, {
      onSpeechStart: () => this.silence.onActivity(),
      onDtmf: (digit, atMs) => this.#onDtmf(digit, atMs),
      onLegEnded: events.onLegEnded,
    });
  }

  /** Nobody speaks, and nothing is under way that would have to be looked at often. */
  get isLull(): boolean {
    return this.vad.silenceMs >= LULL_AFTER_MS && !this.vad.isFrameSpeech && this.turns.isQuiet;
  }

  #askWhetherAnybodyIsThere(index: number): void {
    const { silencePrompts } = phrasesFor(this.#language);
    this.turns.sayPhrase(silencePrompts[index % silencePrompts.length]!, "prompt");
  }

  #onDtmf(digit: string, atMs: number): void {
    this.journal.record({ kind: "dtmf", pii: { digit } });
    this.message.onKey();
    this.silence.onActivity();
    this.turns.onKey();
    this.keypad.press(digit, atMs);
  }

  /** The caller has noticed nothing; whoever reads the journal shall. */
  readonly #onSwitched = (provider: string, fallback: string, code: ErrorCode): void => {
    this.#log.warn({ provider, code, fallback }, "provider failed, another goes on");
    this.journal.record({ kind: "providerFailed", provider, code, fallback });
  };
}

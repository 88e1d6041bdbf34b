/**
 * One call: builds its stages, joins them, and ends it exactly once.
 *
 *   in-ring → Inbound → VoiceActivity ─┬→ SttFeed → recogniser → Listener ─┐
 *                                      └──────────────────────────────────┴→ Turns → Generation ─┐
 *   out-ring ←──────────────────── Playout ←──────────────────── Speaker ←──────────────────────┘
 *
 * Invariants
 * C1 `end()` is the one way out, runs once, and leaves no timer, stream or socket behind.
 * C2 nobody is left on a dead line: silence is asked about, failures are apologised for, then we hang up.
 * C3 every callback from outside runs under `guard`: a throw is this call's crash and nobody else's.
 */
import type { Clock, TimerHandle } from "#runtime/actor";
import { type CallOutcome, type CallStart, OUTCOME_OF_LEG_END } from "#runtime/cluster";
import type { ErrorCode, LumentraError } from "#runtime/errors";
import type { LegEnd, ShardSlot } from "#runtime/media";
import type { Logger } from "#runtime/telemetry";
import type {
  LlmMessage,
  LlmProvider,
  SttProvider,
  SttStream,
  TtsProvider,
  TtsRequest,
} from "#actors/providers";
import { COVER_TOLERANCE_MS, EchoGuard, Endpointing, VoiceActivity, phrasesFor } from "#actors/speech";
import type { TenantConfig } from "#actors/tenants";
import type { ToolRegistry } from "#actors/tools";
import type { CallCounters } from "./counters.js";
import { HAND_OVER_WITHIN_MS, mayHandOver } from "./hand-over.js";
import { openHearing } from "./hearing.js";
import { History } from "./history.js";
import { AudioInstants } from "./audio-instants.js";
import { Inbound } from "./inbound.js";
import type { JournalEvent } from "#actors/journal";
import { JournalWriter } from "./journal-writer.js";
import { Keypad } from "./keypad.js";
import { Ledger } from "./ledger.js";
import { Listener } from "./listener.js";
import { Playout } from "./playout.js";
import { type Replayed, replayJournal, typedText } from "./resume.js";
import { planResume } from "./resume-plan.js";
import type { MessageFiles } from "./message-files.js";
import { LULL_AFTER_MS, type Lull } from "./lull.js";
import { MessageOffer } from "./message-offer.js";
import { greetingText, systemPrompt } from "./prompt.js";
import { quickReplyText } from "./tenant-phrases.js";
import { Replies } from "./replies.js";
import { Silence } from "./silence.js";
import { Speaker } from "./speaker.js";
import { SttFeed } from "./stt-feed.js";
import { Turns } from "./turns.js";
import type { VoiceCache } from "./voice-cache.js";

/** The edge closes the leg within a tick of being asked; after this the call ends without its word. */
export const HANG_UP_GRACE_MS = 2_000;

/**
 * Bridges the pauses inside what somebody says, so that a barge-in is measured as one stretch of speech.
 * Endpointing reads silence itself and does not wait for this.
 */
const VAD_HANGOVER_MS = 200;

export interface CallDeps {
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
  /** Told after each look at the rings. */
  readonly lull: Lull;
  /** False when it was dropped. */
  readonly emit: (event: JournalEvent) => boolean;
  /** This call's code begins to run, or ends: see ShardContext.enter(). */
  readonly enter: () => void;
  readonly leave: () => void;
  readonly wakeEdge: () => void;
  /** Whether replies may be begun before their turn is over; asked anew for each. */
  readonly maySpeculate: () => boolean;
  /** Ask the edge to close the leg. */
  readonly hangUp: () => void;
  /** The call is over and everything of it is released. */
  readonly onEnded: (outcome: CallOutcome) => void;
  /** A stage threw: the supervisor decides. */
  readonly onCrash: (error: unknown) => void;
}

export class Call {
  readonly #deps: CallDeps;
  readonly #journal: JournalWriter;
  readonly #history: History;
  readonly #listener = new Listener();
  readonly #instants = new AudioInstants();
  readonly #vad: VoiceActivity;
  readonly #playout: Playout;
  readonly #speaker: Speaker;
  readonly #turns: Turns;
  readonly #stt: SttStream;
  readonly #inbound: Inbound;
  /** What another owner's journal says, until the call has begun; null for a call that begins here. */
  #replayed: Replayed | null;
  /** Wall clock; null when it was this owner that answered, or the journal does not tell. */
  readonly #startedAtUnixMs: number | null;
  readonly #silence: Silence;
  readonly #keypad: Keypad;
  readonly #timers: Record<"maxDuration" | "hangUp", TimerHandle | null> = {
    maxDuration: null,
    hangUp: null,
  };
  readonly #message: MessageOffer;
  /** Set once we want the call to end: what it will be recorded as. */
  #leaving: CallOutcome | null = null;
  #ended = false;
  /** Another actor is to go on; until this instant the moment for it is waited for. */
  #handOverDueAtMs: number | null = null;

  constructor(deps: CallDeps) {
    this.#deps = deps;
    const { clock, start, leg, tenant, stt, cache, tts } = deps;
    const { callId, format } = start;
    const guard = this.#guard;
    const echoGuard = new EchoGuard();
    const ttsRequest: TtsRequest = {
      callId,
      model: tenant.tts.model,
      voice: tenant.tts.voice,
      language: tenant.language,
      format,
    };
    const journal = start.resumed?.journal as readonly JournalEvent[] | undefined;
    this.#history = new History(systemPrompt(tenant, clock.unixMs()));
    const playing = start.resumed?.playing ?? null;
    const stillPlaying = playing === null ? null : { playing, format };
    this.#replayed =
      journal === undefined ? null : replayJournal(journal, this.#history, tenant, stillPlaying);
    this.#startedAtUnixMs = this.#replayed?.startedAtUnixMs ?? null;
    const nextSequence = this.#replayed?.nextSequence ?? 0;
    this.#journal = new JournalWriter(callId, start.epoch, nextSequence, clock, deps.emit);
    this.#vad = new VoiceActivity(format, { echoGuard, hangoverMs: VAD_HANGOVER_MS });
    this.#playout = new Playout({ clock, ring: leg.out, format, echoGuard, wakeEdge: deps.wakeEdge, guard });
    this.#speaker = new Speaker({
      playout: this.#playout,
      cache,
      tts,
      ttsRequest,
      history: this.#history,
      journal: this.#journal,
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
      history: this.#history,
      journal: this.#journal,
      turn: () => this.#turns.turn,
      onSwitched: this.#onSwitched,
      guard,
    });
    this.#turns = new Turns({
      clock,
      log: deps.log,
      language: tenant.language,
      vad: this.#vad,
      listener: this.#listener,
      instants: this.#instants,
      endpointing: new Endpointing(),
      history: this.#history,
      journal: this.#journal,
      playout: this.#playout,
      speaker: this.#speaker,
      counters: deps.counters,
      maySpeculate: deps.maySpeculate,
      generate: (said, ledger, events, aid) => replies.begin(said, ledger, events, aid),
      quickReplyText: (kind) => quickReplyText(tenant, kind),
      onIdle: () => this.#silence.arm(),
      onActivity: () => this.#silence.onActivity(),
      onWordsMissing: () => this.#stt.finalize(),
      onAgentEnds: () => this.#hangUp({ kind: "agentHungUp" }),
      onProviderFailed: (error, provider) => this.#fail(error, provider),
    });
    this.#silence = new Silence(
      {
        clock,
        guard,
        isListening: () => this.#turns.state === "listening",
        isSpeech: () => this.#vad.isSpeech,
        onPrompt: (index) => this.#askWhetherAnybodyIsThere(index),
        onGoodbye: () =>
          this.#leave(phrasesFor(tenant.language).silenceGoodbye, "legEnded", { kind: "callerSilent" }),
      },
      this.#replayed?.silencePrompts,
    );
    this.#keypad = new Keypad({
      clock,
      guard,
      onTyped: (digits) => this.#turns.onDigits(typedText(digits)),
    });
    this.#stt = openHearing({
      clock,
      start,
      tenant,
      stt,
      listener: this.#listener,
      guard,
      onHeard: () => {
        if (!this.#listener.isEmpty) this.#silence.onActivity();
        this.#turns.consider();
      },
      onEagerEndOfTurn: () => this.#turns.onEagerEndOfTurn(),
      onSwitched: this.#onSwitched,
      onFailed: (error) => this.#fail(error, stt.name),
    });
    const feed = new SttFeed(this.#stt, format);
    this.#message = new MessageOffer({
      turns: this.#turns,
      listener: this.#listener,
      vad: this.#vad,
      journal: this.#journal,
      stt: this.#stt,
      feed,
      guard,
      clock,
      start,
      tenant,
      tts,
      ttsRequest,
      cache,
      messages: deps.messages,
      counters: deps.counters,
      leave: (words, cut, outcome) => this.#leave(words, cut, outcome),
      hangUp: (outcome) => this.#hangUp(outcome),
    });
    this.#inbound = new Inbound(leg.in, this.#vad, this.#playout, feed, this.#instants, {
      onSpeechStart: () => this.#silence.onActivity(),
      onDtmf: (digit, atMs) => this.#onDtmf(digit, atMs),
      onLegEnded: (end) => this.#onLegEnded(end),
    });
  }

  /** Greets, or goes on where another owner stopped; from here on the call lives until `end()`. */
  begin(): void {
    const { start, tenant, counters } = this.#deps;
    const { carrier, carrierCallId, tenantId, nodeId, pii, resumed } = start;
    const replayed = this.#replayed;
    this.#replayed = null;
    start.resumed = null;
    // Nothing of the former owner's may have reached us.
    if (replayed === null || replayed.nextSequence === 0)
      this.#journal.record({ kind: "callStarted", tenantId, carrier, carrierCallId, nodeId, pii });
    const leftMs = Math.max(0, tenant.limits.callMinutes * 60_000 - this.#lastedMs());
    this.#timers.maxDuration = this.#after(leftMs, () =>
      this.#leave(phrasesFor(tenant.language).callTooLong, "legEnded", { kind: "maxDuration" }),
    );
    if (replayed !== null && resumed !== null) return this.#goOn(replayed, resumed);
    this.#turns.sayPhrase(greetingText(tenant), "greeting", (atMs) =>
      counters.greetingStarted(start.webhookAtMs, atMs),
    );
  }

  /** What the conversation holds: for tests that compare owners. @internal */
  get conversation(): { readonly messages: readonly LlmMessage[]; readonly turn: number } {
    return { messages: this.#history.messages(""), turn: this.#turns.turn };
  }

  /** There is something in the in-ring. */
  onRingsReady(): void {
    if (this.#ended) return;
    this.#inbound.drain();
    if (!this.#ended) this.#turns.consider();
    if (this.#handOverDueAtMs !== null) this.#considerHandOver(this.#handOverDueAtMs);
    this.#deps.lull.isOn = this.#isLull();
  }

  #isLull(): boolean {
    return this.#vad.silenceMs >= LULL_AFTER_MS && !this.#vad.isFrameSpeech && this.#turns.isQuiet;
  }

  /** Words, then the end: for a drain whose grace ran out. */
  endSoon(outcome: CallOutcome): void {
    this.#leave(phrasesFor(this.#deps.tenant.language).goodbye, "legEnded", outcome);
  }

  /** The lease is another's: from here on this call writes nothing, and its leg is none of its business. */
  abandon(outcome: CallOutcome): void {
    this.#journal.close();
    this.end(outcome);
  }

  /** Another actor of this node goes on, from the next instant at which nobody notices: then the call ends here. */
  handOver(): void {
    this.#handOverDueAtMs ??= this.#deps.clock.nowMs() + HAND_OVER_WITHIN_MS;
    this.#considerHandOver(this.#handOverDueAtMs);
  }

  /**
   * C1 for an actor whose state cannot be trusted, or that hands over: everything of it is released, and the rings are
   * left as they are for whoever goes on. Must not throw: each step is worth more than the next.
   */
  relinquish(outcome: CallOutcome): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#attempt([
      () => this.#message.close(true), // the next one listens on
      () => this.#turns.handOver(),
      () => this.#playout.close(), // a cut that waits is settled, and recorded
      () => this.#journal.close(),
      () => this.#stt.close(),
      () => this.#cancelTimers(),
    ]);
    this.#deps.onEnded(outcome);
  }

  /** C1. Idempotent. */
  end(outcome: CallOutcome): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#attempt([
      () => this.#message.close(),
      () => this.#turns.close("legEnded"),
      () => this.#playout.close(),
      () => this.#stt.close(),
      () => this.#cancelTimers(),
      () => this.#recordEnd(outcome),
    ]);
    // Whatever became of its last events: a slot that is not given back is lost for good, and the node writes the end.
    this.#deps.onEnded(outcome);
  }

  #recordEnd(outcome: CallOutcome): void {
    if (outcome.kind === "legLost") {
      // It may go on elsewhere: the node knows when it is over, and counts it then (J2).
      this.#journal.record({ kind: "legLost" });
    } else if (this.#journal.record({ kind: "callEnded", outcome, durationMs: this.#lastedMs() })) {
      this.#deps.counters.ended(outcome.kind);
    }
  }

  #cancelTimers(): void {
    this.#silence.close();
    this.#keypad.close();
    for (const timer of Object.values(this.#timers)) timer?.cancel();
  }

  /** The way out: no step is left out because one before it threw. */
  #attempt(steps: readonly (() => void)[]): void {
    for (const step of steps) {
      try {
        step();
      } catch (error) {
        this.#deps.log.warn({ err: error }, "a step of giving up the call threw");
      }
    }
  }

  #goOn(replayed: Replayed, { gapMs, reason, replay }: NonNullable<CallStart["resumed"]>): void {
    const { turn, agentText, digits, open, point, pending, queuedWords, mustClear } = replayed;
    const { start, leg, tenant, clock, log, counters, wakeEdge } = this.#deps;
    this.#journal.record({ kind: "callResumed", nodeId: start.nodeId, gapMs, reason });
    if (open !== null) {
      const { source, intended, heard, cut } = open;
      const ledger = new Ledger().snapshot();
      const pii = { intended, heard };
      this.#journal.record({ kind: "agentTurn", turn: open.turn, source, cut, ledger, pii });
    }
    leg.out.setPaused(false); // as the owner before may have left it
    if (mustClear) {
      leg.out.bumpEpoch();
      wakeEdge();
    }
    this.#playout.takeUp(agentText);
    const plan = planResume(point, gapMs, tenant);
    const lostAtMs = reason === "legLost" ? start.webhookAtMs : clock.nowMs() - gapMs;
    const { toldMs, earlierMs } = replay ?? { toldMs: 0, earlierMs: 0 };
    const throughAtMs = replay === null ? null : replayed.throughAtMs;
    this.#listener.takeUp(pending, toldMs, clock.nowMs());
    const heard = { throughAtMs, toldMs, earlierMs };
    this.#turns.takeUp(turn, agentText, queuedWords, heard, (atMs) => {
      // What it says once the caller has spoken tells nothing of the gap.
      if (plan.kind !== "listen") counters.resumed(reason, lostAtMs, atMs);
    });
    log.info({ point: point.kind, turn, gapMs: Math.round(gapMs), reason }, "call resumed");
    switch (plan.kind) {
      case "say":
        this.#turns.sayRest(plan.phrases, plan.source, plan.endsCall);
        break;
      case "answer":
        this.#turns.answer(plan.said, plan);
        break;
      case "message":
        this.#message.resume(plan.code, plan.phrases, plan.hasPart);
        break;
      case "leave":
        if (plan.text === "") this.#hangUp(plan.outcome);
        else this.#leave(plan.text, "legEnded", plan.outcome);
        break;
      case "listen":
        this.#turns.listen();
        break;
    }
    for (const digit of digits) this.#keypad.press(digit, clock.nowMs());
  }

  /** Since the caller was answered, whoever owned the call then. */
  #lastedMs(): number {
    const { clock, start } = this.#deps;
    const startedAtUnixMs = this.#startedAtUnixMs;
    if (startedAtUnixMs === null) return clock.nowMs() - start.openedAtMs;
    return Math.max(0, clock.unixMs() - startedAtUnixMs); // the only clock that two nodes share
  }

  #askWhetherAnybodyIsThere(index: number): void {
    const { silencePrompts } = phrasesFor(this.#deps.tenant.language);
    this.#turns.sayPhrase(silencePrompts[index % silencePrompts.length]!, "prompt");
  }

  #onDtmf(digit: string, atMs: number): void {
    this.#journal.record({ kind: "dtmf", pii: { digit } });
    this.#message.onKey();
    this.#silence.onActivity();
    this.#turns.onKey();
    this.#keypad.press(digit, atMs);
  }

  #considerHandOver(dueAtMs: number): void {
    if (this.#ended || this.#leaving !== null) return; // it is about to be over
    const isDue = mayHandOver({
      nowMs: this.#deps.clock.nowMs(),
      dueAtMs,
      isSilent: !this.#vad.isSpeech && !this.#playout.isCutPending && !this.#keypad.isTyping,
      isTold: this.#vad.lastSpeechPositionMs - this.#listener.knownThroughMs <= COVER_TOLERANCE_MS,
      isQuiet: this.#turns.isQuiet,
      isWithinWholeReply:
        this.#turns.state === "speaking" && this.#speaker.isWhole && !this.#playout.isPaused,
    });
    if (isDue) this.relinquish({ kind: "handedOver" });
  }

  #onLegEnded(end: LegEnd): void {
    this.end(this.#leaving ?? OUTCOME_OF_LEG_END[end]);
  }

  #fail(error: LumentraError, provider: string): void {
    if (this.#ended) return;
    this.#deps.log.warn({ provider, code: error.code, err: error }, "provider failed");
    this.#journal.record({ kind: "providerFailed", provider, code: error.code, fallback: null });
    const isStt = error.code.startsWith("STT_");
    if (isStt) this.#message.sttLost();
    // Nobody needs to hear the caller for a goodbye; a voice that fails in it has said what it can.
    if (this.#leaving !== null) return isStt ? undefined : this.#hangUp(this.#leaving);
    if (!this.#message.isMade) this.#message.make(error.code);
  }

  /** Last words, then the end (C2). */
  #leave(words: string, cut: "legEnded" | "failed", outcome: CallOutcome): void {
    if (this.#ended || this.#leaving !== null) return;
    this.#leaving = outcome;
    this.#message.close();
    this.#turns.sayLast([words], cut, () => this.#hangUp(outcome));
  }

  #hangUp(outcome: CallOutcome): void {
    if (this.#ended) return;
    this.#leaving = outcome;
    this.#message.close();
    this.#turns.close("legEnded");
    this.#deps.hangUp();
    this.#timers.hangUp ??= this.#after(HANG_UP_GRACE_MS, () => this.end(outcome));
  }

  #after(delayMs: number, body: () => void): TimerHandle {
    return this.#deps.clock.setTimer(delayMs, () => this.#guard(body));
  }

  /** The caller has noticed nothing; whoever reads the journal shall. */
  readonly #onSwitched = (provider: string, fallback: string, code: ErrorCode): void => {
    this.#deps.log.warn({ provider, code, fallback }, "provider failed, another goes on");
    this.#journal.record({ kind: "providerFailed", provider, code, fallback });
  };

  readonly #guard = (body: () => void): void => {
    if (this.#ended) return;
    const { enter, leave, onCrash } = this.#deps;
    enter();
    try {
      body();
    } catch (error) {
      onCrash(error);
    }
    leave();
  };
}

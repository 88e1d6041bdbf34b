/**
 * Who has the floor: the turn's state machine. It is asked after each batch of audio and each transcript,
 * and moves between listening, preparing a reply and speaking.
 *
 *                 eager: prepare, in case
 *                ┌──────┐
 *                v      │ commit                    first audio
 *   ┌──────> listening ─┴────────────> preparing ───────────────> speaking
 *   │             ^  quick reply, DTMF     │                        │  │
 *   │             │ └──────────────────────┼───────────────────────>┘  │
 *   │             └── the caller adds ─────┘                           │
 *   └──────────── played out, or cut by a barge-in ────────────────────┘
 *
 * Invariants
 * T1 no audio of a reply is sent before its turn is committed, and no tool runs before.
 * T2 an added utterance replaces a reply that was not yet heard at most MAX_RESTARTS times in a row: then
 *    the reply is spoken and what was added becomes the next turn. No loop of cancelled replies.
 * T3 a caller turn is recorded (CallerTurn) before its answer and after what was heard of the reply that it cut; no
 *    answer is begun before that is known.
 * T4 the failure of a generation ends the call only when its turn is committed.
 */
import type { Clock } from "#runtime/actor";
import type { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import { type Endpointing, type VoiceActivity, matchQuickReply, phrasesFor } from "#actors/speech";
import { AgentTurn } from "./agent-turn.js";
import type { AudioInstants } from "./audio-instants.js";
import { CallerTurn } from "./caller-turn.js";
import type { CallCounters } from "./counters.js";
import { EagerReply } from "./eager-reply.js";
import { EchoWords } from "./echo-words.js";
import { EndOfTurn } from "./end-of-turn.js";
import type { Generation, GenerationEvents } from "./generation.js";
import type { History } from "./history.js";
import { Interruption, type InterruptionDeps } from "./interruption.js";
import type { JournalWriter } from "./journal-writer.js";
import { Ledger } from "./ledger.js";
import type { Listener } from "./listener.js";
import { ListeningTime } from "./listening-time.js";
import type { Playout } from "./playout.js";
import type { ReplySource } from "./reply-progress.js";
import type { ReplyAid } from "./replies.js";
import type { Speaker } from "./speaker.js";
import type { CachedSpeech } from "./voice-cache.js";
import { Wordless } from "./wordless.js";

/** T2. Two additions are a caller collecting his thoughts; the third would be a loop. */
export const MAX_RESTARTS = 2;
/** A caller who began to speak over a prepared reply and said nothing gets it, or another, after this much silence. */
export const HOLD_RELEASE_MS = 400;

export type TurnState =
  /** The caller has the floor, or nobody has. An eager reply may be under way, and in no other state. */
  | { readonly kind: "listening" }
  /** The caller's turn is over; nothing of the reply was sent. `held`: the caller makes a sound, we wait. */
  | { readonly kind: "preparing"; readonly generation: Generation; readonly said: string; held: boolean }
  /** A reply is being played; what the caller says over it may stop it. */
  | { readonly kind: "speaking"; readonly interruption: Interruption }
  /** Last words, or none: nothing the caller says changes anything any more. */
  | { readonly kind: "closing" };

/** What the owner before had heard of the audio that comes. */
export interface HeardBefore {
  /** Of its last turn; null when that was not on this leg. */
  readonly throughAtMs: number | null;
  /** So much of the audio is told by turns. */
  readonly toldMs: number;
  /** So much came before the agent began to say what is gone on with. */
  readonly earlierMs: number;
}

export interface TurnsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly language: string;
  readonly vad: VoiceActivity;
  readonly listener: Listener;
  readonly instants: AudioInstants;
  readonly endpointing: Endpointing;
  readonly history: History;
  readonly journal: JournalWriter;
  readonly playout: Playout;
  readonly speaker: Speaker;
  readonly counters: CallCounters;
  /** Whether eager generations may be begun now. */
  readonly maySpeculate: () => boolean;
  generate(said: string, ledger: Ledger, events: GenerationEvents, aid: ReplyAid | null): Generation;
  quickReplyText(kind: NonNullable<ReturnType<typeof matchQuickReply>>): string;
  /** The floor is free: nobody speaks and nothing is being prepared. */
  readonly onIdle: () => void;
  /** The caller did something. */
  readonly onActivity: () => void;
  /** Words for the last of what was heard never came: a turn is over without them, or a pause was for nothing. */
  readonly onWordsMissing: () => void;
  /** The agent's last words were heard. */
  readonly onAgentEnds: () => void;
  onProviderFailed(error: LumentraError, provider: string): void;
}

export class Turns {
  readonly #deps: TurnsDeps;
  #state: TurnState = { kind: "listening" };
  readonly #callerTurn: CallerTurn;
  readonly #agentTurn: AgentTurn;
  readonly #endOfTurn: EndOfTurn;
  readonly #echo: EchoWords;
  readonly #interruptionDeps: InterruptionDeps;
  /** T2. */
  #restarts = 0;
  readonly #eager: EagerReply;
  /** Typed while it was not known yet what was heard of the reply that was cut. */
  #typed = "";
  readonly #wordless: Wordless;
  readonly #listening = new ListeningTime();
  /** Of the caller's audio so much was heard before what is about to be said. */
  #earlierMs = 0;
  /** What is to happen instead of giving the caller the floor. */
  #afterReply: (() => void) | null = null;

  constructor(deps: TurnsDeps) {
    this.#deps = deps;
    const { clock, log, language, vad, listener, endpointing, journal, playout, counters, maySpeculate } =
      deps;
    const listening = this.#listening;
    this.#callerTurn = new CallerTurn(deps);
    this.#endOfTurn = new EndOfTurn({ clock, language, vad, listener, listening, endpointing });
    this.#echo = new EchoWords(deps);
    this.#agentTurn = new AgentTurn(deps, this.#callerTurn, this.#echo, () => this.#listen("played out"));
    this.#interruptionDeps = {
      language,
      vad,
      listener,
      playout,
      echo: this.#echo,
      callerTurn: this.#callerTurn,
      counters,
      journal,
      onWordsMissing: deps.onWordsMissing,
    };
    this.#wordless = new Wordless({ clock, vad, endpointing, listening, language });
    this.#eager = new EagerReply({
      log,
      counters,
      journal,
      maySpeculate,
      generate: (said) => this.#generate(said),
      nextTurn: () => this.turn + 1,
    });
  }

  get state(): TurnState["kind"] {
    return this.#state.kind;
  }

  /** Number of the present caller turn; the greeting is part of turn 0. */
  get turn(): number {
    return this.#callerTurn.number;
  }

  /** Another owner's conversation: its last turn, and what the caller may be answering. Before anything is said. */
  takeUp(
    turn: number,
    agentText: string,
    queuedWords: number | null,
    { throughAtMs, toldMs, earlierMs }: HeardBefore,
    onFirstAudio: (atMs: number) => void,
  ): void {
    this.#callerTurn.takeUp(turn, toldMs, throughAtMs);
    this.#earlierMs = earlierMs;
    this.#agentTurn.takeUp(agentText, queuedWords, onFirstAudio);
  }

  /** What another owner left to be said: then the caller has the floor, or the call ends. */
  sayRest(phrases: readonly (string | CachedSpeech)[], source: ReplySource, endsCall: boolean): void {
    this.#speak(source);
    this.#agentTurn.say(phrases, { source, endsCall, isAnswered: source !== "prompt" });
  }

  /** What another owner left to be answered; `said` is what of it is not in the history yet. */
  answer(said: string, aid: ReplyAid): void {
    const generation = this.#generate(said, aid);
    this.#callerTurn.owe(said);
    this.#prepare(generation, said);
  }

  /** Nothing is owed: the caller has the floor. */
  listen(): void {
    this.#listen("resumed");
  }

  /** Something for us to say that answers nobody: greeting, silence prompt. */
  sayPhrase(text: string, source: ReplySource, onStarted?: (atMs: number) => void): void {
    this.#eager.discard();
    this.#speak(source);
    this.#agentTurn.say([text], { source, onStarted });
  }

  /**
   * Last words: whatever is being said or prepared is dropped for them. `after` runs when they were heard, `onFailed`
   * when they cannot be.
   */
  sayLast(
    phrases: readonly (string | CachedSpeech)[],
    cut: "legEnded" | "failed",
    after: () => void,
    onFailed = after,
  ): void {
    this.close(cut);
    this.#agentTurn.sayLast(phrases, after, onFailed);
  }

  /** `body` runs when what is being said was heard, is interrupted, or `endReply` is told. False: nothing is being said. */
  afterReply(body: () => void): boolean {
    if (this.#state.kind !== "speaking") return false;
    this.#afterReply = body;
    return true;
  }

  /** Nothing more comes of what is being said. */
  endReply(): void {
    this.#runAfterReply();
  }

  /** A key was pressed: its tone is no speech, and more digits may follow. */
  onKey(): void {
    this.#wordless.ignoreSoundBefore(this.#deps.clock.nowMs());
  }

  /** The keypad is unmistakable: it cuts at once and needs no endpointing. */
  onDigits(said: string): void {
    if (this.#state.kind === "closing") return;
    this.#deps.onActivity();
    if (this.#state.kind === "speaking") this.#cut();
    if (this.#isOver) return;
    if (this.#deps.playout.isCutPending) {
      this.#typed = [this.#typed, said].filter(Boolean).join(" "); // T3
      return;
    }
    if (this.#state.kind === "preparing") this.#restart(this.#state.generation, this.#state.said);
    this.#commit([this.#deps.listener.take(), said].filter(Boolean).join(" "));
  }

  /** Asked after every batch of audio and every transcript. */
  consider(): void {
    this.#listening.look(this.#deps.clock.nowMs(), this.#deps.vad.lastSpeechPositionMs);
    switch (this.#state.kind) {
      case "listening":
        return this.#considerEndpoint();
      case "preparing":
        return this.#considerAddition(this.#state);
      case "speaking":
        if (this.#state.interruption.isCut(this.#unansweredMs())) this.#cut();
        return;
      case "closing":
        return;
    }
  }

  /** The recogniser's own early word on the end of the turn (Flux). */
  onEagerEndOfTurn(): void {
    const { listener, playout } = this.#deps;
    if (this.#state.kind !== "listening" || listener.isEmpty || playout.isCutPending) return; // T3
    this.#startEager();
  }

  /** Ends the conversation: everything under way is thrown away, what the caller said last is kept. */
  close(cut: "legEnded" | "failed"): void {
    const state = this.#state;
    this.#afterReply = null;
    if (state.kind === "closing") {
      this.#agentTurn.close(cut);
      return;
    }
    if (state.kind === "preparing") state.generation.discard();
    this.#eager.discard();
    const owed = state.kind === "preparing" ? state.said : null;
    this.#callerTurn.recordLast(owed, this.#deps.listener.take());
    this.#agentTurn.close(cut);
    this.#move({ kind: "closing" }, cut);
  }

  /** Another owner goes on: nothing is said, cut or recorded but how far the present reply has come. */
  handOver(): void {
    const state = this.#state;
    this.#move({ kind: "closing" }, "handed over");
    this.#agentTurn.handOver();
    if (state.kind === "preparing") state.generation.discard();
    this.#eager.discard();
  }

  /** Nothing is under way that would have to be begun again. */
  get isQuiet(): boolean {
    return this.#state.kind === "listening" && this.#deps.listener.isEmpty && !this.#callerTurn.isAnswerOwed;
  }

  // ---- listening

  #considerEndpoint(): void {
    const { listener, vad, playout } = this.#deps;
    if (playout.isCutPending) return; // T3; and the model must know what was heard
    if (listener.isEmpty)
      return this.#callerTurn.isAnswerOwed ? this.#considerOwed() : this.#considerWordless();
    if (vad.isSpeech) this.#deps.onActivity();
    if (this.#endOfTurn.isDecided) return;
    this.#echo.forgetLate();
    if (listener.isEmpty) return;
    const decision = this.#endOfTurn.decide(this.#agentTurn.text);
    if (decision.kind === "commit") {
      if (!decision.isCovered) this.#deps.onWordsMissing();
      return this.#commit(listener.take());
    }
    this.#callerTurn.tellSpoken();
    if (decision.kind === "eager") this.#startEager();
  }

  #considerWordless(): void {
    if (!this.#wordless.isDue()) return;
    const { didNotCatch } = phrasesFor(this.#deps.language);
    const phrase = didNotCatch[this.turn % didNotCatch.length]!;
    this.#eager.discard();
    this.#speak("prompt");
    this.#agentTurn.say([phrase], { source: "prompt", isAnswered: false }); // what he answers is what was said before
  }

  /** What he added was no word after all, our echo or one that was taken back: what he had said before is answered. */
  #considerOwed(): void {
    if (!this.#deps.vad.isSpeech && this.#unansweredMs() >= HOLD_RELEASE_MS) this.#commit("");
  }

  #startEager(): void {
    const said = this.#callerTurn.withCarried(this.#deps.listener.text);
    if (this.#eager.answers(said)) return;
    this.#eager.discard();
    if (this.#quickReply(said) === null) this.#eager.begin(said);
  }

  /** `words`: what of the turn the caller said last; none when an answer is owed to what he had said before. */
  #commit(words: string): void {
    const isOwed = this.#callerTurn.isAnswerOwed;
    const said = this.#callerTurn.take(words);
    if (said === "" && !isOwed) return;
    const quickReply = this.#quickReply(said);
    if (quickReply !== null) {
      this.#eager.discard();
      return this.#answerQuickly(said, quickReply);
    }
    const generation = this.#eager.take(said) ?? this.#generate(said);
    this.#noteCommit(generation.ledger);
    this.#prepare(generation, said);
  }

  #prepare(generation: Generation, said: string): void {
    this.#move({ kind: "preparing", generation, said, held: false }, "committed");
    generation.commit();
    if (generation.isReady) this.#start(generation);
    this.#callerTurn.recordProgress(said);
  }

  #answerQuickly(said: string, kind: NonNullable<ReturnType<typeof matchQuickReply>>): void {
    const ledger = new Ledger();
    this.#noteCommit(ledger);
    this.#recordCallerTurn(said);
    const text = this.#deps.quickReplyText(kind);
    this.#speak("quickReply");
    this.#agentTurn.say([text], { source: "quickReply", ledger, endsCall: kind === "farewell" });
  }

  #noteCommit(ledger: Ledger): void {
    const { clock, vad, listener } = this.#deps;
    ledger.committedAtMs = clock.nowMs();
    ledger.speechEndAtMs = vad.lastSpeechAtMs;
    ledger.sttInterimAtMs = listener.takenInterimAtMs;
    ledger.sttFinalAtMs = listener.takenFinalAtMs;
  }

  // ---- preparing

  #generate(said: string, aid: ReplyAid | null = null): Generation {
    const events: GenerationEvents = {
      onReady: () => {
        if (this.#state.kind === "preparing" && this.#state.generation === generation)
          this.#start(generation);
      },
      onToolsStart: () => {
        if (this.#state.kind === "preparing") this.#recordCallerTurn(this.#state.said);
      },
      onToolRound: (answers) => this.#deps.history.addToolRound(answers),
      onDone: (endsCall, shortfall) => {
        this.#agentTurn.onDone(generation.intended, endsCall, shortfall);
        this.#deps.playout.end();
      },
      onFailed: (error, provider) => {
        if (this.#eager.is(generation))
          this.#eager.onFailed(error, provider); // T4
        else this.#deps.onProviderFailed(error, provider);
      },
    };
    const generation = this.#deps.generate(said, new Ledger(), events, aid);
    return generation;
  }

  /** The caller makes a sound before he has heard anything of the reply. */
  #considerAddition(state: TurnState & { kind: "preparing" }): void {
    const { vad, listener } = this.#deps;
    if (listener.hasWords) this.#echo.forgetLate();
    if (listener.hasWords && this.#restarts < MAX_RESTARTS) {
      return this.#restart(state.generation, state.said);
    }
    if (vad.isSpeech) {
      state.held = true;
    } else if (state.held && this.#unansweredMs() >= HOLD_RELEASE_MS) {
      state.held = false;
      if (state.generation.isReady) this.#start(state.generation);
    }
  }

  /** T2: what was said goes on; the reply to its first half is not wanted any more. */
  #restart(generation: Generation, said: string): void {
    generation.discard();
    this.#agentTurn.forgetQueued();
    this.#restarts += 1;
    this.#deps.counters.replyRestarted();
    this.#callerTurn.carry(said);
    this.#move({ kind: "listening" }, "the caller went on");
  }

  // ---- speaking

  #start(generation: Generation): void {
    const state = this.#state;
    if (state.kind !== "preparing" || state.held) return;
    this.#recordCallerTurn(state.said);
    this.#speak("model");
    this.#agentTurn.play(generation);
  }

  /** The agent has the floor: what it says follows. */
  #speak(source: ReplySource): void {
    this.#restarts = 0;
    this.#eager.newTurn();
    const fromMs = Math.max(this.#deps.vad.positionMs, this.#earlierMs);
    this.#move({ kind: "speaking", interruption: new Interruption(this.#interruptionDeps, fromMs) }, source);
  }

  /** The caller is silent, and the recogniser has had time for words of what came before. */
  #unansweredMs(): number {
    return Math.min(this.#deps.vad.silenceMs, this.#listening.sinceSpeechMs);
  }

  #cut(): void {
    const decidedAtMs = this.#deps.clock.nowMs();
    this.#agentTurn.interrupt(decidedAtMs, () => {
      const typed = this.#typed;
      this.#typed = "";
      if (typed !== "") this.onDigits(typed);
    });
    this.#wordless.ignoreSoundBefore(this.#deps.vad.speechStartedAtMs ?? decidedAtMs); // what cut us counts
    this.#move({ kind: "listening" }, "barge-in");
    this.#deps.onActivity(); // not before: what cut us may have been no word, and the silence after it counts
    this.#runAfterReply();
  }

  // ---- common

  #listen(reason: string): void {
    this.#wordless.ignoreSoundBefore(this.#deps.clock.nowMs());
    this.#move({ kind: "listening" }, reason);
    if (this.#runAfterReply()) return;
    this.#deps.onIdle();
    this.consider();
  }

  #runAfterReply(): boolean {
    const body = this.#afterReply;
    this.#afterReply = null;
    body?.();
    return body !== null;
  }

  get #isOver(): boolean {
    return this.#state.kind === "closing";
  }

  #recordCallerTurn(said: string): void {
    if (this.#callerTurn.record(said)) this.#wordless.onTurn();
  }

  #quickReply(said: string): ReturnType<typeof matchQuickReply> {
    return matchQuickReply(said, this.#deps.language, this.#agentTurn.text.trimEnd().endsWith("?"));
  }

  #move(next: TurnState, reason: string): void {
    const previous = this.#state.kind;
    if (previous === "closing" && next.kind !== "closing") return;
    this.#state = next;
    this.#endOfTurn.forget();
    this.#deps.log.debug({ from: previous, to: next.kind, reason, turn: this.turn }, "turn");
  }
}

/**
 * A call's journal, read again by the owner that goes on with it: what was said, how far the conversation is,
 * and what is owed to the caller. Pure: nothing but the events decides.
 *
 * Invariants
 * R1 the history is made by the same calls in the same order as the former owner's: replayed equals live, but
 *    for the ids of tool calls and the grouping of tools that ran side by side, which the journal does not tell.
 * R2 of a reply that nobody finished, history and rest begin where hearing is certain: a clause may be said
 *    twice, no word is claimed that was not heard (H1).
 * R3 what the caller said last is answered, once.
 */
import type { CallOutcome } from "#runtime/cluster";
import type { JournalEvent, JournalFact } from "#actors/journal";
import { isBackchannel, phrasesFor } from "#actors/speech";
import type { TenantConfig } from "#actors/tenants";
import { type AudioFormat, MULAW_8K, type PlayoutRest } from "#runtime/media";
import { type CarriedSpeech, carriedSpeech } from "./carried-speech.js";
import type { History, ToolAnswer } from "./history.js";
import { type OpenReply, type ReplySource, restOfReply, wordsOf } from "./reply-progress.js";
import { quickReplyText } from "./tenant-phrases.js";
import type { CachedSpeech } from "./voice-cache.js";

/**
 * Of a longer journal the oldest are passed over, but for the first: a four-hour call with a turn every five
 * seconds stays below it, and the history holds far less. Replaying as many takes some 20 ms.
 */
export const REPLAY_EVENTS_MAX = 20_000;

type Fact<K extends JournalFact["kind"]> = Extract<JournalFact, { kind: K }>;

/** Where the conversation stands. */
export type ResumePoint =
  /** Nobody has been greeted. */
  | { readonly kind: "greet" }
  /** The agent was speaking; `text` was not heard. */
  | {
      readonly kind: "speak";
      readonly source: ReplySource;
      readonly text: string;
      readonly endsCall: boolean;
      /** Said before `text`: audio that the leg still has. */
      readonly carried: CachedSpeech | null;
    }
  /**
   * The caller's turn has no answer, or one whose rest nobody knows. `said` is what no `callerTurn` has told
   * yet; `heard` what he heard of the answer.
   */
  | {
      readonly kind: "answer";
      readonly said: string;
      readonly heard: string;
      readonly carried: CachedSpeech | null;
    }
  /** He was asked for a message, for want of what `code` says: the rest of the offer, then what he says is kept. */
  | {
      readonly kind: "message";
      readonly code: string;
      readonly text: string;
      readonly carried: CachedSpeech | null;
      /** A part of it is kept already. */
      readonly hasPart: boolean;
    }
  /** Last words were being said; `text` is empty when they were heard. */
  | { readonly kind: "leave"; readonly text: string; readonly outcome: CallOutcome }
  /** It is the caller's turn to speak. */
  | { readonly kind: "listen" };

/** How a turn names keys that were pressed: history, journal and model read it. */
export function typedText(digits: string): string {
  return `${TYPED}${digits.split("").join(" ")}]`;
}

const TYPED = "[typed on the keypad: ";
const TYPED_KEYS = /\[typed on the keypad: ([^\]]*)\]/g;

/** The keys that a turn names. */
function typedKeys(said: string): string {
  return Array.from(said.matchAll(TYPED_KEYS), ([, keys]) => keys!.replaceAll(" ", "")).join("");
}

export interface Replayed {
  readonly point: ResumePoint;
  readonly nextSequence: number;
  /** Number of the last caller turn; 0 before the first. */
  readonly turn: number;
  /** Wall clock when the call began; null when the journal does not tell. */
  readonly startedAtUnixMs: number | null;
  /** What the caller may be answering: the agent's last words of substance. */
  readonly agentText: string;
  /** Silence prompts in a row. */
  readonly silencePrompts: number;
  /** What the caller had said and no turn has taken: he was not done, or a reply was being spoken. */
  readonly pending: string;
  /** How far into his audio what is told reaches. */
  readonly throughAtMs: number | null;
  /** Keys that were pressed and belong to no turn yet. */
  readonly digits: string;
  /** Whose `agentTurn` the new owner must write; it is in the history already. */
  readonly open: (OpenReply & { readonly cut: "legEnded" | "bargeIn" }) | null;
  /** Words of `carried` that the carrier has already; null: it plays nothing that is gone on with. */
  readonly queuedWords: number | null;
  /** The carrier is in the midst of something that nobody knows: it must be told to forget it. */
  readonly mustClear: boolean;
}

/** What the leg tells, when it is still the one of the owner before. */
export interface StillPlaying {
  readonly playing: PlayoutRest;
  readonly format: AudioFormat;
}

/** Fills `history`, which must be empty. */
export function replayJournal(
  events: readonly JournalEvent[],
  history: History,
  tenant: TenantConfig,
  leg: StillPlaying | null = null,
): Replayed {
  const replay = new Replay(history, tenant);
  const first = events[0];
  const recent = events.slice(-REPLAY_EVENTS_MAX);
  if (first !== undefined && first !== recent[0]) replay.apply(first);
  for (const event of recent) replay.apply(event);
  return replay.finish(leg);
}

interface Said {
  readonly turn: number;
  readonly said: string;
  /** Of a `callerTurn`; otherwise still open to additions. */
  readonly isRecorded: boolean;
  /** He was not taken to be done. */
  readonly isOpen: boolean;
}

/** What is left of a reply that was broken off. */
interface Owed extends OpenReply {
  readonly whole: boolean;
  /** What of it the leg still has: it is gone on with word by word, not clause by clause. */
  readonly carried: CarriedSpeech | null;
}

class Replay {
  readonly #history: History;
  readonly #tenant: TenantConfig;
  readonly #silencePrompts: ReadonlySet<string>;
  /** Texts after which the caller still answers what the agent said before. */
  readonly #asides: ReadonlySet<string>;
  #nextSequence = 0;
  #turn = 0;
  #startedAtUnixMs: number | null = null;
  #agentText = "";
  #silenceCount = 0;
  /** Pressed, and of no turn yet. */
  #digits = "";
  /** Of the last turn that keys were part of: it is told as it goes and once more when it is over. */
  #typed = { turn: -1, keys: "" };
  #hasGreeted = false;
  /** The caller's last turn while nothing of an answer was played. */
  #unanswered: Said | null = null;
  #throughAtMs: number | null = null;
  #open: Owed | null = null;
  #owed: Owed | null = null;
  #leaving: { readonly text: string; readonly outcome: CallOutcome } | null = null;
  /** The turn in which the model asked for the end of the call. */
  #endsCallTurn: number | null = null;
  #lastFailure = "INTERNAL";
  /** A message was asked for; `asking`: what asks for it and was not heard to its end, null when it was. */
  #message: { readonly code: string; asking: Owed | null; hasPart: boolean } | null = null;
  /** Tools that ran side by side: one round of the history. */
  #round: { readonly answers: ToolAnswer[]; endedAtMs: number; readonly epoch: number } | null = null;

  constructor(history: History, tenant: TenantConfig) {
    const phrases = phrasesFor(tenant.language);
    this.#history = history;
    this.#tenant = tenant;
    this.#silencePrompts = new Set(phrases.silencePrompts);
    this.#asides = new Set([...phrases.didNotCatch, phrases.cutOff, `${phrases.cutOff} ${phrases.goOn}`]);
  }

  apply(event: JournalEvent): void {
    this.#nextSequence = event.sequence + 1;
    switch (event.kind) {
      case "callStarted":
        this.#startedAtUnixMs = event.atUnixMs;
        return;
      case "callerProgress":
        this.#noteSaid(event, false, event.isOpen);
        return;
      case "callerTurn":
        return this.#onCallerTurn(event);
      case "agentProgress":
        return this.#onProgress(event);
      case "agentTurn": {
        const whole = event.cut === null || event.source !== "model" || this.#isWhole(event);
        this.#open = null;
        return this.#onAgentTurn({ ...event, ...event.pii, whole, carried: null }, event.cut);
      }
      case "toolCalled":
        return this.#onTool(event);
      case "dtmf":
        this.#digits += event.pii.digit;
        this.#silenceCount = 0;
        return;
      case "bargeIn":
      case "bargeInRejected":
        this.#silenceCount = 0;
        return;
      case "providerFailed":
        if (event.fallback === null) this.#lastFailure = event.code;
        return;
      case "messageOffered": {
        const { messageOffer: intended } = phrasesFor(this.#tenant.language);
        const asking = { turn: this.#turn, source: "prompt", intended, heard: "" } as const;
        this.#message ??= {
          code: event.code,
          asking: { ...asking, whole: true, carried: null },
          hasPart: false,
        };
        return;
      }
      case "messageTaken":
        if (event.more && this.#message !== null) {
          this.#message.hasPart = true;
          return;
        }
        // It is kept: what is left to say is goodbye.
        this.#leaving = {
          text: phrasesFor(this.#tenant.language).messageThanks,
          outcome: { kind: "providerFailed", code: this.#lastFailure },
        };
        return;
      case "eagerDiscarded":
      case "legLost":
      case "callResumed":
      case "callEnded":
        return;
    }
  }

  finish(leg: StillPlaying | null): Replayed {
    let open = this.#open;
    const carried = carriedSpeech(leg?.playing ?? null, open, leg?.format ?? MULAW_8K);
    const cut = carried.kind === "cut" ? "bargeIn" : "legEnded";
    const goesOn = carried.kind === "goesOn" ? carried : null;
    if (open !== null) {
      if (goesOn !== null) open = { ...open, heard: heardBy(open, goesOn), carried: goesOn };
      // Its owner died with it: what is certain of it was heard, and then the line was cut.
      this.#onAgentTurn(open, cut);
    }
    this.#closeRound();
    return {
      queuedWords: goesOn?.queuedCount ?? null,
      mustClear: carried.kind === "unknown" && carried.isOut,
      point: this.#point(),
      nextSequence: this.#nextSequence,
      turn: this.#turn,
      startedAtUnixMs: this.#startedAtUnixMs,
      agentText: this.#agentText,
      silencePrompts: this.#silenceCount,
      pending: this.#unanswered?.isOpen === true ? this.#unanswered.said : "",
      throughAtMs: this.#throughAtMs,
      digits: this.#digits,
      open: open === null ? null : { ...open, cut },
    };
  }

  #point(): ResumePoint {
    const owed = this.#owed;
    const endsCall = this.#endsCallTurn !== null && this.#endsCallTurn === this.#turn;
    if (this.#leaving !== null) return { kind: "leave", ...this.#leaving };
    if (this.#message !== null) {
      const { code, asking, hasPart } = this.#message;
      const carried = asking?.carried?.speech.text ? asking.carried.speech : null;
      return { kind: "message", code, text: asking === null ? "" : this.#restOf(asking), carried, hasPart };
    }
    const unanswered = this.#unanswered;
    if (unanswered !== null && !unanswered.isOpen && !this.#isOverheard(unanswered.said)) {
      if (endsCall) return { kind: "leave", text: this.#goodbye, outcome: { kind: "agentHungUp" } };
      const { said, isRecorded } = unanswered;
      return { kind: "answer", said: isRecorded ? "" : said, heard: "", carried: null }; // R3
    }
    if (owed !== null) {
      const { source, heard } = owed;
      const carried = owed.carried?.speech.text ? owed.carried.speech : null;
      if (!owed.whole && !endsCall) return { kind: "answer", said: "", heard, carried };
      const text = this.#restOf(owed);
      if (text !== "" || carried !== null) return { kind: "speak", source, text, endsCall, carried };
      if (endsCall) return { kind: "leave", text: "", outcome: { kind: "agentHungUp" } };
    }
    return this.#hasGreeted || this.#turn > 0 ? { kind: "listen" } : { kind: "greet" };
  }

  /** Without the word about an earlier gap: a new one comes before it, or none is needed. */
  #restOf({ intended, heard, carried }: Owed): string {
    if (carried !== null)
      return wordsOf(intended)
        .slice(carried.heardCount + carriedCount(carried))
        .join(" ");
    const { cutOff } = phrasesFor(this.#tenant.language);
    if (!intended.startsWith(cutOff)) return restOfReply(intended, heard);
    const heardOfRest = heard.split(" ").slice(cutOff.split(" ").length).join(" ");
    return restOfReply(intended.slice(cutOff.length), heardOfRest);
  }

  /** "Uh-huh", said over a reply: no reason not to go on with it. */
  #isOverheard(said: string): boolean {
    return this.#owed !== null && isBackchannel(said, this.#tenant.language);
  }

  get #goodbye(): string {
    return phrasesFor(this.#tenant.language).goodbye;
  }

  #onCallerTurn(event: Fact<"callerTurn">): void {
    const { turn, pii } = event;
    this.#closeRound();
    this.#history.addCaller(pii.said);
    this.#turn = turn;
    this.#noteSaid(event, true, false);
  }

  #noteSaid(event: Fact<"callerTurn" | "callerProgress">, isRecorded: boolean, isOpen: boolean): void {
    const { turn, throughAtMs, pii } = event;
    this.#unanswered = { turn, said: pii.said, isRecorded, isOpen };
    this.#throughAtMs = throughAtMs;
    this.#silenceCount = 0;
    if (pii.said.includes(TYPED)) this.#takeTyped(turn, typedKeys(pii.said));
  }

  /** Keys that are part of a turn; what was pressed since it was first told of them belongs to the next number. */
  #takeTyped(turn: number, keys: string): void {
    const told = this.#typed.turn === turn ? this.#typed.keys : "";
    const fresh = keys.startsWith(told) ? keys.slice(told.length) : keys;
    this.#typed = { turn, keys };
    const rest = this.#digits.startsWith(fresh) ? this.#digits.slice(fresh.length) : "";
    this.#digits = rest.replace(/^#/, ""); // it ended the number
  }

  #onProgress({ turn, source, whole, pii }: Fact<"agentProgress">): void {
    const begun = { turn, source, whole, carried: null, ...pii };
    const open = this.#open;
    // Another reply has begun, and the end of this one was never written.
    if (open !== null && (open.turn !== turn || open.source !== source)) this.#onAgentTurn(open, "legEnded");
    this.#open = begun;
    this.#noteBegun(begun);
  }

  #isWhole({ turn, source, pii }: Fact<"agentTurn">): boolean {
    const open = this.#open;
    return open?.turn === turn && open.source === source && open.whole && open.intended === pii.intended;
  }

  #onAgentTurn(reply: Owed, cut: Fact<"agentTurn">["cut"]): void {
    this.#closeRound();
    this.#history.addAgent(reply.heard);
    this.#noteBegun(reply);
    const { source, intended, heard } = reply;
    if (!this.#asides.has(intended)) this.#agentText = intended;
    const outcome = this.#lastWords(reply);
    if (cut === "bargeIn") {
      this.#leaving = null;
      this.#endsCallTurn = null;
    } else if (outcome !== null && cut !== "failed") {
      // All of it once more: it is short, its audio is cached, and a word of goodbye alone says little.
      this.#leaving = { text: restOfReply(intended, heard) === "" ? "" : intended, outcome };
    } else if (cut === null && this.#endsCallTurn === reply.turn && source === "model") {
      this.#leaving = { text: "", outcome: { kind: "agentHungUp" } };
    }
    if (source === "prompt") {
      this.#noteAsking(reply, cut);
      // Said between two replies: what is owed stays owed.
      if (cut === null && this.#silencePrompts.has(intended)) this.#silenceCount += 1;
      return;
    }
    this.#owed = cut === "legEnded" ? reply : null;
  }

  /** The offer, its rest, or the prompt that repeats it. */
  #noteAsking(reply: Owed, cut: Fact<"agentTurn">["cut"]): void {
    if (this.#message === null) return;
    const { cutOff, messageOffer, messagePrompt } = phrasesFor(this.#tenant.language);
    const { intended } = reply;
    const words = intended.startsWith(cutOff) ? intended.slice(cutOff.length).trim() : intended;
    // What was cut for the offer is told after it.
    if (!messageOffer.endsWith(words) && !messagePrompt.endsWith(words)) return;
    this.#message.asking = cut === null ? null : reply;
  }

  /** Something of this reply was played, or it is over: the turn it answers has its answer. */
  #noteBegun({ turn, source }: OpenReply): void {
    if (source === "greeting") this.#hasGreeted = true;
    if (source === "prompt") return;
    this.#owed = null;
    if (this.#unanswered !== null && turn >= this.#unanswered.turn) this.#unanswered = null;
  }

  /** How the call ends when this was said; null for what is no goodbye. */
  #lastWords({ source, intended }: OpenReply): CallOutcome | null {
    const phrases = phrasesFor(this.#tenant.language);
    if (source !== "prompt" && source !== "quickReply") return null;
    switch (intended) {
      case quickReplyText(this.#tenant, "farewell"):
      case phrases.goodbye:
        return { kind: "agentHungUp" };
      case phrases.silenceGoodbye:
        return { kind: "callerSilent" };
      case phrases.callTooLong:
        return { kind: "maxDuration" };
      case phrases.messageThanks:
      case phrases.apology.providerDown:
        return { kind: "providerFailed", code: this.#lastFailure };
      default:
        return null;
    }
  }

  #onTool(event: Fact<"toolCalled"> & JournalEvent): void {
    const { tool, pii, durationMs, atMs, epoch, sequence } = event;
    const call = { id: `call_${sequence}`, name: tool, argumentsJson: pii.argumentsJson };
    const answer: ToolAnswer = { call, text: pii.result };
    if (event.ok && tool === "end_call") this.#endsCallTurn = event.turn;
    const round = this.#round;
    // It had begun when the one before ended: both were asked for together. A next round asks the model first.
    if (round !== null && round.epoch === epoch && atMs - durationMs <= round.endedAtMs) {
      round.answers.push(answer);
      round.endedAtMs = atMs;
      return;
    }
    this.#closeRound();
    this.#round = { answers: [answer], endedAtMs: atMs, epoch };
  }

  #closeRound(): void {
    if (this.#round !== null) this.#history.addToolRound(this.#round.answers);
    this.#round = null;
  }
}

/** At least what the journal told; a mark that came back may tell more. */
function heardBy(open: OpenReply, { heardCount }: CarriedSpeech): string {
  return wordsOf(open.intended).slice(0, heardCount).join(" ");
}

function carriedCount({ speech }: CarriedSpeech): number {
  return wordsOf(speech.text).length;
}

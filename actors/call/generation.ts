/**
 * One reply in the making: model → clauses → voice, tool rounds included.
 *
 *   round 0: text … text, tool calls → (committed?) run tools → round 1: text …, stop → done
 *            └ segment 0 (one voice stream) ┘                   └ segment 1 ┘
 *
 * It may begin eagerly, before the caller's turn is confirmed. Until `commit()` no tool runs; until
 * `attach()` no audio leaves: it is held here. `discard()` ends it at any point without a trace.
 *
 * Invariants
 * G1 nothing of it is heard but through its ReplyAudio, in the order of the text.
 * G2 exactly one of `onDone` and `onFailed` fires, unless discarded, then neither.
 * G3 at most MAX_TOOL_ROUNDS rounds offer tools; the one after must answer in words.
 * G4 a committed reply asks once more where that may help (retry.ts), as long as nothing of the failed round
 *    was handed on; at most MAX_RETRIES times in all its rounds.
 * G5 what was handed on stays said. A model that fails within its answer is asked (who that is, its chain knows) to
 *    go on after the last piece of it, at most MAX_CONTINUATIONS times, without tools where it could not write the
 *    call; where nobody can, the reply ends there, and the failure is told when it was heard.
 * G6 one filler at most per reply (Fillers). Where it comes within an answer, what comes after is another segment.
 */
import type { Clock, TimerHandle } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type {
  LlmProvider,
  LlmRequest,
  LlmStream,
  LlmToolCall,
  TtsProvider,
  TtsRequest,
} from "#actors/providers";
import { ClauseSplitter } from "#actors/speech";
import type { ToolOutcome } from "#actors/tools";
import { Fillers } from "./fillers.js";
import type { ToolAnswer } from "./history.js";
import type { Ledger } from "./ledger.js";
import { type Continuation, continueAfter } from "./continuation.js";
import { ReplyAudio } from "./reply-audio.js";
import { MAX_CONTINUATIONS, MAX_RETRIES, isBreak, isOfTools, retryAfter } from "./retry.js";
import type { Segment, SegmentSink, SwitchNote } from "./segment.js";
import type { CachedSpeech } from "./voice-cache.js";

/** More rounds than any sensible request needs; a model that loops is stopped here. */
const MAX_TOOL_ROUNDS = 4;
/** Calls of one round that are run; a model that asks for more gets a refusal for the rest. */
export const MAX_PARALLEL_TOOLS = 8;

export interface GenerationDeps {
  readonly clock: Clock;
  readonly llm: LlmProvider;
  readonly tts: TtsProvider;
  readonly ttsRequest: TtsRequest;
  /** Spoken when a tool or the model keeps the caller waiting; null when it is not cached. */
  readonly filler: () => CachedSpeech | null;
  /** Spoken when the model ends the call without a word of goodbye. */
  readonly goodbye: () => CachedSpeech | null;
  /** Never rejects. */
  readonly runTool: (call: LlmToolCall) => Promise<ToolOutcome>;
  /** Runs a callback so that a throw becomes the call's crash and not the thread's. */
  readonly guard: (body: () => void) => void;
  /** A model or a voice failed, and another went on. */
  readonly onSwitched: SwitchNote;
}

/** Why a reply ends before its end, with what was handed on. */
export interface Shortfall {
  readonly error: LumentraError;
  readonly provider: string;
}

export interface GenerationEvents {
  /** First audio of the reply exists, or there will be none; it can be attached to a playout. */
  onReady(): void;
  /** Tools are about to run: what they answer has been said by now. */
  onToolsStart(): void;
  /** Tools have run; also told of a reply that was discarded while they did. */
  onToolRound(answers: readonly ToolAnswer[]): void;
  /** All audio was delivered. `endsCall`: hang up once it was heard. `shortfall`: fail then (G5). */
  onDone(endsCall: boolean, shortfall: Shortfall | null): void;
  onFailed(error: LumentraError, provider: string): void;
}

type Phase = "streaming" | "retryWait" | "toolsHeld" | "toolsRunning" | "speaking" | "over";

export class Generation {
  /** The caller's words this answers. */
  readonly basis: string;
  readonly ledger: Ledger;
  /** Text sent to the voice so far. */
  intended = "";

  readonly #deps: GenerationDeps;
  readonly #events: GenerationEvents;
  /** Nothing is added to `intended` any more. */
  isWhole = false;

  readonly #audio: ReplyAudio;
  readonly #fillers: Fillers;
  #request: LlmRequest;
  #phase: Phase = "streaming";
  #committed = false;
  #onWhole: () => void = () => {};
  #round = 0;
  #llmStream: LlmStream | null = null;
  #splitter = new ClauseSplitter();
  #segment: Segment | null = null;
  #roundText = "";
  /** The model has said something in a round before. */
  #hasAnswered = false;
  /** Where in `intended` the round begins: behind what is no answer of the model's, too. */
  #roundStart = 0;
  #toolCalls: LlmToolCall[] = [];
  #endsCall = false;
  /** A part of the round is heard already, in a segment that is closed. */
  #hasClosedPart = false;
  #retry: TimerHandle | null = null;
  #retryCount = 0;
  /** While the model goes on where another broke off. */
  #continuation: Continuation | null = null;
  #continuationCount = 0;
  /** What comes next follows another model's words. */
  #isAtSeam = false;
  /** The round's model has begun to answer. */
  #roundHasText = false;
  #shortfall: Shortfall | null = null;

  constructor(
    basis: string,
    request: LlmRequest,
    ledger: Ledger,
    deps: GenerationDeps,
    events: GenerationEvents,
  ) {
    this.basis = basis;
    this.#request = request;
    this.ledger = ledger;
    this.#deps = deps;
    this.#events = events;
    const { clock, tts, guard, filler } = deps;
    this.#audio = new ReplyAudio(deps, {
      onFirst: () => this.#onFirstAudio(),
      onMute: () => this.#startIfMute(),
      onDrained: () => this.#settleIfSpoken(),
      onFailed: (error) => this.#fail(error, tts.name),
    });
    this.#fillers = new Fillers({
      clock,
      guard,
      filler,
      wouldBeFirst: () => this.#phase !== "over" && !this.#audio.isWaiting,
      isHeard: () => this.#phase === "streaming" && this.#audio.sink !== null,
      leftMs: () => (this.#roundText === "" ? null : this.#audio.sink!.leftMs),
      onFirst: (speech) => this.#addCached(speech),
      onStall: (speech) => this.#bridgeStall(speech),
    });
    ledger.llmStartAtMs = deps.clock.nowMs();
    this.#startRound();
  }

  /** It can be attached: there is audio, or there will be none. */
  get isReady(): boolean {
    return this.#audio.hasAudio || this.#isMute;
  }

  /** The voice made no sound of any of it. */
  get #isMute(): boolean {
    return this.#phase === "speaking" && this.#audio.isMute;
  }

  /** Said before all that comes from the model; only right after construction. */
  lead(speech: CachedSpeech | string): void {
    if (typeof speech === "string") {
      const segment = this.#audio.open();
      this.intended = speech;
      this.#roundStart = speech.length;
      segment.push(speech);
      segment.finish();
    } else {
      this.#addCached(speech);
    }
  }

  /** The caller's turn is over: tools may run now. */
  commit(): void {
    if (this.#committed) return;
    this.#committed = true;
    this.#armFiller();
    if (this.#phase === "toolsHeld") this.#runTools();
  }

  /** Audio held so far and all to come goes to `sink`. Only after `commit()`. `onWhole`: see `isWhole`. */
  attach(sink: SegmentSink, onWhole: () => void = () => {}): void {
    this.#onWhole = onWhole;
    this.#audio.attach(sink);
    this.#fillers.watch();
  }

  /** Idempotent: cancels whatever runs. */
  discard(): void {
    this.#phase = "over";
    this.#fillers.close();
    this.#retry?.cancel();
    this.#llmStream?.cancel();
    this.#audio.close();
  }

  #startRound(): void {
    this.#phase = "streaming";
    this.#splitter = new ClauseSplitter();
    this.#segment = null;
    this.#roundText = "";
    this.#roundStart = this.intended.length;
    this.#continuation = null;
    this.#isAtSeam = false;
    this.#roundHasText = false;
    this.#hasClosedPart = false;
    this.#ask(this.#request);
  }

  #ask(request: LlmRequest): void {
    const { clock, llm, guard, onSwitched } = this.#deps;
    this.#toolCalls = [];
    this.#llmStream = llm.generate(request, {
      onText: (delta) => guard(() => this.#onText(delta, clock.nowMs())),
      onToolCall: (call) => guard(() => this.#onToolCall(call)),
      onSwitched: (from, to, code) => guard(() => onSwitched(from, to, code)),
      onDone: () => guard(() => this.#onRoundDone()),
      onError: (error) => guard(() => this.#onModelError(error)),
    });
  }

  #onText(delta: string, atMs: number): void {
    if (this.#phase !== "streaming") return;
    this.ledger.llmFirstTokenAtMs ??= atMs;
    this.#roundHasText = true;
    this.#fillers.onText(atMs);
    const text = this.#continuation === null ? delta : this.#continuation.push(delta);
    for (const piece of this.#splitter.push(text)) this.#speak(piece);
  }

  #onToolCall(call: LlmToolCall): void {
    if (this.#phase === "streaming") this.#toolCalls.push(call);
  }

  #onRoundDone(): void {
    if (this.#phase !== "streaming") return;
    const rest = this.#continuation?.finish() ?? "";
    for (const piece of this.#splitter.push(rest)) this.#speak(piece);
    for (const piece of this.#splitter.finish()) this.#speak(piece);
    this.#segment?.finish();
    if (this.#toolCalls.length === 0 && this.#roundText.trim() === "" && !this.#hasAnswered) {
      const error = new LumentraError(
        "LLM_PROTOCOL_ERROR",
        "the model answered with no text and no tool call",
      );
      this.#giveUp(error);
    } else if (this.#toolCalls.length === 0) {
      this.#finishText();
    } else {
      this.#phase = "toolsHeld";
      if (this.#committed) this.#runTools();
    }
  }

  #onModelError(error: LumentraError): void {
    if (this.#phase !== "streaming") return;
    if (this.#askAgain(error) || this.#goOn(error)) return;
    this.#giveUp(error);
  }

  /** Something of the round has left for the playout: it cannot be taken back. */
  get #isHandedOn(): boolean {
    return this.#hasClosedPart || (this.#segment !== null && this.#audio.sink !== null);
  }

  /** G5. What the splitter still held was not said: the clause is written anew. */
  #goOn(error: LumentraError): boolean {
    // Before its first word the chain has asked everybody already.
    if (!this.#committed || !isBreak(error) || !this.#roundHasText) return false;
    if (this.#continuationCount >= MAX_CONTINUATIONS) return false;
    this.#continuationCount += 1;
    if (isOfTools(error)) this.#request = { ...this.#request, tools: [] };
    this.#splitter = new ClauseSplitter();
    this.#roundHasText = this.#roundText !== "";
    if (this.#roundHasText) {
      const { request, seam } = continueAfter(this.#request, this.#roundText);
      this.#continuation = seam;
      this.#isAtSeam = true;
      this.#ask(request);
    } else {
      this.#ask(this.#request);
    }
    return true;
  }

  /** G5. Nobody goes on: what was handed on, of whichever round, a filler's words too, is heard to its end. */
  #giveUp(error: LumentraError): void {
    const provider = this.#deps.llm.name;
    if (this.#audio.sink === null || this.intended === "") return this.#fail(error, provider);
    this.#shortfall = { error, provider };
    this.#segment?.finish();
    this.#finishText();
  }

  /** G4. False: this failure is the reply's. */
  #askAgain(error: LumentraError): boolean {
    if (!this.#committed || this.#isHandedOn || this.#retryCount >= MAX_RETRIES) return false;
    const retry = retryAfter(error);
    if (retry === null) return false;
    this.#retryCount += 1;
    this.#forgetRound();
    if (retry.withoutTools) this.#request = { ...this.#request, tools: [] };
    this.#phase = "retryWait";
    this.#retry = this.#deps.clock.setTimer(retry.waitMs, () => this.#deps.guard(() => this.#startRound()));
    return true;
  }

  /** What the round has said so far was not handed on: as if it had not begun. */
  #forgetRound(): void {
    if (this.#segment === null) return;
    this.#audio.drop(this.#segment);
    this.intended = this.intended.slice(0, this.#roundStart);
    if (this.intended === "") this.ledger.llmFirstTokenAtMs = null;
    if (!this.#audio.hasAudio) this.ledger.ttsFirstAudioAtMs = null;
  }

  #speak(piece: string): void {
    if (this.#segment === null) {
      this.#segment = this.#audio.open();
      if (this.intended !== "" && !/\s$/.test(this.intended)) this.intended += " ";
    }
    const needsSpace = this.#isAtSeam && !/\s$/.test(this.intended) && !/^\s/.test(piece);
    this.#isAtSeam = false;
    const text = needsSpace ? ` ${piece}` : piece;
    this.#roundText += text;
    this.intended += text;
    this.#segment.push(text);
  }

  #addCached(speech: CachedSpeech): void {
    if (this.intended !== "") this.intended += " ";
    this.intended += speech.text;
    this.#roundStart = this.intended.length;
    this.#audio.addCached(speech);
  }

  #onFirstAudio(): void {
    this.#fillers.onAudio();
    this.ledger.ttsFirstAudioAtMs ??= this.#deps.clock.nowMs();
    this.#events.onReady();
  }

  #finishText(): void {
    this.#phase = "speaking";
    this.isWhole = true;
    this.#onWhole();
    this.#audio.drain();
    this.#settleIfSpoken();
    this.#startIfMute();
  }

  /** Else nobody would ever take it, and the caller wait for good. */
  #startIfMute(): void {
    if (this.#isMute && this.#audio.sink === null) this.#events.onReady();
  }

  #settleIfSpoken(): void {
    if (this.#phase !== "speaking" || !this.#audio.isTaken) return;
    this.#phase = "over";
    this.#fillers.close();
    this.#audio.close();
    this.#events.onDone(this.#endsCall, this.#shortfall);
  }

  #runTools(): void {
    this.#phase = "toolsRunning";
    this.#events.onToolsStart();
    if (this.#roundText === "") this.#armFiller();
    const calls = this.#toolCalls;
    const running = calls.map((call, index) =>
      index < MAX_PARALLEL_TOOLS
        ? this.#deps.runTool(call)
        : Promise.resolve({ ok: false, text: `Too many tools at once; at most ${MAX_PARALLEL_TOOLS}.` }),
    );
    void Promise.all(running).then((outcomes) => this.#deps.guard(() => this.#onToolsDone(calls, outcomes)));
  }

  #onToolsDone(calls: readonly LlmToolCall[], outcomes: readonly ToolOutcome[]): void {
    const answers = calls.map((call, index) => ({ call, text: outcomes[index]!.text }));
    // Also for a reply that was cut meanwhile: what was booked is booked, and the next reply must know.
    this.#events.onToolRound(answers);
    if (this.#phase !== "toolsRunning") return;
    this.#hasAnswered ||= this.#roundText !== "";
    if (outcomes.some((outcome) => outcome.endCall === true)) {
      this.#endsCall = true;
      const goodbye = this.#hasAnswered ? null : this.#deps.goodbye();
      if (goodbye !== null) this.#addCached(goodbye);
      if (this.#hasAnswered || goodbye !== null) return this.#finishText();
    }
    this.#round += 1;
    this.#request = {
      ...this.#request,
      tools: this.#round < MAX_TOOL_ROUNDS ? this.#request.tools : [], // G3
      messages: [
        ...this.#request.messages,
        { role: "assistant", content: this.#roundText.trim(), toolCalls: calls },
        ...answers.map(({ call, text }) => ({
          role: "tool" as const,
          toolCallId: call.id,
          content: text,
        })),
      ],
    };
    this.#startRound();
  }

  /** G6. What was said is closed, so that the filler follows it; what the model still says is a new segment. */
  #bridgeStall(filler: CachedSpeech): void {
    this.#hasClosedPart = true;
    this.#segment?.finish();
    this.#segment = null;
    this.#addCached(filler);
  }

  /** None once anything of the reply can be heard. */
  #armFiller(): void {
    if (!this.#audio.hasAudio) this.#fillers.arm();
  }

  #fail(error: LumentraError, provider: string): void {
    if (this.#phase === "over") return;
    this.discard();
    this.#events.onFailed(error, provider);
  }
}

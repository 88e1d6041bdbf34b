/**
 * One call: begins it, or goes on with another owner's, and ends it exactly once. Its conversation is its stages'.
 *
 * Invariants
 * C1 `end()` is the one way out, runs once, and leaves no timer, stream or socket behind.
 * C2 nobody is left on a dead line: silence is asked about, failures are apologised for, then we hang up.
 * C3 every callback from outside runs under `guard`: a throw is this call's crash and nobody else's.
 */
import type { TimerHandle } from "#runtime/actor";
import { type CallOutcome, type CallStart, OUTCOME_OF_LEG_END } from "#runtime/cluster";
import type { LumentraError } from "#runtime/errors";
import type { LegEnd } from "#runtime/media";
import type { JournalEvent } from "#actors/journal";
import type { LlmMessage } from "#actors/providers";
import { phrasesFor } from "#actors/speech";
import { HandOver } from "./hand-over.js";
import { History } from "./history.js";
import { Ledger } from "./ledger.js";
import type { Lull } from "./lull.js";
import { greetingText, systemPrompt } from "./prompt.js";
import { planResume } from "./resume-plan.js";
import { type Replayed, replayJournal } from "./resume.js";
import { Stages, type StagesDeps } from "./stages.js";

/** The edge closes the leg within a tick of being asked; after this the call ends without its word. */
const HANG_UP_GRACE_MS = 2_000;

/** What is left of a reply is heard when its last mark is back: so much after the clock says that it was played. */
export const LAST_MARK_MS = 300;

export interface CallDeps extends StagesDeps {
  /** Told after each look at the rings. */
  readonly lull: Lull;
  /** This call's code begins to run, or ends: see ShardContext.enter(). */
  readonly enter: () => void;
  readonly leave: () => void;
  /** Ask the edge to close the leg. */
  readonly hangUp: () => void;
  /** The call is over and everything of it is released. */
  readonly onEnded: (outcome: CallOutcome) => void;
  /** A stage threw: the supervisor decides. */
  readonly onCrash: (error: unknown) => void;
}

export class Call {
  readonly #deps: CallDeps;
  readonly #stages: Stages;
  /** What another owner's journal says, until the call has begun; null for a call that begins here. */
  #replayed: Replayed | null;
  /** Wall clock; null when it was this owner that answered, or the journal does not tell. */
  readonly #startedAtUnixMs: number | null;
  readonly #timers: Record<"maxDuration" | "reply" | "hangUp", TimerHandle | null> = {
    maxDuration: null,
    reply: null,
    hangUp: null,
  };
  /** Set once we want the call to end: what it will be recorded as. */
  #leaving: CallOutcome | null = null;
  #ended = false;
  /** Another actor is to go on. */
  #handOver: HandOver | null = null;

  constructor(deps: CallDeps) {
    this.#deps = deps;
    const { clock, start, tenant } = deps;
    const history = new History(systemPrompt(tenant, clock.unixMs()));
    const journal = start.resumed?.journal as readonly JournalEvent[] | undefined;
    const playing = start.resumed?.playing ?? null;
    const stillPlaying = playing === null ? null : { playing, format: start.format };
    this.#replayed = journal === undefined ? null : replayJournal(journal, history, tenant, stillPlaying);
    this.#startedAtUnixMs = this.#replayed?.startedAtUnixMs ?? null;
    const events = {
      guard: this.#guard,
      onLeave: this.#leave,
      onHangUp: this.#hangUp,
      onFailed: this.#fail,
      onLegEnded: (end: LegEnd) => this.end(this.#leaving ?? OUTCOME_OF_LEG_END[end]),
    };
    this.#stages = new Stages(deps, events, history, this.#replayed);
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
      this.#stages.journal.record({ kind: "callStarted", tenantId, carrier, carrierCallId, nodeId, pii });
    const leftMs = Math.max(0, tenant.limits.callMinutes * 60_000 - this.#lastedMs());
    this.#timers.maxDuration = this.#after(leftMs, () =>
      this.#leave(phrasesFor(tenant.language).callTooLong, "legEnded", { kind: "maxDuration" }),
    );
    if (replayed !== null && resumed !== null) return this.#goOn(replayed, resumed);
    this.#stages.turns.sayPhrase(greetingText(tenant), "greeting", (atMs) =>
      counters.greetingStarted(start.webhookAtMs, atMs),
    );
  }

  /** What the conversation holds: for tests that compare owners. @internal */
  get conversation(): {
    readonly messages: readonly LlmMessage[];
    readonly turn: number;
    readonly digits: string;
  } {
    const { history, turns, keypad } = this.#stages;
    return { messages: history.messages(""), turn: turns.turn, digits: keypad.digits };
  }

  /** There is something in the in-ring. */
  onRingsReady(): void {
    if (this.#ended) return;
    this.#stages.inbound.drain();
    if (!this.#ended) this.#stages.turns.consider();
    if (this.#handOver !== null) this.#considerHandOver(this.#handOver);
    this.#deps.lull.isOn = this.#stages.isLull;
  }

  /** Words, then the end: for a drain whose grace ran out. */
  endSoon(outcome: CallOutcome): void {
    this.#leave(phrasesFor(this.#deps.tenant.language).goodbye, "legEnded", outcome);
  }

  /** The lease is another's: from here on this call writes nothing, and its leg is none of its business. */
  abandon(outcome: CallOutcome): void {
    this.#stages.journal.close();
    this.end(outcome);
  }

  /** Another actor of this node goes on, from the next instant at which nobody notices: then the call ends here. */
  handOver(): void {
    this.#handOver ??= new HandOver(this.#deps.clock, this.#stages);
    this.#considerHandOver(this.#handOver);
  }

  /**
   * C1 for an actor whose state cannot be trusted, or that hands over: everything of it is released, and the rings are
   * left as they are for whoever goes on. Must not throw: each step is worth more than the next.
   */
  relinquish(outcome: CallOutcome): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#attempt([
      () => this.#stages.message.close(true), // the next one listens on
      () => this.#stages.turns.handOver(),
      () => this.#stages.playout.close(), // a cut that waits is settled, and recorded
      () => this.#stages.journal.close(),
      () => this.#stages.stt.close(),
      () => this.#cancelTimers(),
    ]);
    this.#deps.onEnded(outcome);
  }

  /** C1. Idempotent. */
  end(outcome: CallOutcome): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#attempt([
      () => this.#stages.message.close(),
      () => this.#stages.turns.close("legEnded"),
      () => this.#stages.playout.close(),
      () => this.#stages.stt.close(),
      () => this.#cancelTimers(),
      () => this.#recordEnd(outcome),
    ]);
    // Whatever became of its last events: a slot that is not given back is lost for good, and the node writes the end.
    this.#deps.onEnded(outcome);
  }

  #recordEnd(outcome: CallOutcome): void {
    if (outcome.kind === "legLost") {
      // It may go on elsewhere: the node knows when it is over, and counts it then (J2).
      this.#stages.journal.record({ kind: "legLost" });
    } else if (this.#stages.journal.record({ kind: "callEnded", outcome, durationMs: this.#lastedMs() })) {
      this.#deps.counters.ended(outcome.kind);
    }
  }

  #cancelTimers(): void {
    this.#stages.silence.close();
    this.#stages.keypad.close();
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
    this.#stages.journal.record({ kind: "callResumed", nodeId: start.nodeId, gapMs, reason });
    if (open !== null) {
      const { source, intended, heard, cut } = open;
      const ledger = new Ledger().snapshot();
      const pii = { intended, heard };
      this.#stages.journal.record({ kind: "agentTurn", turn: open.turn, source, cut, ledger, pii });
    }
    leg.out.setPaused(false); // as the owner before may have left it
    if (mustClear) {
      leg.out.bumpEpoch();
      wakeEdge();
    }
    this.#stages.playout.takeUp(agentText);
    const plan = planResume(point, gapMs, tenant);
    const lostAtMs = reason === "legLost" ? start.webhookAtMs : clock.nowMs() - gapMs;
    const { toldMs, earlierMs } = replay ?? { toldMs: 0, earlierMs: 0 };
    const throughAtMs = replay === null ? null : replayed.throughAtMs;
    this.#stages.listener.takeUp(pending, toldMs, clock.nowMs());
    const heard = { throughAtMs, toldMs, earlierMs };
    this.#stages.turns.takeUp(turn, agentText, queuedWords, heard, (atMs) => {
      // What it says once the caller has spoken tells nothing of the gap.
      if (plan.kind !== "listen") counters.resumed(reason, lostAtMs, atMs);
    });
    log.info({ point: point.kind, turn, gapMs: Math.round(gapMs), reason }, "call resumed");
    switch (plan.kind) {
      case "say":
        this.#stages.turns.sayRest(plan.phrases, plan.source, plan.endsCall);
        break;
      case "answer":
        this.#stages.turns.answer(plan.said, plan);
        break;
      case "message":
        this.#stages.message.resume(plan.code, plan.phrases, plan.hasPart);
        break;
      case "leave":
        if (plan.text === "") this.#hangUp(plan.outcome);
        else this.#leave(plan.text, "legEnded", plan.outcome);
        break;
      case "listen":
        this.#stages.turns.listen();
        break;
    }
    for (const digit of digits) this.#stages.keypad.press(digit, clock.nowMs());
  }

  /** Since the caller was answered, whoever owned the call then. */
  #lastedMs(): number {
    const { clock, start } = this.#deps;
    const startedAtUnixMs = this.#startedAtUnixMs;
    if (startedAtUnixMs === null) return clock.nowMs() - start.openedAtMs;
    return Math.max(0, clock.unixMs() - startedAtUnixMs); // the only clock that two nodes share
  }

  #considerHandOver(handOver: HandOver): void {
    if (this.#ended || this.#leaving !== null) return; // it is about to be over
    if (handOver.isDue()) this.relinquish({ kind: "handedOver" });
  }

  readonly #fail = (error: LumentraError, provider: string): void => {
    if (this.#ended) return;
    this.#deps.log.warn({ provider, code: error.code, err: error }, "provider failed");
    this.#stages.journal.record({ kind: "providerFailed", provider, code: error.code, fallback: null });
    const isStt = error.code.startsWith("STT_");
    if (isStt) this.#stages.message.sttLost();
    // Nobody needs to hear the caller for a goodbye; a voice that fails in it has said what it can.
    if (this.#leaving !== null) return isStt ? undefined : this.#hangUp(this.#leaving);
    if (this.#stages.message.isMade) return;
    const { message, turns, playout } = this.#stages;
    const offer = (): void => message.make(error.code);
    // Without a recogniser the agent can still say to its end what it is saying; without a voice, what there is of it.
    const leftMs = error.code.startsWith("TTS_") ? playout.leftMs : 0;
    if (!(isStt || leftMs > 0) || !turns.afterReply(offer)) return offer();
    if (leftMs > 0) this.#timers.reply ??= this.#after(leftMs + LAST_MARK_MS, () => turns.endReply());
  };

  /** Last words, then the end (C2). */
  readonly #leave = (words: string, cut: "legEnded" | "failed", outcome: CallOutcome): void => {
    if (this.#ended || this.#leaving !== null) return;
    this.#leaving = outcome;
    this.#stages.message.close();
    this.#stages.turns.sayLast([words], cut, () => this.#hangUp(outcome));
  };

  readonly #hangUp = (outcome: CallOutcome): void => {
    if (this.#ended) return;
    this.#leaving = outcome;
    this.#stages.message.close();
    this.#stages.turns.close("legEnded");
    this.#deps.hangUp();
    this.#timers.hangUp ??= this.#after(HANG_UP_GRACE_MS, () => this.end(outcome));
  };

  #after(delayMs: number, body: () => void): TimerHandle {
    return this.#deps.clock.setTimer(delayMs, () => this.#guard(body));
  }

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

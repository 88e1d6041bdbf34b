/**
 * A tenant's models in order, as one provider to a call. A request goes to the first that may be asked; to the
 * next when that one fails, or says nothing for too long, before its first token. One that fails within its answer
 * has already spoken: that is the caller's to go on from (actors/call/generation.ts), with a request of its own,
 * which this chain gives to another provider if there is one.
 *
 * Invariants
 * K1 each provider of the list is asked at most once per request; the last of them a second time, as its hedge or
 *    when its connection broke, where the retry budget allows. One that had no room was not asked: when nobody else is
 *    left its room is waited for, ROOM_PATIENCE_MS at most.
 * K2 text and tool calls come from one attempt alone: the first that has any. The other is cancelled at once.
 * K3 no event runs inside `generate`; after `cancel()`, `onDone` or `onError` none at all.
 * K4 every ticket is given back.
 */
import type { Clock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { type Due, type DueSweep, NEVER } from "../due-sweep.js";
import type { LlmEvents, LlmProvider, LlmRequest, LlmStream, LlmUsage } from "../llm/provider.js";
import type { Denial, ProviderAccount, Reason, Ticket } from "./account.js";
import { type ChainMetrics, ROOM_PATIENCE_MS, SHUN_MS, isWorthRetry, unavailable } from "./chain.js";

/**
 * To the first token, when there is somebody else to ask: the p99 of a loaded model. The filler that bridges it
 * comes at 1.2 s (FILLER_AFTER_MS).
 */
export const FIRST_TOKEN_PATIENCE_MS = 2_000;
/** Between tokens, likewise: the voice is ahead by about as much. */
export const STALL_PATIENCE_MS = 1_500;
/** A hedge at this share of the tail: of twenty requests, one is asked twice. */
const HEDGE_QUANTILE = 0.95;
/** Bounds of a hedge's delay: a fast provider's p95 is no reason to double its load, nor is waiting for patience. */
const HEDGE_MIN_MS = 150;
const HEDGE_MAX_MS = 1_500;

export interface LlmRoute {
  readonly name: string;
  readonly model: string;
  readonly account: ProviderAccount;
  /** Built when first asked for. */
  readonly provider: () => LlmProvider;
}

export interface LlmChainDeps {
  readonly clock: Clock;
  readonly sweep: DueSweep;
  readonly tenantId: string;
  /** Ask a second model when the first is late. */
  readonly hedge: boolean;
  readonly metrics: ChainMetrics;
}

export class LlmChain implements LlmProvider {
  readonly #routes: readonly LlmRoute[];
  readonly #deps: LlmChainDeps;
  /** When each route last failed this call. */
  readonly #failedAtMs: number[];

  constructor(routes: readonly LlmRoute[], deps: LlmChainDeps) {
    this.#routes = routes;
    this.#deps = deps;
    this.#failedAtMs = routes.map(() => Number.NEGATIVE_INFINITY);
  }

  /** Of the first choice; which one answered, events tell. */
  get name(): string {
    return this.#routes[0]!.name;
  }

  generate(request: LlmRequest, events: LlmEvents): LlmStream {
    const nowMs = this.#deps.clock.nowMs();
    const isShunned = (index: number): boolean => nowMs - this.#failedAtMs[index]! < SHUN_MS;
    const order = this.#routes.map((route, index) => ({ route, index, isShunned: isShunned(index) }));
    // Stable: shunned ones keep their order behind the others.
    order.sort((a, b) => Number(a.isShunned) - Number(b.isShunned));
    return new ChainedReply(request, events, order, {
      onFailed: (index) => {
        this.#failedAtMs[index] = this.#deps.clock.nowMs();
      },
      ...this.#deps,
    });
  }

  async warm(): Promise<void> {
    await Promise.allSettled(this.#routes.map((route) => route.provider().warm()));
  }

  /** The providers are the shard's. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}

interface Candidate {
  readonly route: LlmRoute;
  readonly index: number;
  /** It failed this call a moment ago: to ask it is a retry. */
  readonly isShunned: boolean;
}

interface ReplyDeps extends LlmChainDeps {
  readonly onFailed: (index: number) => void;
}

interface Attempt {
  readonly candidate: Candidate;
  readonly ticket: Ticket;
  readonly isHedge: boolean;
  readonly startedAtMs: number;
  stream: LlmStream | null;
  over: boolean;
}

class ChainedReply implements LlmStream, Due {
  dueAtMs = NEVER;
  readonly #request: LlmRequest;
  readonly #events: LlmEvents;
  readonly #deps: ReplyDeps;
  /** Those not asked yet, in order. */
  readonly #left: Candidate[];
  /** Those that had no room when it was their turn. */
  readonly #full: Candidate[] = [];
  readonly #running: Attempt[] = [];
  #winner: Attempt | null = null;
  #over = false;
  #hasAskedAgain = false;
  #hedgeAtMs = NEVER;
  #patienceAtMs = NEVER;
  /** While room is waited for: the next look; and until when. */
  #roomAtMs = NEVER;
  #roomUntilMs: number | null = null;
  #lastFailed: { readonly name: string; readonly error: LumentraError } | null = null;
  #lastDenial: Denial | null = null;

  constructor(request: LlmRequest, events: LlmEvents, order: readonly Candidate[], deps: ReplyDeps) {
    this.#request = request;
    this.#events = events;
    this.#deps = deps;
    this.#left = order.slice();
    deps.sweep.add(this);
    if (!this.#askNext("first") && !this.#awaitRoom()) deps.clock.setTimer(0, () => this.#failAll()); // K3
  }

  cancel(): void {
    this.#settle();
  }

  onDue(nowMs: number): void {
    if (nowMs >= this.#hedgeAtMs) {
      this.#hedgeAtMs = NEVER;
      this.#hedge();
    }
    if (nowMs >= this.#patienceAtMs) this.#onImpatient();
    if (nowMs >= this.#roomAtMs) this.#lookForRoom();
    this.#arm();
  }

  /** False: there is nobody left who may be asked. One that others are just trying is better than nobody. */
  #askNext(reason: Reason): boolean {
    const why = ({ isShunned }: Candidate): Reason => (reason === "first" && isShunned ? "retry" : reason);
    const tried: Candidate[] = [];
    this.#left.unshift(...this.#full.splice(0));
    for (let next = this.#left.shift(); next !== undefined; next = this.#left.shift()) {
      if (this.#ask(next, why(next))) return true;
      if (this.#lastDenial === "breakerOpen") tried.push(next);
      if (this.#lastDenial === "budget") this.#full.push(next);
    }
    return tried.some((candidate) => this.#ask(candidate, why(candidate), true));
  }

  /** K1. False: nobody is just full, or has told us to stay away for longer. */
  #awaitRoom(): boolean {
    const nowMs = this.#deps.clock.nowMs();
    this.#roomUntilMs ??= nowMs + ROOM_PATIENCE_MS;
    const leftMs = this.#roomUntilMs - nowMs;
    if (leftMs <= 0 || !this.#full.some(({ route }) => route.account.budget.closedForMs <= leftMs))
      return false;
    this.#roomAtMs = nowMs; // by the sweep
    this.#arm();
    return true;
  }

  #lookForRoom(): void {
    this.#roomAtMs = NEVER;
    const hasRoom = this.#canMoveOn();
    if (hasRoom && this.#askNext(this.#lastFailed === null ? "first" : "fallback")) return;
    if (!this.#awaitRoom()) this.#failAll();
  }

  /** K1. There is nobody else: its other server may answer. */
  #askAgain({ candidate }: Attempt, error: LumentraError): boolean {
    if (this.#hasAskedAgain || !isWorthRetry(error)) return false;
    this.#hasAskedAgain = true;
    return this.#ask(candidate, "retry");
  }

  #ask(candidate: Candidate, reason: Reason, isLast = false): boolean {
    const { clock, tenantId, metrics } = this.#deps;
    const ticket = candidate.route.account.enter(tenantId, reason, isLast);
    if (typeof ticket === "string") {
      this.#lastDenial = ticket;
      return false;
    }
    const nowMs = clock.nowMs();
    const isHedge = reason === "hedge";
    const attempt: Attempt = { candidate, ticket, isHedge, startedAtMs: nowMs, stream: null, over: false };
    this.#running.push(attempt);
    const failed = this.#lastFailed;
    if (failed !== null && !isHedge) {
      metrics.fallback(failed.name, candidate.route.name);
      this.#events.onSwitched?.(failed.name, candidate.route.name, failed.error.code);
    }
    const { route } = candidate;
    attempt.stream = route.provider().generate(
      { ...this.#request, model: route.model },
      {
        onText: (delta) => {
          if (this.#wins(attempt)) this.#events.onText(delta);
        },
        onToolCall: (call) => {
          if (this.#wins(attempt)) this.#events.onToolCall(call);
        },
        onDone: (finish, usage) => this.#onDone(attempt, finish, usage),
        onError: (error) => this.#onError(attempt, error),
      },
    );
    if (!isHedge) {
      this.#patienceAtMs = this.#canMoveOn() ? nowMs + FIRST_TOKEN_PATIENCE_MS : NEVER;
      this.#hedgeAtMs = this.#hedgeDueAt(route, nowMs);
    }
    this.#arm();
    return true;
  }

  /** K2. Something came from this attempt: whether it is the one that answers. */
  #wins(attempt: Attempt): boolean {
    if (this.#over || attempt.over) return false;
    const nowMs = this.#deps.clock.nowMs();
    if (this.#winner === null) {
      this.#winner = attempt;
      this.#hedgeAtMs = NEVER;
      attempt.ticket.succeeded();
      attempt.candidate.route.account.tail.add(nowMs - attempt.startedAtMs);
      this.#settleHedge(attempt);
      this.#dropOthers(attempt);
    }
    if (this.#winner !== attempt) return false;
    this.#patienceAtMs = this.#canMoveOn() ? nowMs + STALL_PATIENCE_MS : NEVER;
    this.#arm();
    return true;
  }

  #onDone(attempt: Attempt, finish: "stop" | "length" | "toolCalls", usage: LlmUsage | null): void {
    if (!this.#wins(attempt)) return; // an answer without a word is an answer, too
    this.#settle();
    this.#events.onDone(finish, usage);
  }

  #onError(attempt: Attempt, error: LumentraError): void {
    if (this.#over || attempt.over) return;
    this.#end(attempt, () => attempt.ticket.failed(error));
    this.#noteFailure(attempt, error);
    if (this.#winner === attempt) return this.#fail(error);
    if (attempt.isHedge) this.#deps.metrics.hedge(attempt.candidate.route.name, "failed");
    const other = this.#running[0];
    if (other !== undefined) {
      // It is still thinking, and has as long as anybody.
      this.#patienceAtMs = this.#canMoveOn() ? other.startedAtMs + FIRST_TOKEN_PATIENCE_MS : NEVER;
      return this.#arm();
    }
    if (!this.#askNext("fallback") && !this.#askAgain(attempt, error) && !this.#awaitRoom()) this.#failAll();
  }

  /** It has not failed by its own account, but nobody waits this long where there is another. */
  #onImpatient(): void {
    this.#patienceAtMs = NEVER;
    const attempt = this.#winner ?? this.#running[0];
    if (attempt === undefined || !this.#canMoveOn()) return;
    const phase = this.#winner === null ? "firstEvent" : "betweenEvents";
    const { name } = attempt.candidate.route;
    const error = new LumentraError("LLM_TIMEOUT", `${name} kept the caller waiting`, { detail: { phase } });
    attempt.stream?.cancel();
    this.#onError(attempt, error);
  }

  #hedge(): void {
    if (this.#winner !== null || this.#running.length !== 1) return;
    const only = this.#running[0]!.candidate;
    const next = this.#left.find(({ route }) => route.account.mayEnter(this.#deps.tenantId));
    if (next === undefined) {
      this.#ask(only, "hedge");
    } else if (this.#ask(next, "hedge")) {
      this.#left.splice(this.#left.indexOf(next), 1);
    }
  }

  #hedgeDueAt({ account }: LlmRoute, nowMs: number): number {
    const tailMs = this.#deps.hedge ? account.tail.quantile(HEDGE_QUANTILE) : null;
    if (tailMs === null) return NEVER;
    return nowMs + Math.min(Math.max(tailMs, HEDGE_MIN_MS), HEDGE_MAX_MS);
  }

  #settleHedge(winner: Attempt): void {
    for (const attempt of this.#running) {
      if (!attempt.isHedge) continue;
      this.#deps.metrics.hedge(attempt.candidate.route.name, attempt === winner ? "won" : "lost");
    }
  }

  #canMoveOn(): boolean {
    const { tenantId } = this.#deps;
    const mayEnter = ({ route }: Candidate): boolean => route.account.mayEnter(tenantId);
    return this.#left.some(mayEnter) || this.#full.some(mayEnter);
  }

  #noteFailure({ candidate }: Attempt, error: LumentraError): void {
    this.#lastFailed = { name: candidate.route.name, error };
    this.#deps.onFailed(candidate.index);
  }

  #dropOthers(winner: Attempt): void {
    for (const attempt of this.#running.slice()) {
      if (attempt === winner) continue;
      attempt.stream?.cancel();
      this.#end(attempt, () => attempt.ticket.left());
    }
  }

  #end(attempt: Attempt, giveBack: () => void): void {
    attempt.over = true;
    const at = this.#running.indexOf(attempt);
    if (at >= 0) this.#running.splice(at, 1);
    giveBack();
  }

  /** Everybody was asked, or may not be. */
  #failAll(): void {
    if (this.#over) return;
    const denial = this.#full.length > 0 ? "budget" : this.#lastDenial;
    this.#fail(this.#lastFailed?.error ?? unavailable("LLM", denial));
  }

  #fail(error: LumentraError): void {
    if (this.#over) return;
    this.#settle();
    this.#events.onError(error);
  }

  #arm(): void {
    this.dueAtMs = this.#over ? NEVER : Math.min(this.#hedgeAtMs, this.#patienceAtMs, this.#roomAtMs);
  }

  /** K3, K4. */
  #settle(): void {
    if (this.#over) return;
    this.#over = true;
    this.dueAtMs = NEVER;
    this.#deps.sweep.remove(this);
    for (const attempt of this.#running.slice()) {
      attempt.stream?.cancel();
      this.#end(attempt, () => attempt.ticket.left());
    }
  }
}

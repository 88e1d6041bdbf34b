/**
 * A tenant's recognisers in order, as one provider to a call: ReplayingStt reconnects, falls over and says again what
 * was not written down; here each of its streams is let in by the account's breaker and budget, and tells them how it
 * went. A stream lasts as long as the call, so what a breaker calls a success is its first word, not its end; that the
 * connection opened is told apart (Breaker, B4), as callers may be silent for long and a recogniser must not be.
 * A stream that had worked and breaks off says little of its recogniser: the network took it, and the dial that follows
 * tells the rest.
 *
 * To dial again after a stream that had worked is no retry (retry-budget.ts): the call needs a stream as it did when it
 * began, and a network's hiccup that drops five hundred of them must not leave four hundred callers deaf. What keeps
 * those five hundred from knocking in step is the breaker and the waits between the rounds. To dial again after a dial
 * that failed is one.
 */
import type { Clock, Random } from "#runtime/actor";
import type { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import type { SttEvents, SttProvider, SttRequest, SttStream } from "../stt/provider.js";
import { PROVEN_AFTER_MS } from "../stt/replaying-stream.js";
import { ReplayingStt } from "../stt/replaying-stt.js";
import type { ProviderAccount, Reason, Ticket } from "./account.js";
import type { ChainMetrics } from "./chain.js";

export interface SttRoute {
  readonly name: string;
  readonly model: string;
  readonly account: ProviderAccount;
  readonly provider: () => SttProvider;
}

export interface SttChainDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly tenantId: string;
  readonly metrics: ChainMetrics;
}

export class SttChain implements SttProvider {
  readonly #routes: readonly SttRoute[];
  readonly #deps: SttChainDeps;

  constructor(routes: readonly SttRoute[], deps: SttChainDeps) {
    this.#routes = routes;
    this.#deps = deps;
  }

  /** Of the first choice; which one failed, events tell. */
  get name(): string {
    return this.#routes[0]!.name;
  }

  open(request: SttRequest, events: SttEvents): SttStream {
    const { clock, random, log, tenantId, metrics } = this.#deps;
    const line = new Line(events, metrics);
    const choices = this.#routes.map((route) => new Admitted(route, tenantId, line, clock));
    const replaying = new ReplayingStt({
      choices: choices.map((provider) => ({ provider, model: provider.model })),
      mayTry: (index) => choices[index]!.admit(),
      clock,
      random,
      log,
    });
    return replaying.open(request, events);
  }

  warm(request: Omit<SttRequest, "callId">): Promise<void> {
    const { provider, model } = this.#routes[0]!;
    return provider().warm({ ...request, model });
  }

  /** The providers are the shard's. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** What the streams of one call have in common. */
class Line {
  readonly #events: SttEvents;
  readonly #metrics: ChainMetrics;
  #hasOpened = false;
  #failed: { readonly name: string; readonly error: LumentraError } | null = null;

  constructor(events: SttEvents, metrics: ChainMetrics) {
    this.#events = events;
    this.#metrics = metrics;
  }

  /** `wasRefused`: the last dial of this one failed, or came to nothing. */
  reason(wasRefused: boolean): Reason {
    if (wasRefused) return "retry";
    return this.#hasOpened ? "fallback" : "first";
  }

  /** Somebody is asked. */
  opens(): void {
    this.#hasOpened = true;
  }

  /** Somebody answers. */
  works(name: string): void {
    const failed = this.#failed;
    if (failed === null) return;
    this.#failed = null;
    this.#metrics.fallback(failed.name, name);
    this.#events.onSwitched?.(failed.name, name, failed.error.code);
  }

  fails(name: string, error: LumentraError): void {
    this.#failed = { name, error };
  }
}

/** A recogniser for one call: opened only with a ticket. */
class Admitted implements SttProvider {
  readonly name: string;
  readonly model: string;
  readonly #route: SttRoute;
  readonly #tenantId: string;
  readonly #line: Line;
  readonly #clock: Clock;
  #wasRefused = false;
  #ticket: Ticket | null = null;

  constructor(route: SttRoute, tenantId: string, line: Line, clock: Clock) {
    this.name = route.name;
    this.model = route.model;
    this.#route = route;
    this.#tenantId = tenantId;
    this.#line = line;
    this.#clock = clock;
  }

  /** Whether it may be opened, which follows at once. */
  admit(): boolean {
    const ticket = this.#route.account.enter(this.#tenantId, this.#line.reason(this.#wasRefused));
    if (typeof ticket === "string") return false;
    this.#ticket = ticket;
    return true;
  }

  open(request: SttRequest, events: SttEvents): SttStream {
    const ticket = this.#ticket!;
    this.#ticket = null;
    this.#line.opens();
    const openedAtMs = this.#clock.nowMs();
    let isReady = false;
    let hasAnswered = false;
    const isOpen = (): void => {
      if (isReady) return;
      isReady = true;
      this.#wasRefused = false;
      ticket.reached();
      this.#line.works(this.name);
    };
    const answers = (): void => {
      if (hasAnswered) return;
      hasAnswered = true;
      isOpen();
      ticket.succeeded();
    };
    const stream = this.#route.provider().open(request, {
      onReady: () => {
        isOpen();
        events.onReady?.();
      },
      onInterim: (transcript) => {
        answers();
        events.onInterim(transcript);
      },
      onFinal: (transcript, endOfSpeech) => {
        answers();
        events.onFinal(transcript, endOfSpeech);
      },
      onSpeechStarted: (atMs) => {
        answers();
        events.onSpeechStarted(atMs);
      },
      onEagerEndOfTurn: (transcript) => {
        answers();
        events.onEagerEndOfTurn(transcript);
      },
      onTurnResumed: () => events.onTurnResumed(),
      onError: (error) => {
        this.#wasRefused = !isReady || (!hasAnswered && error.code === "STT_TIMEOUT");
        this.#line.fails(this.name, error);
        const worked = hasAnswered || (isReady && this.#clock.nowMs() - openedAtMs >= PROVEN_AFTER_MS);
        if (worked && error.code === "STT_STREAM_BROKEN") ticket.left();
        else ticket.failed(error);
        events.onError(error);
      },
    });
    return {
      write: (audio, speech) => stream.write(audio, speech),
      flush: () => stream.flush(),
      nudge: () => stream.nudge(),
      finalize: () => stream.finalize(),
      close: () => {
        ticket.left();
        stream.close();
      },
    };
  }

  warm(request: Omit<SttRequest, "callId">): Promise<void> {
    return this.#route.provider().warm(request);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

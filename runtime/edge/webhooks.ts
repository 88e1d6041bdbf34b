/**
 * A carrier's HTTP requests: a call at the door, its status, what to do when the media socket closed.
 *
 *   POST /<carrier>/voice            markup: our media socket, or the tenant's overflow
 *   POST /<carrier>/after/<ref>      markup: the socket has closed and the call still lives
 *   POST /<carrier>/status           the call's progress
 *   POST /<carrier>/stream-status    the media stream's progress
 *
 * W1  Nothing is read from a request before its signature is found good, over the URL as the carrier knows
 *     it: one of our own bases, not the Host header.
 * W2  A webhook is answered in bounded time; a refusal is markup too, since the carrier plays an error otherwise.
 * W3  A slot that was admitted is told to somebody or given back: the carrier may have gone, or been answered
 *     otherwise, before the admission was there.
 * W4  A redirect names the media that has closed, by call and epoch, and is answered alike however often and wherever it
 *     is repeated: a second resume would take the call from the first. What is repeated while its answer is on its way
 *     waits for that answer; what comes when the call is live again under a newer epoch touches neither call nor leg.
 */
import type { TemplatedApp } from "uWebSockets.js";
import type { Clock } from "#runtime/actor";
import type { Logger, Metrics } from "#runtime/telemetry";
import type { Admissions, WaitingCall } from "./admissions.js";
import { countBadInput } from "./bad-input.js";
import { awaitBounded } from "./bounded-answer.js";
import type { Carrier, VoiceWebhook } from "./carriers/carrier.js";
import type { Admission, AfterMedia, EdgeDelegate, InboundCall } from "./delegate.js";
import { type HttpExchange, route } from "./http-exchange.js";
import { isLoopback } from "./loopback.js";
import type { LoopTurns } from "./loop-turns.js";
import type { MediaTokens } from "./media-token.js";

/** A call, and the epoch of the admission whose media has closed. */
const AFTER_REF = /^([\w-]{1,128})(?:\.(\d{1,16}))?$/;
/** The largest webhooks seen are some KiB; more is not a carrier. */
const BODY_MAX_BYTES = 64 * 1024;

export interface WebhookEnvironment {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly delegate: EdgeDelegate;
  readonly admissions: Admissions;
  readonly tokens: MediaTokens;
  readonly turns: LoopTurns;
  /** Base of this node's media sockets. */
  readonly publicUrl: () => string;
  /** Base of redirects and status callbacks. */
  readonly webhookUrl: () => string;
  /** Bases that carriers may have signed over. */
  readonly baseUrls: () => readonly string[];
  readonly admissionTimeoutMs: number;
  readonly afterMediaTimeoutMs: number;
  /** Ends a leg of the call that still looks alive. False: it is a newer one than of this epoch, and lives on (W4). */
  readonly endLeg: (callId: string, carrierCallId: string, epoch: number) => boolean;
}

type Accepted = Exclude<Admission, { kind: "refused" }>;

/** Requests that wait for what follows a call's media. */
interface Redirect {
  readonly exchanges: HttpExchange[];
  readonly next: Promise<AfterMedia>;
  /** The time of the first was up, and the answer may still come. */
  isLate: boolean;
}

/** Where the carrier's next media socket of a call goes. */
type Destination =
  | WaitingCall
  | Extract<Accepted, { kind: "admittedElsewhere" }>
  /** Here, and nobody waits for it: it has come, or is about to. */
  | Extract<AfterMedia, { kind: "resumed" }>;

/** A call whose admission is on its way, and the requests that wait for it. */
interface PendingCall {
  readonly exchanges: HttpExchange[];
  /** The carrier said meanwhile that it is over. */
  isOver: boolean;
}

type WebhookKind = "voice" | "after" | "status" | "streamStatus";

export class Webhooks {
  readonly #environment: WebhookEnvironment;
  /** By carrier and its call id. Bounded by connections: each entry holds one, or ends within the timeout. */
  readonly #pending = new Map<string, PendingCall>();
  /** By carrier, its call id and the reference to the media. Bounded likewise; the delegate's answer ends each. */
  readonly #redirects = new Map<string, Redirect>();
  #isDraining = false;

  constructor(environment: WebhookEnvironment) {
    this.#environment = environment;
  }

  beginDrain(): void {
    this.#isDraining = true;
  }

  register(app: TemplatedApp, carrier: Carrier): void {
    const base = `/${carrier.name}`;
    this.#post(app, carrier, `${base}/voice`, "voice", (exchange, form) => {
      const webhook = carrier.readVoice(form);
      if (webhook === null) return this.#invalidForm(exchange);
      this.#answerVoice(exchange, carrier, webhook);
    });
    this.#post(app, carrier, `${base}/after/:ref`, "after", (exchange, form, ref) => {
      const webhook = carrier.readVoice(form);
      if (webhook === null) return this.#invalidForm(exchange);
      this.#answerAfter(exchange, carrier, webhook, ref);
    });
    this.#post(app, carrier, `${base}/status`, "status", (exchange, form) => {
      const status = carrier.readCallStatus(form);
      if (status === null) return this.#invalidForm(exchange);
      if (status.isFinal) this.#environment.delegate.carrierEnded(carrier.name, status.carrierCallId);
      // A caller who gave up before the media socket came: the slot need not wait for the token to run out.
      const waiting = this.#environment.admissions.find(carrier.name, status.carrierCallId);
      if (status.isFinal && waiting !== null) this.#environment.admissions.expire(waiting.admitted.callId);
      const pending = this.#pending.get(keyOf(carrier, status.carrierCallId));
      if (status.isFinal && pending !== undefined) pending.isOver = true;
      exchange.respond(204, "", "");
    });
    this.#post(app, carrier, `${base}/stream-status`, "streamStatus", (exchange, form) => {
      const status = carrier.readStreamStatus(form);
      if (status === null) return this.#invalidForm(exchange);
      const { carrierCallId, event, error } = status;
      const fields = { carrier: carrier.name, carrierCallId, event, error };
      if (error === "") this.#environment.log.debug(fields, "stream status");
      else this.#environment.log.warn(fields, "the carrier reports a stream error");
      exchange.respond(204, "", "");
    });
  }

  #post(
    app: TemplatedApp,
    carrier: Carrier,
    pattern: string,
    kind: WebhookKind,
    handle: (exchange: HttpExchange, form: URLSearchParams, ref: string) => void,
  ): void {
    const { log, metrics, baseUrls } = this.#environment;
    const count = (exchange: HttpExchange): void =>
      exchange.onAnswered((status) => metrics.edgeHttpRequests.inc({ carrier: carrier.name, kind, status }));
    app.post(
      pattern,
      route(log, (exchange) => {
        count(exchange);
        const path = exchange.path + exchange.query;
        const headers = new Map(carrier.headerNames.map((name) => [name, exchange.header(name)]));
        const isForm = exchange
          .header("content-type")
          .toLowerCase()
          .startsWith("application/x-www-form-urlencoded");
        const ref = exchange.parameter(0);
        const isUnsignedAllowed = !carrier.verifies && isLoopback(exchange);
        exchange.readBody(log, BODY_MAX_BYTES, (body) => {
          const form = isForm ? new URLSearchParams(Buffer.from(body).toString("utf8")) : null;
          if (
            !isUnsignedAllowed &&
            !(
              carrier.verifies &&
              baseUrls().some((base) => carrier.verifyWebhook({ url: base + path, headers, body, form }))
            )
          ) {
            return this.#refuseSignature(exchange, carrier, kind);
          }
          if (form === null) {
            return exchange.respondError(415, "EDGE_REQUEST_INVALID", "the body must be a URL-encoded form");
          }
          handle(exchange, form, ref);
        });
      }),
    );
    app.any(
      pattern,
      route(log, (exchange) => {
        count(exchange);
        exchange.respondMethodNotAllowed("POST");
      }),
    );
  }

  #refuseSignature(exchange: HttpExchange, carrier: Carrier, kind: WebhookKind): void {
    const { log, metrics } = this.#environment;
    countBadInput(metrics, "webhookSignature");
    log.warn(
      { carrier: carrier.name, kind, remoteAddress: exchange.remoteAddress() },
      "webhook not signed by the carrier",
    );
    const message = carrier.verifies
      ? `the signature is missing or wrong; it must cover ${this.#environment.webhookUrl()} and the rest of the URL`
      : `no key is configured for ${carrier.name}, so unsigned requests are accepted from loopback only`;
    exchange.respondError(403, "EDGE_SIGNATURE_INVALID", message);
  }

  #invalidForm(exchange: HttpExchange): void {
    countBadInput(this.#environment.metrics, "webhookForm");
    exchange.respondError(400, "EDGE_REQUEST_INVALID", "a parameter is missing or malformed");
  }

  #answerVoice(exchange: HttpExchange, carrier: Carrier, webhook: VoiceWebhook): void {
    const { admissions, clock, log } = this.#environment;
    const key = keyOf(carrier, webhook.carrierCallId);
    const repeated = admissions.find(carrier.name, webhook.carrierCallId);
    if (repeated !== null) return this.#answerConnect(exchange, carrier, repeated);
    const twin = this.#pending.get(key);
    if (twin !== undefined) return void twin.exchanges.push(exchange);
    const call = this.#callOf(carrier, webhook);
    const pending: PendingCall = { exchanges: [exchange], isOver: false };
    const admission = this.#admit(call);
    if (!(admission instanceof Promise)) {
      return this.#answerAll(pending, carrier, call, admission);
    }
    this.#pending.set(key, pending);
    const settle = (answer: Admission): void => {
      this.#pending.delete(key);
      this.#answerAll(pending, carrier, call, answer);
    };
    awaitBounded(clock, admission, this.#environment.admissionTimeoutMs, this.#environment.turns, {
      onAnswer: settle,
      onError: (error) => settle(this.#admissionFailed(error, call)),
      onTimeout: () => {
        log.warn({ carrierCallId: call.carrierCallId }, "admission took too long");
        settle({ kind: "refused", reason: "slow", overflow: this.#overflowFor(call) });
      },
      onLate: (answer) => this.#giveBack(answer),
    });
  }

  /** W3 */
  #answerAll(pending: PendingCall, carrier: Carrier, call: InboundCall, given: Admission): void {
    const { admissions, log, metrics } = this.#environment;
    let admission = given;
    if (admission.kind === "admitted" && this.#isDraining) {
      // Our drain has begun and the delegate's had not: the slot goes straight back.
      this.#giveBack(admission);
      admission = { kind: "refused", reason: "draining", overflow: this.#overflowFor(call) };
    }
    const exchanges = pending.exchanges.filter((exchange) => !exchange.isOver);
    if (admission.kind === "refused") {
      metrics.admissionRefusals.inc({ reason: admission.reason });
      const markup = carrier.overflowMarkup(admission.overflow);
      for (const exchange of exchanges) {
        exchange.guard(log, () => exchange.respond(200, carrier.markupContentType, markup));
      }
      return;
    }
    if (pending.isOver || exchanges.length === 0) {
      log.info({ callId: admission.callId }, "the caller was gone before the call was placed");
      this.#giveBack(admission);
      for (const exchange of exchanges) {
        exchange.respond(200, carrier.markupContentType, carrier.hangUpMarkup());
      }
      return;
    }
    const waiting =
      admission.kind === "admitted" ? admissions.add(carrier.name, call.carrierCallId, admission) : admission;
    for (const exchange of exchanges) {
      exchange.guard(log, () => this.#answerConnect(exchange, carrier, waiting));
    }
  }

  #admit(call: InboundCall): Admission | Promise<Admission> {
    try {
      return this.#environment.delegate.admit(call);
    } catch (error) {
      return this.#admissionFailed(error, call);
    }
  }

  #admissionFailed(error: unknown, { carrierCallId }: InboundCall): Admission {
    this.#environment.log.error({ error, carrierCallId }, "admission threw");
    return { kind: "refused", reason: "internal", overflow: { kind: "busy" } };
  }

  #overflowFor(call: InboundCall): Extract<Admission, { kind: "refused" }>["overflow"] {
    try {
      return this.#environment.delegate.overflowFor(call);
    } catch (error) {
      this.#environment.log.error({ error }, "looking up an overflow policy threw");
      return { kind: "busy" };
    }
  }

  #giveBack(admission: Admission): void {
    const { delegate, log } = this.#environment;
    if (admission.kind === "refused") return;
    try {
      delegate.mediaExpired(admission.callId);
    } catch (error) {
      log.error({ error, callId: admission.callId }, "giving an admission back threw");
    }
  }

  #answerConnect(exchange: HttpExchange, carrier: Carrier, call: Destination): void {
    const { admissions, publicUrl, tokens, turns, webhookUrl } = this.#environment;
    turns.expectStep();
    const isWaiting = "admitted" in call;
    const { callId, epoch } = isWaiting ? call.admitted : call;
    const expiresAtUnixMs = isWaiting ? call.expiresAtUnixMs : admissions.nextExpiry();
    const mediaBase = "mediaUrl" in call ? call.mediaUrl : publicUrl();
    const base = `${webhookUrl()}/${carrier.name}`;
    const token = tokens.issue(carrier.name, callId, expiresAtUnixMs);
    const markup = carrier.connectMarkup({
      mediaUrl: `${mediaBase.replace(/^http/, "ws")}/${carrier.name}/media/${token}`,
      streamStatusUrl: `${base}/stream-status`,
      afterUrl: `${base}/after/${callId}.${epoch}`,
    });
    exchange.respond(200, carrier.markupContentType, markup);
  }

  #answerAfter(exchange: HttpExchange, carrier: Carrier, webhook: VoiceWebhook, ref: string): void {
    const { admissions, clock, log, endLeg } = this.#environment;
    const [, callId, epochText = "0"] = AFTER_REF.exec(ref) ?? [];
    const epoch = Number(epochText);
    const call = this.#callOf(carrier, webhook);
    // The carrier repeats a redirect whose answer it did not get.
    const repeated = admissions.find(carrier.name, webhook.carrierCallId);
    if (repeated !== null && repeated.admitted.callId === callId) {
      return this.#answerConnect(exchange, carrier, repeated);
    }
    // W4
    const key = `${keyOf(carrier, webhook.carrierCallId)}/${ref}`;
    const twins = this.#redirects.get(key);
    if (twins !== undefined) return this.#joinRedirect(twins, exchange, carrier);
    const exchanges = [exchange];
    if (callId !== undefined && !endLeg(callId, webhook.carrierCallId, epoch)) {
      log.info({ callId, epoch }, "what follows a leg was asked again, and the next is here already");
    }
    const answer = (next: AfterMedia): void => {
      this.#redirects.delete(key);
      this.#answerNext(exchanges, carrier, call, next);
    };
    const failed = (error: unknown): void => {
      log.error(
        { error, callId, carrierCallId: call.carrierCallId },
        "deciding what follows the media threw",
      );
      answer("hangUp");
    };
    const next = this.#afterMedia(callId, epoch, call, failed);
    if (next === null) return;
    if (!(next instanceof Promise)) return answer(next);
    const redirect: Redirect = { exchanges, next, isLate: false };
    this.#redirects.set(key, redirect);
    awaitBounded(clock, next, this.#environment.afterMediaTimeoutMs, this.#environment.turns, {
      onAnswer: answer,
      onError: failed,
      onTimeout: () => {
        log.error({ callId, carrierCallId: call.carrierCallId }, "nobody said in time what follows");
        // Those that come from here on still get the answer, should there be one: a second resume would take it away.
        redirect.isLate = true;
        this.#answerNext(exchanges.splice(0), carrier, call, "hangUp");
        next.catch(() => answer("hangUp"));
      },
      onLate: answer, // W3: given back where nobody listens
    });
  }

  /** It gets the answer of those that wait; where their time was up before, it has as long itself. */
  #joinRedirect({ exchanges, next, isLate }: Redirect, exchange: HttpExchange, carrier: Carrier): void {
    const { clock, log, afterMediaTimeoutMs, turns } = this.#environment;
    exchanges.push(exchange);
    if (!isLate) return;
    const answered = (): void => {}; // with the others, as it came
    awaitBounded(clock, next, afterMediaTimeoutMs, turns, {
      onAnswer: answered,
      onError: answered,
      onTimeout: () => {
        exchanges.splice(exchanges.indexOf(exchange), 1);
        if (exchange.isOver) return;
        exchange.guard(log, () => exchange.respond(200, carrier.markupContentType, carrier.hangUpMarkup()));
      },
      onLate: answered,
    });
  }

  /** Null: it threw, and `failed` was told. */
  #afterMedia(
    callId: string | undefined,
    epoch: number,
    call: InboundCall,
    failed: (error: unknown) => void,
  ): AfterMedia | Promise<AfterMedia> | null {
    try {
      return this.#environment.delegate.afterMedia(callId, epoch, call);
    } catch (error) {
      failed(error);
      return null;
    }
  }

  #answerNext(
    exchanges: readonly HttpExchange[],
    carrier: Carrier,
    call: InboundCall,
    next: AfterMedia,
  ): void {
    const { admissions, log } = this.#environment;
    const listening = exchanges.filter((exchange) => !exchange.isOver);
    if (next === "hangUp" || next.kind === "say") {
      const markup = next === "hangUp" ? carrier.hangUpMarkup() : carrier.sayMarkup(next.text, next.language);
      for (const exchange of listening) {
        exchange.guard(log, () => exchange.respond(200, carrier.markupContentType, markup));
      }
      return;
    }
    // W3
    if (next.kind === "reconnect" && listening.length === 0) return this.#giveBack(next.admission);
    const connect = (call: Destination): void => {
      for (const exchange of listening) {
        exchange.guard(log, () => this.#answerConnect(exchange, carrier, call));
      }
    };
    if (next.kind === "resumed") return connect(next);
    const { admission } = next;
    connect(
      admission.kind === "admitted" ? admissions.add(carrier.name, call.carrierCallId, admission) : admission,
    );
  }

  #callOf(carrier: Carrier, webhook: VoiceWebhook): InboundCall {
    return { carrier: carrier.name, ...webhook, receivedAtMs: this.#environment.clock.nowMs() };
  }
}

function keyOf(carrier: Carrier, carrierCallId: string): string {
  return `${carrier.name}/${carrierCallId}`;
}

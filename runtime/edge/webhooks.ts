/**
 * A carrier's HTTP requests: a call at the door, its status, what to do when the media socket closed.
 *
 *   POST /<carrier>/voice            markup: our media socket, or the tenant's overflow
 *   POST /<carrier>/after/<ref>      markup: the socket has closed and the call still lives
 *   POST /<carrier>/status           the call's progress
 *   POST /<carrier>/stream-status    the media stream's progress
 *
 * W1  Nothing is read from a request before its signature is found good, over the URL as the carrier knows
 *     it: our public URL, not the Host header.
 * W2  A webhook is answered at once; a refusal is markup too, since the carrier plays an error otherwise.
 */
import type { TemplatedApp } from "uWebSockets.js";
import type { Clock } from "#runtime/actor";
import type { Logger, Metrics } from "#runtime/telemetry";
import type { Admissions, WaitingCall } from "./admissions.js";
import { countBadInput } from "./bad-input.js";
import type { Carrier, VoiceWebhook } from "./carriers/carrier.js";
import type { Admission, EdgeDelegate } from "./delegate.js";
import { type HttpExchange, route } from "./http-exchange.js";
import { isLoopback } from "./loopback.js";
import type { MediaTokens } from "./media-token.js";

/** The largest webhooks seen are some KiB; more is not a carrier. */
const BODY_MAX_BYTES = 64 * 1024;

export interface WebhookEnvironment {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly delegate: EdgeDelegate;
  readonly admissions: Admissions;
  readonly tokens: MediaTokens;
  readonly publicUrl: () => string;
}

type WebhookKind = "voice" | "after" | "status" | "streamStatus";

export class Webhooks {
  readonly #environment: WebhookEnvironment;
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
      // A caller who gave up before the media socket came: the slot need not wait for the token to run out.
      const waiting = this.#environment.admissions.find(carrier.name, status.carrierCallId);
      if (status.isFinal && waiting !== null) this.#environment.admissions.expire(waiting.admitted.callId);
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
    const { log, metrics, publicUrl } = this.#environment;
    const count = (exchange: HttpExchange): void =>
      exchange.onAnswered((status) => metrics.edgeHttpRequests.inc({ carrier: carrier.name, kind, status }));
    app.post(
      pattern,
      route(log, (exchange) => {
        count(exchange);
        const url = publicUrl() + exchange.path + exchange.query;
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
            !(carrier.verifies && carrier.verifyWebhook({ url, headers, body, form }))
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
      ? `the signature is missing or wrong; it must cover ${this.#environment.publicUrl()} and the rest of the URL`
      : `no key is configured for ${carrier.name}, so unsigned requests are accepted from loopback only`;
    exchange.respondError(403, "EDGE_SIGNATURE_INVALID", message);
  }

  #invalidForm(exchange: HttpExchange): void {
    countBadInput(this.#environment.metrics, "webhookForm");
    exchange.respondError(400, "EDGE_REQUEST_INVALID", "a parameter is missing or malformed");
  }

  #answerVoice(exchange: HttpExchange, carrier: Carrier, webhook: VoiceWebhook): void {
    const { admissions, metrics } = this.#environment;
    const repeated = admissions.find(carrier.name, webhook.carrierCallId);
    if (repeated !== null) return this.#answerConnect(exchange, carrier, repeated);
    const admission = this.#admit(carrier, webhook);
    if (admission.kind === "refused") {
      metrics.admissionRefusals.inc({ reason: admission.reason });
      return exchange.respond(200, carrier.markupContentType, carrier.overflowMarkup(admission.overflow));
    }
    this.#answerConnect(exchange, carrier, admissions.add(carrier.name, webhook.carrierCallId, admission));
  }

  #admit(carrier: Carrier, webhook: VoiceWebhook): Admission {
    const { clock, delegate, log } = this.#environment;
    const call = { carrier: carrier.name, ...webhook, receivedAtMs: clock.nowMs() };
    try {
      const admission = delegate.admit(call);
      if (admission.kind === "refused" || !this.#isDraining) return admission;
      // Our drain has begun and the delegate's has not: the slot goes straight back.
      delegate.mediaExpired(admission.callId);
      return { kind: "refused", reason: "draining", overflow: { kind: "busy" } };
    } catch (error) {
      log.error({ error, carrierCallId: webhook.carrierCallId }, "admission threw");
      return { kind: "refused", reason: "internal", overflow: { kind: "busy" } };
    }
  }

  #answerConnect(exchange: HttpExchange, carrier: Carrier, call: WaitingCall): void {
    const base = `${this.#environment.publicUrl()}/${carrier.name}`;
    const token = this.#environment.tokens.issue(carrier.name, call.admitted.callId, call.expiresAtUnixMs);
    const markup = carrier.connectMarkup({
      mediaUrl: `${base.replace(/^http/, "ws")}/media/${token}`,
      streamStatusUrl: `${base}/stream-status`,
      afterUrl: `${base}/after/${call.admitted.callId}`,
    });
    exchange.respond(200, carrier.markupContentType, markup);
  }

  #answerAfter(exchange: HttpExchange, carrier: Carrier, webhook: VoiceWebhook, ref: string): void {
    const callId = /^[\w-]{1,128}$/.test(ref) ? ref : undefined;
    const next = this.#afterMedia(callId, webhook.carrierCallId);
    const markup = next === "hangUp" ? carrier.hangUpMarkup() : carrier.sayMarkup(next.text, next.language);
    exchange.respond(200, carrier.markupContentType, markup);
  }

  #afterMedia(callId: string | undefined, carrierCallId: string): ReturnType<EdgeDelegate["afterMedia"]> {
    const { delegate, log } = this.#environment;
    try {
      return delegate.afterMedia(callId, carrierCallId);
    } catch (error) {
      log.error({ error, callId, carrierCallId }, "deciding what follows the media threw");
      return "hangUp";
    }
  }
}

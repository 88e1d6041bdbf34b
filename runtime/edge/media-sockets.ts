/**
 * The media sockets' door: GET /<carrier>/media/<token> with an upgrade. A socket gets in when the carrier
 * signed the upgrade (where it signs those), and the token is ours, fresh, for this carrier and unused.
 * After that it belongs to its Leg.
 *
 * D1  A call that is not waiting here may have been sent by another node: the delegate is asked, and the upgrade
 *     waits. What it needs of the request is copied before (the request is gone by then), and the peer may be too.
 */
import type { HttpRequest, HttpResponse, TemplatedApp, us_socket_context_t, WebSocket } from "uWebSockets.js";
import type { Clock } from "#runtime/actor";
import type { ErrorCode } from "#runtime/errors";
import type { Logger, Metrics } from "#runtime/telemetry";
import type { Admissions, WaitingCall } from "./admissions.js";
import { type BadInput, countBadInput } from "./bad-input.js";
import { awaitBounded } from "./bounded-answer.js";
import type { Carrier } from "./carriers/carrier.js";
import { INBOUND_FRAME_MAX_BYTES } from "./carriers/inbound-message.js";
import type { ClaimedCall, EdgeDelegate } from "./delegate.js";
import { HttpExchange, route } from "./http-exchange.js";
import type { Leg, LegSocketData } from "./leg.js";
import { isLoopback } from "./loopback.js";
import type { LoopTurns } from "./loop-turns.js";
import type { MediaTokens } from "./media-token.js";

/** Twice what we take, so that one too big is answered by us with a code rather than by uWS with a bare close. */
const FRAME_MAX_BYTES = 2 * INBOUND_FRAME_MAX_BYTES;
/**
 * What may wait for a client that does not read, beyond the kernel's buffers: six seconds of G.711. We pace
 * to at most playoutLeadMs ahead of real time, so a line this far behind is dead.
 */
const SEND_BUFFER_MAX_BYTES = 64 * 1024;
/** A last resort under the legs' own watch, which is finer. Seconds; uWS counts in steps of four. */
const IDLE_TIMEOUT_S = 120;
/** Numbers, not names: the package has these as types only. */
const COMPRESSION_DISABLED = 0;
/** Seen in the wild; answering with a protocol that was not offered breaks clients. */
const SUBPROTOCOL = "audio.twilio.com";

export interface MediaSocketEnvironment {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly admissions: Admissions;
  readonly tokens: MediaTokens;
  readonly turns: LoopTurns;
  readonly delegate: EdgeDelegate;
  readonly admissionTimeoutMs: number;
  /** Bases that carriers may have signed over. */
  readonly baseUrls: () => readonly string[];
  readonly openLeg: (carrier: Carrier, call: WaitingCall) => Leg;
  readonly onSocketClosed: () => void;
}

interface Refusal {
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly reason: BadInput;
}

export function registerMediaSockets(
  app: TemplatedApp,
  carrier: Carrier,
  environment: MediaSocketEnvironment,
): void {
  const { log, metrics } = environment;
  const pattern = `/${carrier.name}/media/:token`;
  const count = (exchange: HttpExchange): void =>
    exchange.onAnswered((status) =>
      metrics.edgeHttpRequests.inc({ carrier: carrier.name, kind: "media", status }),
    );

  app.ws<LegSocketData>(pattern, {
    maxPayloadLength: FRAME_MAX_BYTES,
    maxBackpressure: SEND_BUFFER_MAX_BYTES,
    closeOnBackpressureLimit: false,
    idleTimeout: IDLE_TIMEOUT_S,
    sendPingsAutomatically: false,
    compression: COMPRESSION_DISABLED,
    upgrade: (res, req, context) => upgrade(res, req, context, carrier, environment, count),
    open: (socket) => guard(log, socket, (leg) => leg.onOpen(socket)),
    message: (socket, message, isBinary) => guard(log, socket, (leg) => leg.onMessage(message, isBinary)),
    pong: (socket) => guard(log, socket, (leg) => leg.onPong()),
    close: (socket, code, reason) => {
      environment.onSocketClosed();
      guard(log, socket, (leg) => leg.onClose(code, Buffer.from(reason).toString("utf8")));
    },
  });
  app.any(
    pattern,
    route(log, (exchange) => {
      count(exchange);
      exchange.respondError(426, "EDGE_REQUEST_INVALID", "this path takes a WebSocket upgrade");
    }),
  );
}

function upgrade(
  res: HttpResponse,
  req: HttpRequest,
  context: us_socket_context_t,
  carrier: Carrier,
  environment: MediaSocketEnvironment,
  count: (exchange: HttpExchange) => void,
): void {
  const exchange = new HttpExchange(res, req);
  count(exchange);
  exchange.guard(environment.log, () => {
    const found = findCall(exchange, carrier, environment);
    if ("code" in found) return refuse(exchange, carrier, environment, found);
    const offered = req.getHeader("sec-websocket-protocol");
    const socket: Upgrade = {
      exchange,
      carrier,
      environment,
      context,
      key: req.getHeader("sec-websocket-key"),
      subprotocol: offered.split(",").some((name) => name.trim() === SUBPROTOCOL) ? SUBPROTOCOL : "",
      token: found.token,
    };
    const waiting = environment.admissions.waiting(found.callId);
    if (waiting === null) return claim(socket, found.callId);
    // Only now: a refused upgrade must not use the token up.
    environment.admissions.spend(found.token);
    environment.admissions.take(found.callId);
    open(socket, waiting);
  });
}

/** An upgrade that was found good; all it needs of the request. */
interface Upgrade {
  readonly exchange: HttpExchange;
  readonly carrier: Carrier;
  readonly environment: MediaSocketEnvironment;
  readonly context: us_socket_context_t;
  readonly key: string;
  readonly subprotocol: string;
  readonly token: string;
}

/** The call is this socket's from here on. */
function open(
  { exchange, carrier, environment, context, key, subprotocol }: Upgrade,
  call: WaitingCall,
): void {
  if (exchange.isOver) return environment.delegate.mediaExpired(call.admitted.callId);
  const leg = environment.openLeg(carrier, call);
  environment.turns.expectStep();
  exchange.hijack((res) => res.upgrade<LegSocketData>({ leg }, key, subprotocol, "", context));
}

/** D1 */
function claim(socket: Upgrade, callId: string): void {
  const { exchange, carrier, environment, token } = socket;
  const { admissions, clock, delegate, log } = environment;
  // Spent before the answer: a second socket with this token must not get a call of its own.
  admissions.spend(token);
  const refused = (): void => {
    admissions.unspend(token);
    refuse(
      exchange,
      carrier,
      environment,
      refusal("MEDIA_TOKEN_INVALID", "tokenExpired", "the token has expired"),
    );
  };
  const giveBack = (call: ClaimedCall | null): void => {
    if (call !== null) delegate.mediaExpired(callId);
  };
  awaitBounded(clock, delegate.claim(callId), environment.admissionTimeoutMs, environment.turns, {
    onAnswer: (call) =>
      exchange.guard(log, () => {
        if (call === null) return refused();
        const { admitted, carrierCallId } = call;
        open(socket, { admitted, carrier: carrier.name, carrierCallId, expiresAtUnixMs: clock.unixMs() });
      }),
    onError: (error) => {
      log.error({ error, callId }, "claiming a call threw");
      exchange.guard(log, refused);
    },
    onTimeout: () => {
      log.warn({ callId }, "nobody said in time whose the call of a media socket is");
      exchange.guard(log, refused);
    },
    onLate: giveBack,
  });
}

function refuse(
  exchange: HttpExchange,
  carrier: Carrier,
  { log, metrics }: MediaSocketEnvironment,
  { status, code, message, reason }: Refusal,
): void {
  countBadInput(metrics, reason);
  log.warn(
    { carrier: carrier.name, reason, remoteAddress: exchange.remoteAddress() },
    "media socket refused",
  );
  exchange.respondError(status, code, message);
}

function findCall(
  exchange: HttpExchange,
  carrier: Carrier,
  environment: MediaSocketEnvironment,
): { readonly callId: string; readonly token: string } | Refusal {
  const { admissions, clock, baseUrls, tokens } = environment;
  // The signature first, so that a token somebody guessed or overheard tells them nothing.
  const isSigned = carrier.signsUpgrades && carrier.verifies;
  if (isSigned) {
    const headers = new Map(carrier.headerNames.map((name) => [name, exchange.header(name)]));
    const path = exchange.path + exchange.query;
    const isGood = baseUrls().some((base) =>
      carrier.verifyUpgrade({ url: base.replace(/^http/, "ws") + path, headers }),
    );
    if (!isGood) {
      return refusal(
        "EDGE_SIGNATURE_INVALID",
        "upgradeSignature",
        "the upgrade's signature is missing or wrong",
      );
    }
  } else if (!carrier.verifies && !isLoopback(exchange)) {
    return refusal(
      "EDGE_SIGNATURE_INVALID",
      "upgradeSignature",
      `no key is configured for ${carrier.name}, so media sockets are accepted from loopback only`,
    );
  }
  const token = exchange.parameter(0);
  const verdict = tokens.check(carrier.name, token, clock.unixMs());
  if (verdict.kind === "forged") {
    return refusal("MEDIA_TOKEN_INVALID", "tokenForged", "the token is not one of ours");
  }
  if (admissions.isSpent(token)) {
    return refusal("MEDIA_TOKEN_INVALID", "tokenReused", "the token was used before");
  }
  if (verdict.kind === "expired") {
    return refusal("MEDIA_TOKEN_INVALID", "tokenExpired", "the token has expired");
  }
  return { callId: verdict.callId, token };
}

function refusal(code: ErrorCode, reason: Refusal["reason"], message: string): Refusal {
  return { status: 403, code, reason, message };
}

/** G3: an error in one leg's handler ends that leg, not the process. */
function guard(log: Logger, socket: WebSocket<LegSocketData>, work: (leg: Leg) => void): void {
  const { leg } = socket.getUserData();
  try {
    work(leg);
  } catch (error) {
    log.error({ error, callId: leg.callId }, "a media socket's handler threw");
    leg.abandon();
  }
}

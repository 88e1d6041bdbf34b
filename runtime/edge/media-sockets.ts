/**
 * The media sockets' door: GET /<carrier>/media/<token> with an upgrade. A socket gets in when the carrier
 * signed the upgrade (where it signs those), and the token is ours, fresh, for this carrier and unused.
 * After that it belongs to its Leg.
 */
import type { HttpRequest, HttpResponse, TemplatedApp, us_socket_context_t, WebSocket } from "uWebSockets.js";
import type { Clock } from "#runtime/actor";
import type { ErrorCode } from "#runtime/errors";
import type { Logger, Metrics } from "#runtime/telemetry";
import type { Admissions, WaitingCall } from "./admissions.js";
import { type BadInput, countBadInput } from "./bad-input.js";
import type { Carrier } from "./carriers/carrier.js";
import { INBOUND_FRAME_MAX_BYTES } from "./carriers/inbound-message.js";
import { HttpExchange, route } from "./http-exchange.js";
import type { Leg, LegSocketData } from "./leg.js";
import { isLoopback } from "./loopback.js";
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
  readonly publicUrl: () => string;
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
  const { admissions, log, metrics, openLeg } = environment;
  const exchange = new HttpExchange(res, req);
  count(exchange);
  exchange.guard(log, () => {
    const found = findCall(exchange, carrier, environment);
    if ("code" in found) {
      countBadInput(metrics, found.reason);
      log.warn(
        { carrier: carrier.name, reason: found.reason, remoteAddress: exchange.remoteAddress() },
        "media socket refused",
      );
      return exchange.respondError(found.status, found.code, found.message);
    }
    const offered = req.getHeader("sec-websocket-protocol");
    const subprotocol = offered.split(",").some((name) => name.trim() === SUBPROTOCOL) ? SUBPROTOCOL : "";
    const leg = openLeg(carrier, found);
    // Taken only now: a refused upgrade must not use the token up.
    admissions.take(found.admitted.callId);
    res.upgrade<LegSocketData>({ leg }, req.getHeader("sec-websocket-key"), subprotocol, "", context);
  });
}

function findCall(
  exchange: HttpExchange,
  carrier: Carrier,
  environment: MediaSocketEnvironment,
): WaitingCall | Refusal {
  const { admissions, clock, publicUrl, tokens } = environment;
  // The signature first, so that a token somebody guessed or overheard tells them nothing.
  const isSigned = carrier.signsUpgrades && carrier.verifies;
  if (isSigned) {
    const headers = new Map(carrier.headerNames.map((name) => [name, exchange.header(name)]));
    const url = publicUrl().replace(/^http/, "ws") + exchange.path + exchange.query;
    if (!carrier.verifyUpgrade({ url, headers })) {
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
  const verdict = tokens.check(carrier.name, exchange.parameter(0), clock.unixMs());
  if (verdict.kind === "forged") {
    return refusal("MEDIA_TOKEN_INVALID", "tokenForged", "the token is not one of ours");
  }
  const call = verdict.kind === "good" ? admissions.waiting(verdict.callId) : null;
  if (call !== null) return call;
  return admissions.wasTaken(verdict.callId)
    ? refusal("MEDIA_TOKEN_INVALID", "tokenReused", "the token was used before")
    : refusal("MEDIA_TOKEN_INVALID", "tokenExpired", "the token has expired");
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

/**
 * The operator's pages. No authentication: the port listens on loopback unless told otherwise.
 *
 *   GET /healthz/live             200 while the event loop runs
 *   GET /healthz/ready            200 while new calls are welcome, else 503; JSON says why
 *   GET /metrics                  Prometheus text format
 *   GET /metrics.json             the same as data, for one page of several processes
 *   GET /calls                    live calls
 *   GET /calls/<callId>/journal   what happened in a call so far
 *   GET /calls/<callId>/message   the message that its caller left as audio, WAV
 *   POST /shards/<id>/drain       its calls move to other shards, then it starts afresh; /healthz/ready shows how far
 */
import type { TemplatedApp } from "uWebSockets.js";
import type { Logger } from "#runtime/telemetry";
import type { AdminDelegate } from "./delegate.js";
import { type Handler, respondLater, route } from "./http-exchange.js";

export interface AdminEnvironment {
  readonly log: Logger;
  readonly delegate: AdminDelegate;
  readonly isDraining: () => boolean;
}

const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export function registerAdmin(app: TemplatedApp, environment: AdminEnvironment): void {
  const { log, delegate, isDraining } = environment;

  get(app, log, "/healthz/live", (exchange) => exchange.respondJson(200, { live: true }));
  get(app, log, "/healthz/ready", (exchange) => {
    const { ready, detail } = delegate.ready();
    const isReady = ready && !isDraining();
    exchange.respondJson(isReady ? 200 : 503, { ready: isReady, draining: isDraining(), ...detail });
  });
  get(app, log, "/metrics", (exchange) =>
    respondLater(
      exchange,
      log,
      delegate.metricsText().then((text) => () => exchange.respond(200, METRICS_CONTENT_TYPE, text)),
    ),
  );
  get(app, log, "/metrics.json", (exchange) =>
    respondLater(
      exchange,
      log,
      delegate.metricsSnapshot().then((snapshot) => () => exchange.respondJson(200, snapshot)),
    ),
  );
  get(app, log, "/calls", (exchange) => exchange.respondJson(200, { calls: delegate.liveCalls() }));
  get(app, log, "/calls/:callId/journal", (exchange) => {
    const journal = delegate.journal(exchange.parameter(0));
    if (journal === null) return exchange.respondError(404, "EDGE_REQUEST_INVALID", "no such call");
    exchange.respondJson(200, { journal });
  });
  get(app, log, "/calls/:callId/message", (exchange) =>
    respondLater(
      exchange,
      log,
      delegate.message(exchange.parameter(0)).then((wav) => () => {
        if (wav === null)
          exchange.respondError(404, "EDGE_REQUEST_INVALID", "no audio of that call is kept here");
        else exchange.respond(200, "audio/wav", wav);
      }),
    ),
  );
  app.post(
    "/shards/:shardId/drain",
    route(log, (exchange) => {
      const shardId = exchange.parameter(0);
      const begun = /^\d{1,3}$/.test(shardId) ? delegate.drainShard(Number(shardId)) : null;
      if (begun !== null) return exchange.respondJson(202, begun);
      exchange.respondError(404, "EDGE_REQUEST_INVALID", "no such shard serves");
    }),
  );
  app.any(
    "/*",
    route(log, (exchange) =>
      exchange.respondError(404, "EDGE_REQUEST_INVALID", "there is nothing at this path"),
    ),
  );
}

function get(app: TemplatedApp, log: Logger, pattern: string, handler: Handler): void {
  app.get(pattern, route(log, handler));
  app.any(
    pattern,
    route(log, (exchange) => exchange.respondMethodNotAllowed("GET")),
  );
}

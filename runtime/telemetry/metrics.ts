/**
 * Every metric there is, in one file. Each thread makes its own set over its own registry and hands
 * over snapshots; MetricsMerge makes one page of them.
 *
 * Names begin with `lumentra_` and end with their unit, counters with `_total`. Durations are in
 * milliseconds, as everywhere in this project.
 *
 * Labels are bounded: reasons, stages, codes and kinds are from our own unions, `thread` is one of the
 * shards. There is no label for the call, the number or the tenant: a reseller may bring thousands of
 * tenants, and each would multiply every series. What happened to one tenant is in its journals.
 */
import { readFileSync } from "node:fs";
import { Counter, Gauge, Histogram, type Metric, Registry, collectDefaultMetrics } from "prom-client";
import { EventLoopDelayMonitor } from "./event-loop-delay.js";
import { HotHistogram } from "./hot-histogram.js";
import type { MetricsSnapshot } from "./merge.js";

/** From the caller's view 300 ms is quick, 800 slow: the buckets are narrow there. */
const STAGE_BUCKETS_MS = [
  5, 10, 20, 40, 60, 80, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 1_000, 1_500, 2_000,
] as const;
/** The budget is p99 under 5 ms. */
const PACING_BUCKETS_MS = [
  0.1, 0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20, 30, 50, 100, 200, 400,
] as const;

export interface MetricsOptions {
  /** Where the metrics register; two sets in one registry are an error. @default a new one */
  readonly registry?: Registry;
  /** Name of this thread in the `thread` label: `main`, `shard-0`. */
  readonly thread: string;
  /** CPU, memory and file descriptors of the process as well; for one thread of it. @default false */
  readonly processMetrics?: boolean;
}

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics(options: MetricsOptions) {
  const registry = options.registry ?? new Registry();
  const registers = [registry];
  const thread = options.thread;
  const eventLoop = new EventLoopDelayMonitor();
  const collectors: (() => void)[] = [];
  if (options.processMetrics === true) collectDefaultMetrics({ register: registry });

  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter<L>({ name: `lumentra_${name}`, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge<L>({ name: `lumentra_${name}`, help, labelNames, registers });
  const hot = (name: string, help: string, buckets: readonly number[]) => {
    const histogram = new HotHistogram(`lumentra_${name}`, help, buckets);
    // A registry asks a metric for its name and get() alone; the type names prom-client's own classes.
    registry.registerMetric(histogram as unknown as Metric);
    return histogram;
  };

  const eventLoopDelayMs = gauge(
    "event_loop_delay_ms",
    "Lateness of the thread's event loop since the last scrape.",
    ["thread", "quantile"],
  );

  const threadCpuMs = counter("thread_cpu_ms_total", "CPU time of the thread.", ["thread"]);
  let countedCpuMs = 0;
  return {
    registry,
    thread,

    // calls
    /** Live calls by state; every change adjusts two of them. */
    calls: gauge("calls", "Live calls by state.", ["state"]),
    /** `outcome` is CallOutcome.kind. */
    callsEnded: counter("calls_ended_total", "Calls that ended, by outcome.", ["outcome"]),
    admissionRefusals: counter("admission_refusals_total", "Calls refused at the webhook, by reason.", [
      "reason",
    ]),
    /** `path`: remote, local, any; `result`: here, elsewhere, or why it was refused. */
    placements: counter("placements_total", "Calls placed, by who decided and how.", ["path", "result"]),
    /** `result`: here, elsewhere, ended, refused; expired when nobody asked in time. */
    callResumes: counter("call_resumes_total", "Calls whose leg was lost, by what became of them.", [
      "result",
    ]),
    /** `reason`: actorCrashed, shardLost, moved. */
    callTakeovers: counter("call_takeovers_total", "Calls that another actor of this node went on with.", [
      "reason",
    ]),
    tenantsQuarantined: gauge(
      "tenants_quarantined",
      "Tenants whose new calls get the overflow for crashing.",
    ),
    leaseLosses: counter("lease_losses_total", "Calls that another owner went on with while they were ours."),

    // journals on their way to the control plane
    /** `result`: appended, acknowledged, dropped (no room), fenced (another's call), invalid (set aside). */
    journalEvents: counter("journal_events_total", "Journal events by what became of them.", ["result"]),

    // backpressure: see node/pressure/ladder.ts
    pressureRung: gauge("pressure_rung", "Rung of the backpressure ladder in force, 0 to 4."),
    /** `input`: pacingLagMs, eventLoopDelayMs, slotUsage, providerUsage. */
    pressureInputs: gauge("pressure_input", "What the ladder was fed with last, in the input's own unit.", [
      "input",
    ]),
    /** `direction`: up, down. */
    pressureTransitions: counter("pressure_transitions_total", "Changes of the rung, by direction.", [
      "direction",
    ]),
    outboundRefusals: counter("outbound_refusals_total", "Outbound calls not begun because of pressure."),
    speculationSuppressed: counter(
      "speculation_suppressed_total",
      "Turns whose reply was not begun early because of pressure.",
    ),

    controlPlaneUp: gauge("control_plane_up", "1 while a control plane's stream is there."),
    tenants: gauge("tenants", "Tenants known to this node."),
    spoolBytes: gauge("spool_bytes", "Journals on disk that the control plane has not acknowledged."),
    spoolEvents: gauge("spool_events", "Journal events in them, as far as they were read."),
    spoolOldestAgeMs: gauge("spool_oldest_age_ms", "Age of the oldest of them."),
    spoolWriteFailures: counter("spool_write_failures_total", "Writes that the spool's disk refused."),

    // shards: rings, mailboxes, threads
    ringFillMaxRecords: gauge("ring_fill_max_records", "Fill of the fullest ring of the shard.", [
      "thread",
      "direction",
    ]),
    ringDrops: counter(
      "ring_drops_total",
      "Records lost: dropped oldest on the way in, refused on the way out.",
      ["direction"],
    ),
    mailboxDepthMaxMessages: gauge("mailbox_depth_max_messages", "Depth of the fullest mailbox.", ["thread"]),
    eventLoopDelayMs,
    /** Of the threads that hold calls; what the compiler and the collector take on theirs is in the process's. */
    threadCpuMs,
    timers: gauge("timers", "Timers waiting on the thread's clock.", ["thread"]),
    shardRestarts: counter("shard_restarts_total", "Shards respawned, by what ended them.", ["reason"]),

    // turns
    /** `stage`: sttFinal, llmFirstToken, ttsFirstAudio, firstByteSent, voiceToVoice, webhookToGreeting,
     * webhookToResumed, faultToResumed, bargeInToClear. */
    stageLatencyMs: new Histogram({
      name: "lumentra_stage_latency_ms",
      help: "Latency of one stage of a turn; voiceToVoice is speech end to first byte sent.",
      labelNames: ["stage"] as const,
      buckets: [...STAGE_BUCKETS_MS],
      registers,
    }),
    /** `result`: cut, resumed, backchannel, echo. */
    bargeIns: counter("barge_ins_total", "Caller speech during playout, by what it turned out to be.", [
      "result",
    ]),
    /**
     * `result`: committed, discarded; restarted for a committed reply that the caller added to before he heard
     * any of it. Waste is discarded over committed and discarded.
     */
    eagerGenerations: counter("eager_generations_total", "Generations begun before the turn was confirmed.", [
      "result",
    ]),
    eagerWasteTokens: counter("eager_waste_tokens_total", "Tokens generated eagerly and thrown away."),
    /** `code` is from the error table. */
    providerErrors: counter("provider_errors_total", "Errors of providers by code.", ["provider", "code"]),

    // how providers are asked: see actors/providers/resilience
    /** `account`: kind and provider. */
    providerBreaker: gauge("provider_breaker", "0 closed, 1 half-open, 2 open.", ["thread", "account"]),
    providerInFlight: gauge("provider_in_flight", "Requests and streams that run.", ["thread", "account"]),
    providerBudget: gauge("provider_budget", "Most that may run at once; absent while no bound is known.", [
      "thread",
      "account",
    ]),
    /** `denial`: breakerOpen, budget, retryBudget; `reason`: first, fallback, retry, hedge. */
    providerDenials: counter("provider_denials_total", "Requests that were not sent, by why.", [
      "account",
      "denial",
      "reason",
    ]),
    providerFallbacks: counter(
      "provider_fallbacks_total",
      "Requests and streams that another went on with.",
      ["from", "to"],
    ),
    /** `result`: won, lost (its tokens were for nothing), failed. */
    providerHedges: counter("provider_hedges_total", "Second requests sent because the first was late.", [
      "provider",
      "result",
    ]),
    /** `kind`: transcript, audio, nothing (nobody spoke). */
    messagesTaken: counter("messages_taken_total", "Messages taken when a kind of provider was gone.", [
      "kind",
    ]),

    // edge
    edgeSockets: gauge("edge_sockets", "Open media sockets."),
    edgeHttpRequests: counter("edge_http_requests_total", "Requests answered, by carrier, kind and status.", [
      "carrier",
      "kind",
      "status",
    ]),
    edgeBadInput: counter(
      "edge_bad_input_total",
      "What was refused, ignored or cost its sender the socket.",
      ["reason"],
    ),
    edgeMediaFrames: counter("edge_media_frames_total", "Audio messages of carriers by direction.", [
      "direction",
    ]),
    edgeSilenceFilledMs: counter(
      "edge_silence_filled_ms_total",
      "Silence put where a carrier lost audio frames.",
    ),
    edgeClears: counter("edge_clears_total", "Clear messages sent to carriers."),
    edgeBufferedMaxBytes: gauge("edge_buffered_max_bytes", "Unsent bytes of the slowest media socket."),
    edgePacingErrorMs: hot(
      "edge_pacing_error_ms",
      "Actual less intended instant of each audio message sent.",
      PACING_BUCKETS_MS,
    ),

    /** Runs before each snapshot: for gauges that are read rather than kept. */
    onCollect(collector: () => void): void {
      collectors.push(collector);
    },

    /** This thread's figures as plain data, for MetricsMerge on the main thread. */
    async snapshot(): Promise<MetricsSnapshot> {
      for (const collector of collectors) collector();
      const cpuMs = readThreadCpuMs();
      threadCpuMs.inc({ thread }, Math.max(0, cpuMs - countedCpuMs));
      countedCpuMs = Math.max(countedCpuMs, cpuMs);
      const delayMs = eventLoop.take();
      for (const quantile of ["p50", "p99", "max"] as const) {
        eventLoopDelayMs.set({ thread, quantile }, delayMs[quantile]);
      }
      return (await registry.getMetricsAsJSON()) as unknown as MetricsSnapshot;
    },

    close(): void {
      eventLoop.close();
      registry.clear();
    },
  };
}

/** What the calling thread has used, from its scheduler's own count; 0 where there is no /proc. */
function readThreadCpuMs(): number {
  try {
    return Number(readFileSync("/proc/thread-self/schedstat", "latin1").split(" ")[0]) / 1e6;
  } catch {
    return 0;
  }
}

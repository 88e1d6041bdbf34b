/**
 * The doors that can be loaded without media: webhooks of a node over HTTP (autocannon), the control plane's API over
 * gRPC.
 *
 * F1 webhooks are signed whenever there is a key: the node that is started for this has one. A target without
 *    --auth-token gets unsigned ones, which a node takes from its own machine alone.
 * F2 an answer counts when it is the right one: a stream for a number somebody has, a refusal for one nobody has.
 * F3 latency counts from the instant a request was due, also where one that was slow kept the next from being sent.
 */
import autocannon from "autocannon";
import { type CarrierName, carrierDialects, phoneClock, signForm } from "#bench/caller";
import { plainTenant, startCluster } from "#bench/cluster";
import type { RpcClient } from "#runtime/rpc";
import { until } from "./callers.js";
import type { FrontMix } from "./mix.js";
import { type NodeSettings, type Subject, type Target, remoteSubject, startSubject } from "./subject.js";

/** Where a door's answers go as they come. */
export interface AnswerLog {
  answered(latencyMs: number): void;
  /** What a request would have waited that was due while another one kept it from being sent. */
  keptWaiting(latencyMs: number): void;
}

export interface Door {
  /** What one answer is, for the figures. */
  readonly what: string;
  readonly subject: Subject;
  /** Requests at the mix's rate for so long. Resolves with what was wrong, in words, and how often. */
  offer(seconds: number, log: AnswerLog): Promise<ReadonlyMap<string, number>>;
  close(): Promise<void>;
}

export interface DoorOptions {
  readonly mix: FrontMix;
  /** Of the node that is started for webhooks. @default none */
  readonly settings?: NodeSettings;
  /** @default a node that is started for it */
  readonly target?: string;
  readonly publicUrl?: string;
  /** Where a target's own figures are. */
  readonly adminUrl?: string;
  readonly to: string;
  readonly carrier: CarrierName;
  readonly authToken?: string;
}

/** Signed with by phone and node when the node is ours. */
const BENCH_TOKEN = "bench-auth-token";
/** Nobody has it. */
const UNKNOWN_NUMBER = "+12025559999";
/** Each webhook takes a slot until its socket failed to come. */
const SLOTS = 4_000;
/** Requests of the gRPC client under way; what is due beyond waits, and that counts as latency. */
const UNDER_WAY_MAX = 1_000;

export function openDoor(options: DoorOptions): Promise<Door> {
  return options.mix.front === "webhooks" ? openWebhooks(options) : openGrpc(options.mix);
}

async function openWebhooks(options: DoorOptions): Promise<Door> {
  const { mix, carrier } = options;
  const key = carrier === "twilio" ? "TWILIO_AUTH_TOKEN" : "SIGNALWIRE_SIGNING_KEY";
  const subject =
    options.target === undefined
      ? await startSubject({
          calls: SLOTS,
          environment: { [key]: BENCH_TOKEN },
          settings: options.settings ?? {},
        })
      : await remoteSubject(targetOf(options, options.target));
  const authToken = options.target === undefined ? BENCH_TOKEN : (options.authToken ?? null);
  const dialect = carrierDialects[carrier];
  const url = new URL(dialect.webhookPath, subject.target.url);
  const publicUrl = options.publicUrl ?? `http://localhost:${url.port}`;
  const signedUrl = new URL(dialect.webhookPath, publicUrl).href;
  let sent = 0;
  const newRequest = (known: boolean): { headers: Record<string, string>; body: string } => {
    const ids = { accountSid: dialect.newAccountSid(), callSid: dialect.newCallSid(), streamSid: "" };
    const to = known ? subject.target.to : UNKNOWN_NUMBER;
    const parameters = dialect.webhookParameters(ids, "+15550100001", to, "ringing");
    const signature =
      authToken === null ? {} : { [dialect.signatureHeader]: signForm(authToken, signedUrl, parameters) };
    return {
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        "user-agent": dialect.userAgent,
        ...signature,
      },
      body: new URLSearchParams(parameters).toString(),
    };
  };
  return {
    what: `webhook${authToken === null ? ", unsigned," : ""} to answer`,
    subject,
    offer: async (seconds, log) => {
      const wrong = new Map<string, number>();
      const running = autocannon({
        url: url.href,
        connections: mix.connections,
        duration: seconds,
        overallRate: mix.ratePerSecond,
        requests: [
          {
            method: "POST",
            path: url.pathname,
            setupRequest: (request, context) => {
              const known = sent++ % 2 === 0;
              (context as { known?: boolean }).known = known;
              return { ...request, ...newRequest(known) };
            },
            onResponse: (status, body, context) => {
              const why = whatIsWrong(status, body, (context as { known?: boolean }).known === true);
              if (why !== null) count(wrong, why, 1);
            },
          },
        ],
      });
      const intervalMs = (mix.connections * 1_000) / mix.ratePerSecond;
      (running as unknown as autocannon.Instance).on("response", (_client, _status, _bytes, tookMs) => {
        log.answered(tookMs);
        // F3: a connection's next ones were due while it waited for this one.
        for (let ms = tookMs - intervalMs; ms > 0; ms -= intervalMs) log.keptWaiting(ms);
      });
      const { errors, timeouts } = await running;
      if (errors + timeouts > 0) count(wrong, "no answer", errors + timeouts);
      return wrong;
    },
    close: () => subject.stop(),
  };
}

/** F2 */
function whatIsWrong(status: number, body: string, known: boolean): string | null {
  if (status !== 200) return `status ${status}`;
  if (known === body.includes("<Stream")) return null;
  return known
    ? `no stream for a number somebody has: ${body.slice(0, 120)}`
    : "a stream for a number nobody has";
}

async function openGrpc(mix: FrontMix): Promise<Door> {
  const cluster = await startCluster({ nodes: 0, controlPlanes: 1, providers: {} });
  const clients: RpcClient[] = [];
  try {
    const { operator } = cluster;
    await operator.call("ResellerService", "CreateReseller", { reseller: { id: "bench", name: "Bench" } });
    await operator.call("TenantService", "CreateTenant", {
      tenant: { id: "bench", resellerId: "bench", config: plainTenant("Bench") },
    });
    const { secret } = await operator.call("ResellerService", "CreateApiKey", {
      resellerId: "bench",
      name: "load",
      scopes: ["tenants.read"],
    });
    for (let i = 0; i < mix.connections; i += 1) clients.push(cluster.client(secret));
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  const { pid, address } = cluster.controlPlanes[0]!;
  return {
    what: "GetTenant to answer",
    subject: {
      target: { url: address, to: "", carrier: "twilio" },
      pid,
      emulators: null,
      slots: null,
      stop: () => cluster.stop(), // and its clients
    },
    offer: (seconds, log) => offerCalls(clients, mix.ratePerSecond, seconds, log),
    close: () => cluster.stop(),
  };
}

async function offerCalls(
  clients: readonly RpcClient[],
  ratePerSecond: number,
  seconds: number,
  log: AnswerLog,
): Promise<ReadonlyMap<string, number>> {
  const wrong = new Map<string, number>();
  const clock = phoneClock();
  const startAtMs = clock.nowMs();
  const requests = Math.round(ratePerSecond * seconds);
  const underWay = new Set<Promise<void>>();
  for (let index = 0; index < requests; index += 1) {
    const dueAtMs = startAtMs + (index * 1_000) / ratePerSecond;
    if (dueAtMs > clock.nowMs()) await until(dueAtMs);
    if (underWay.size >= UNDER_WAY_MAX) await Promise.race(underWay);
    const one: Promise<void> = ask(clients[index % clients.length]!)
      .then(
        () => log.answered(clock.nowMs() - dueAtMs),
        (error: unknown) => count(wrong, error instanceof Error ? error.message : String(error), 1),
      )
      .finally(() => underWay.delete(one));
    underWay.add(one);
  }
  await Promise.all(underWay);
  return wrong;
}

async function ask(client: RpcClient): Promise<void> {
  const { tenant } = await client.call("TenantService", "GetTenant", { tenantId: "bench" });
  if (tenant?.id !== "bench") throw new Error("another tenant was answered");
}

function targetOf(options: DoorOptions, url: string): Target {
  const { to, carrier, adminUrl } = options;
  return { url, to, carrier, ...(adminUrl !== undefined && { adminUrl }) };
}

function count(counts: Map<string, number>, why: string, times: number): void {
  counts.set(why, (counts.get(why) ?? 0) + times);
}

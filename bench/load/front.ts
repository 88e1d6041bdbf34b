/**
 * The front doors without media: webhooks of a node over HTTP (autocannon), the control plane's API over gRPC. Both
 * offer a rate by schedule and count latency from the instant a request was due.
 *
 * F1 webhooks are signed whenever there is a key: the node that is started for this has one. A target without
 *    --auth-token gets unsigned ones, which a node takes from its own machine alone.
 * F2 an answer counts when it is the right one: a stream for a number somebody has, a refusal for one nobody has.
 */
import autocannon from "autocannon";
import { carrierDialects, phoneClock, signForm } from "#bench/caller";
import { plainTenant, startCluster } from "#bench/cluster";
import { renderRows } from "#bench/report";
import type { RpcClient } from "#runtime/rpc";
import { until } from "./callers.js";
import { Distribution } from "./distribution.js";
import type { FrontMix } from "./mix.js";
import { remoteSubject, startSubject } from "./subject.js";

export interface FrontOptions {
  readonly mix: FrontMix;
  readonly seconds: number;
  readonly json: boolean;
  readonly target?: string;
  readonly publicUrl?: string;
  readonly to: string;
  readonly carrier: "twilio" | "signalwire";
  readonly authToken?: string;
  readonly output: { write(text: string): void; readonly colors: boolean };
}

/** Signed with by phone and node when the node is ours. */
const BENCH_TOKEN = "bench-auth-token";
/** Nobody has it. */
const UNKNOWN_NUMBER = "+12025559999";
/** Each webhook takes a slot until its socket failed to come. */
const SLOTS = 4_000;
/** Requests of the gRPC client under way; what is due beyond waits, and that counts as latency. */
const UNDER_WAY_MAX = 1_000;

/** Resolves with the exit code. */
export async function runFront(options: FrontOptions): Promise<number> {
  const { rows, failures } = options.mix.front === "webhooks" ? await webhooks(options) : await grpc(options);
  const { output, json } = options;
  if (json) output.write(`${JSON.stringify({ mix: options.mix.front, rows, failures })}\n`);
  else output.write(`${renderRows(rows, output.colors)}\n`);
  for (const why of json ? [] : failures) output.write(`Wrong: ${why}\n`);
  return failures.length === 0 ? 0 : 1;
}

interface Measured {
  readonly rows: Record<string, number | string>[];
  readonly failures: string[];
}

async function webhooks(options: FrontOptions): Promise<Measured> {
  const { mix, seconds, carrier } = options;
  const key = carrier === "twilio" ? "TWILIO_AUTH_TOKEN" : "SIGNALWIRE_SIGNING_KEY";
  const subject =
    options.target === undefined
      ? await startSubject({ calls: SLOTS, environment: { [key]: BENCH_TOKEN } })
      : remoteSubject({ url: options.target, to: options.to, carrier });
  const authToken = options.target === undefined ? BENCH_TOKEN : (options.authToken ?? null);
  const dialect = carrierDialects[carrier];
  const url = new URL(dialect.webhookPath, subject.target.url);
  const publicUrl = options.publicUrl ?? `http://localhost:${url.port}`;
  const signedUrl = new URL(dialect.webhookPath, publicUrl).href;
  const wrong = new Map<string, number>();
  let sent = 0;
  let answered = 0;
  try {
    const result = await autocannon({
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
            const ids = { accountSid: dialect.newAccountSid(), callSid: dialect.newCallSid(), streamSid: "" };
            const to = known ? subject.target.to : UNKNOWN_NUMBER;
            const parameters = dialect.webhookParameters(ids, "+15550100001", to, "ringing");
            const signature =
              authToken === null
                ? {}
                : { [dialect.signatureHeader]: signForm(authToken, signedUrl, parameters) };
            return {
              ...request,
              headers: {
                "content-type": "application/x-www-form-urlencoded",
                "user-agent": dialect.userAgent,
                ...signature,
              },
              body: new URLSearchParams(parameters).toString(),
            };
          },
          onResponse: (status, body, context) => {
            answered += 1;
            const why = whatIsWrong(status, body, (context as { known?: boolean }).known === true);
            if (why !== null) wrong.set(why, (wrong.get(why) ?? 0) + 1);
          },
        },
      ],
    });
    if (result.errors + result.timeouts > 0) wrong.set("no answer", result.errors + result.timeouts);
    const { latency, requests } = result;
    return {
      rows: [
        {
          what: `webhooks, ${authToken === null ? "unsigned" : "signed"}, ms from the instant due`,
          offeredPerSecond: mix.ratePerSecond,
          perSecond: Math.round(requests.average),
          p50: latency.p50,
          p97_5: latency.p97_5,
          p99: latency.p99,
          max: latency.max,
          count: answered,
        },
      ],
      failures: [...wrong].map(([why, count]) => `${count} × ${why}`),
    };
  } finally {
    await subject.stop();
  }
}

/** F2 */
function whatIsWrong(status: number, body: string, known: boolean): string | null {
  if (status !== 200) return `status ${status}`;
  if (known === body.includes("<Stream")) return null;
  return known
    ? `no stream for a number somebody has: ${body.slice(0, 120)}`
    : "a stream for a number nobody has";
}

async function grpc({ mix, seconds }: FrontOptions): Promise<Measured> {
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
    await offer(clients, mix.ratePerSecond, Math.min(2, seconds)); // code is compiled by then
    const { latency, failures, perSecond } = await offer(clients, mix.ratePerSecond, seconds);
    return {
      rows: [
        {
          ...latency.row(2),
          what: "GetTenant, ms from the instant due",
          offeredPerSecond: mix.ratePerSecond,
          perSecond,
        },
      ],
      failures: failures.slice(0, 5),
    };
  } finally {
    await cluster.stop(); // and its clients
  }
}

async function offer(clients: readonly RpcClient[], ratePerSecond: number, seconds: number) {
  const latency = new Distribution("GetTenant");
  const failures: string[] = [];
  const clock = phoneClock();
  const startAtMs = clock.nowMs();
  const count = Math.round(ratePerSecond * seconds);
  const underWay = new Set<Promise<void>>();
  for (let index = 0; index < count; index += 1) {
    const dueAtMs = startAtMs + (index * 1_000) / ratePerSecond;
    if (dueAtMs > clock.nowMs()) await until(dueAtMs);
    if (underWay.size >= UNDER_WAY_MAX) await Promise.race(underWay);
    const one: Promise<void> = ask(clients[index % clients.length]!)
      .then(
        () => latency.record(clock.nowMs() - dueAtMs),
        (error: unknown) => void failures.push(error instanceof Error ? error.message : String(error)),
      )
      .finally(() => underWay.delete(one));
    underWay.add(one);
  }
  await Promise.all(underWay);
  return { latency, failures, perSecond: Math.round((latency.count * 1_000) / (clock.nowMs() - startAtMs)) };
}

async function ask(client: RpcClient): Promise<void> {
  const { tenant } = await client.call("TenantService", "GetTenant", { tenantId: "bench" });
  if (tenant?.id !== "bench") throw new Error("another tenant was answered");
}

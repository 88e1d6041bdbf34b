/** What a shard's providers count, and what is read of them when somebody scrapes. */
import type { Metrics } from "#runtime/telemetry";
import type { ProviderAccountState, ResilienceDeps } from "#actors/providers";

const BREAKER_VALUE = { closed: 0, halfOpen: 1, open: 2 } as const;

export function providerMetrics(metrics: Metrics): ResilienceDeps["metrics"] {
  const { thread } = metrics;
  return {
    breaker: (account, state) => metrics.providerBreaker.set({ thread, account }, BREAKER_VALUE[state]),
    denied: (account, denial, reason) => metrics.providerDenials.inc({ account, denial, reason }),
    fallback: (from, to) => metrics.providerFallbacks.inc({ from, to }),
    hedge: (provider, result) => metrics.providerHedges.inc({ provider, result }),
  };
}

export function collectProviders(metrics: Metrics, accounts: readonly ProviderAccountState[]): void {
  const { thread } = metrics;
  for (const { account, breaker, inFlight, limit } of accounts) {
    metrics.providerBreaker.set({ thread, account }, BREAKER_VALUE[breaker]);
    metrics.providerInFlight.set({ thread, account }, inFlight);
    if (limit === null) metrics.providerBudget.remove({ thread, account });
    else metrics.providerBudget.set({ thread, account }, limit);
  }
}

/**
 * A whole deployment on one machine, for tests of what happens when part of it dies, and for benchmarks.
 *
 * ```ts
 * const cluster = await startCluster({ redisUrl, providers: emulators.env() });
 * await cluster.operator.call("ResellerService", "CreateReseller", { reseller: { id: "acme", name: "Acme" } });
 * const call = await placeCall({ nodeUrl: cluster.balancer.url, to: "+12025550150" });
 * await cluster.nodes[0].kill();
 * await cluster.stop();
 * ```
 */
export { type Cluster, type ClusterOptions, lastLogged, plainTenant, startCluster } from "./cluster.js";

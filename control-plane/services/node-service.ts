/** NodeService: nodes register, report and obey; operators list, drain and undrain them. */
import { randomUUID } from "node:crypto";
import type { DrainNodeResponse, Node, NodeServiceHandlers, PressureRung } from "#proto";
import { LumentraError } from "#runtime/errors";
import { toTimestamp, violated } from "#runtime/rpc";
import { isSameSecret } from "../auth/index.js";
import type { NodeRecord } from "../directory/directory.js";
import { type Caller, type ServiceOf, nodeOf } from "../server/index.js";
import type { Store } from "../store/store.js";
import { NodeStream, type NodeStreamDeps, nodeConfig } from "./node-stream.js";
import { type PageTokens, notFound, openPage } from "./requests.js";

const NODE_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;
const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1_000;

export interface NodeServiceDeps extends NodeStreamDeps {
  readonly store: Store;
  readonly pages: PageTokens;
  /** What a node shows to register; undefined: certificates alone. */
  readonly bootstrapToken: string | undefined;
}

export interface NodeService {
  readonly handlers: ServiceOf<NodeServiceHandlers>;
  /** Nodes whose stream is here; for metrics. */
  connectedCount(): number;
  /** Ends the nodes' streams, so that they connect to another control plane. */
  close(): void;
}

export function createNodeService(deps: NodeServiceDeps): NodeService {
  const { directory, store, commands, credentials } = deps;
  const streams = new Set<NodeStream>();
  const forgetRebuild = directory.onRebuild(() => {
    deps.log.warn({ nodes: streams.size }, "the directory lost its memory; nodes are asked to tell theirs");
    for (const stream of streams) void stream.rebuild();
  });
  let isClosed = false;

  /** By its certificate, or by the bootstrap token. */
  function requireRight(nodeId: string, token: string, { certificateName }: Caller): void {
    if (certificateName === nodeId) return;
    if (certificateName !== null && token === "")
      throw new LumentraError("PERMISSION_DENIED", `the certificate is ${certificateName}'s`);
    if (deps.bootstrapToken === undefined || !isSameSecret(token, deps.bootstrapToken))
      throw new LumentraError("BOOTSTRAP_TOKEN_INVALID", "the bootstrap token is not the control plane's");
  }

  async function recordOf(nodeId: string): Promise<NodeRecord> {
    const record = (await directory.nodes()).find((node) => node.nodeId === nodeId);
    if (record === undefined) throw notFound("node");
    return record;
  }

  async function setDraining(nodeId: string, draining: boolean, caller: Caller): Promise<DrainNodeResponse> {
    await recordOf(nodeId);
    // The note first, in a transaction that the directory's refusal rolls back: no drain without its note.
    await store.transaction(caller.scope, caller.actor, async (tx) => {
      await tx.audit.note({
        action: "update",
        resourceKind: "node",
        resourceId: nodeId,
        changes: { draining },
      });
      if (!(await directory.setDraining(nodeId, draining))) throw notFound("node");
    });
    await commands.tell(nodeId, { kind: "drain", draining });
    return { node: nodeMessage(await recordOf(nodeId)) };
  }

  return {
    handlers: {
      async RegisterNode({ nodeId, bootstrapToken }, caller) {
        if (!NODE_ID.test(nodeId))
          throw violated([{ field: "node_id", description: "must be 1 to 63 of a-z, 0-9 and dashes" }]);
        requireRight(nodeId, bootstrapToken, caller);
        const { credential, expiresAt } = await credentials.issue({ nodeId, incarnation: randomUUID() });
        return { credential, expireTime: toTimestamp(expiresAt), config: nodeConfig(deps) };
      },

      async ConnectNode(call, caller) {
        if (isClosed) throw stopping();
        const stream = new NodeStream(
          deps,
          { nodeId: nodeOf(caller), incarnation: caller.incarnation ?? randomUUID() },
          call,
        );
        streams.add(stream);
        try {
          await stream.run();
        } finally {
          streams.delete(stream);
        }
      },

      async FetchTenantSecrets({ tenantId }, caller) {
        nodeOf(caller);
        const secrets = await store.transaction({ kind: "system" }, caller.actor, (tx) =>
          tx.secrets.all(tenantId),
        );
        if (secrets === null) throw notFound("tenant");
        return { secrets: { ...secrets } };
      },

      async ListNodes(request, caller) {
        const { region } = request;
        const bounds = { fallback: DEFAULT_PAGE_SIZE, max: MAX_PAGE_SIZE };
        const { size, after, seal } = openPage(deps.pages, caller, "ListNodes", request, { region }, bounds);
        const rows = (await directory.nodes())
          .filter((node) => region === "" || node.region === region)
          .filter(({ nodeId }) => after === null || nodeId > (after[0] ?? ""))
          .sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
        const page = rows.slice(0, size);
        return {
          nodes: page.map(nodeMessage),
          nextPageToken: seal(rows.length > size ? [page.at(-1)!.nodeId] : null),
        };
      },

      async GetNode({ nodeId }) {
        return { node: nodeMessage(await recordOf(nodeId)) };
      },

      DrainNode: ({ nodeId }, caller) => setDraining(nodeId, true, caller),
      UndrainNode: ({ nodeId }, caller) => setDraining(nodeId, false, caller),
    },
    connectedCount: () => streams.size,
    close() {
      isClosed = true;
      forgetRebuild();
      for (const stream of streams) stream.end(stopping());
    },
  };
}

function stopping(): LumentraError {
  return new LumentraError("CONTROL_PLANE_UNREACHABLE", "this control plane stops; connect to another");
}

const RUNGS: readonly PressureRung[] = [
  "PRESSURE_RUNG_UNSPECIFIED",
  "PRESSURE_RUNG_NO_SPECULATION",
  "PRESSURE_RUNG_NO_OUTBOUND",
  "PRESSURE_RUNG_PLACE_ELSEWHERE",
  "PRESSURE_RUNG_OVERFLOW",
];

function nodeMessage(record: NodeRecord): Node {
  const { rung, pacingLagMs, eventLoopDelayMs, slotUsage, providerUsage } = record.pressure;
  return {
    id: record.nodeId,
    region: record.region,
    version: record.version,
    mediaUrl: record.mediaUrl,
    state: stateOf(record),
    capacityCalls: record.capacityCalls,
    calls: record.calls,
    pressure: { rung: RUNGS[rung]!, pacingLagMs, eventLoopDelayMs, slotUsage, providerUsage },
    reportTime: toTimestamp(record.reportedAtUnixMs),
    registerTime: toTimestamp(record.registeredAtUnixMs),
  };
}

function stateOf({ alive, ready, draining, stopping }: NodeRecord): NonNullable<Node["state"]> {
  if (!alive) return "NODE_STATE_LOST";
  if (draining || stopping) return "NODE_STATE_DRAINING";
  return ready ? "NODE_STATE_READY" : "NODE_STATE_NOT_READY";
}

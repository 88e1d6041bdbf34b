/** Control planes over one store and one directory, and an operator who asks them. */
import type { Test } from "tap";
import {
  type DirectoryKind,
  type Planes,
  type TestDirectories,
  openDirectories,
  type openStores,
  seed,
  startPlanes,
  until,
} from "./planes.fixture.js";

export interface ClusterOptions {
  /** @default memory */
  readonly kind?: DirectoryKind;
  /** Control planes. @default 1 */
  readonly count?: number;
  readonly caps?: { readonly tenant?: number; readonly reseller?: number };
  readonly overrides?: Parameters<typeof startPlanes>[1]["overrides"];
}

/** Null: there is no Redis on this machine. */
export async function startCluster(
  t: Test,
  stores: Awaited<ReturnType<typeof openStores>>,
  { kind = "memory", count = 1, caps = {}, overrides = {} }: ClusterOptions = {},
) {
  const store = await stores.fresh();
  await seed(store, caps);
  const opened: TestDirectories | null = await openDirectories(t, kind, count);
  if (opened === null) return null;
  const planes: Planes = await startPlanes(t, { store, overrides, ...opened });
  const operator = planes.planes.at(-1)!.client(planes.operatorKey);
  const counts = () => opened.directories.at(-1)!.counts("dentist", "acme");
  const ready = async (...nodeIds: string[]): Promise<void> =>
    until("the nodes to be ready", async () => {
      const { nodes } = await operator.call("NodeService", "ListNodes", {});
      return nodeIds.every((id) => nodes.some((node) => node.id === id && node.state === "NODE_STATE_READY"));
    });
  return { store, ...opened, ...planes, operator, counts, ready };
}

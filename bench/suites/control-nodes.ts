/** Media nodes as the control plane sees them: registered, with a stream, reports and leases, and no calls of their own. */
import type { ClientDuplexStream } from "@grpc/grpc-js";
import type { ConnectNodeRequest, ConnectNodeResponse__Output } from "#proto";
import { RpcClient } from "#runtime/rpc";

const REPORT_MS = 1_000;

export interface FakeNode {
  readonly nodeId: string;
  readonly rpc: RpcClient;
  close(): void;
}

/** Resolves when it was welcomed and has reported. */
export async function connectFakeNode(
  target: string,
  bootstrapToken: string,
  nodeId: string,
  capacityCalls: number,
): Promise<FakeNode> {
  let credential = "";
  const rpc = new RpcClient({ target, security: { insecure: false }, bearer: () => credential || null });
  ({ credential } = await rpc.call("NodeService", "RegisterNode", { nodeId, bootstrapToken }));
  const stream = rpc.connect("NodeService", "ConnectNode");
  const welcomed = new Promise<void>((resolve, reject) => {
    stream.on("data", (message: ConnectNodeResponse__Output) => {
      if (message.message === "welcome") resolve();
      if (message.message === "credential") credential = message.credential!.credential;
    });
    stream.on("error", reject);
  });
  write(stream, { hello: { region: "bench", version: "bench", mediaUrl: `ws://${nodeId}`, capacityCalls } });
  await welcomed;
  const report = (): void => {
    write(stream, { report: { pressure: { rung: "PRESSURE_RUNG_UNSPECIFIED" }, ready: true, calls: 0 } });
  };
  report();
  write(stream, { leases: { leases: [], last: true } });
  const timer = setInterval(report, REPORT_MS);
  return {
    nodeId,
    rpc,
    close: () => {
      clearInterval(timer);
      stream.on("error", () => {});
      stream.cancel();
      rpc.close();
    },
  };
}

function write(
  stream: ClientDuplexStream<ConnectNodeRequest, ConnectNodeResponse__Output>,
  message: ConnectNodeRequest,
): void {
  stream.write(message);
}

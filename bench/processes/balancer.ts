/**
 * What stands before several nodes in a deployment, as small as can be: a TCP balancer on loopback that hands each
 * connection to the next backend that accepts it.
 */
import { type AddressInfo, type Server, type Socket, connect, createServer } from "node:net";

/** Webhooks are short; a load test holds some hundred at once. */
const CONNECTIONS_MAX = 10_000;

export interface Balancer {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  /** Replaces the backends, host and port each; connections that are open stay. */
  setBackends(backends: readonly string[]): void;
  close(): Promise<void>;
}

export async function startBalancer(): Promise<Balancer> {
  let backends: readonly string[] = [];
  let next = 0;
  const open = new Set<Socket>();

  const join = (client: Socket, first: number, attempt: number): void => {
    if (attempt >= backends.length) return void client.destroy();
    const [host, port] = backends[(first + attempt) % backends.length]!.split(":");
    const backend = connect({ host: host!, port: Number(port) });
    open.add(backend);
    backend.once("close", () => open.delete(backend));
    const onRefused = (): void => join(client, first, attempt + 1);
    backend.once("error", onRefused);
    backend.once("connect", () => {
      backend.off("error", onRefused);
      backend.on("error", () => client.destroy());
      client.on("error", () => backend.destroy());
      client.once("close", () => backend.destroy());
      backend.once("close", () => client.destroy());
      client.pipe(backend).pipe(client);
    });
  };

  const server: Server = createServer((client) => {
    open.add(client);
    client.once("close", () => open.delete(client));
    client.on("error", () => client.destroy());
    next += 1;
    join(client, next, 0);
  });
  server.maxConnections = CONNECTIONS_MAX;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    setBackends: (wanted) => {
      backends = wanted;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

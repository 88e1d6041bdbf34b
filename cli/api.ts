/** The API as commands use it: one connection with the key and certificates of the command line. */
import type { Timestamp__Output } from "#proto";
import { LumentraError } from "#runtime/errors";
import {
  type MethodName,
  type RpcAnswer,
  RpcClient,
  type RpcRequest,
  type ServiceName,
  fromServiceError,
  fromTimestamp,
} from "#runtime/rpc";
import type { Environment } from "#runtime/settings";
import { resolveCliSettings } from "./settings.js";

export interface ApiOptions {
  /** Host and port. @default LUMENTRA_API_ADDRESS, 127.0.0.1:50051 */
  readonly address?: string;
  /** @default LUMENTRA_API_KEY */
  readonly key?: string;
  /** PEM file. @default LUMENTRA_API_CA_FILE */
  readonly ca?: string;
  /** Clear text to a host that is not this one. @default false */
  readonly insecure?: boolean;
}

export interface Api {
  /** @throws LumentraError what the RPC answers with; CONTROL_PLANE_UNREACHABLE when nobody does. */
  call<Name extends ServiceName, Method extends MethodName<Name>>(
    service: Name,
    method: Method,
    request: RpcRequest<Name, Method>,
  ): Promise<RpcAnswer<Name, Method>>;
  /** Ends without an error when `stopped` fires. */
  stream<Name extends ServiceName, Method extends MethodName<Name>>(
    service: Name,
    method: Method,
    request: RpcRequest<Name, Method>,
    stopped: AbortSignal,
  ): AsyncIterable<RpcAnswer<Name, Method>>;
  close(): void;
}

/** Does not connect: the first call does. @throws LumentraError SETTING_INVALID, TLS_REQUIRED */
export async function connectApi(options: ApiOptions, environment: Environment): Promise<Api> {
  const settings = await resolveCliSettings(environment);
  const key = options.key ?? settings.LUMENTRA_API_KEY ?? null;
  const ca = options.ca ?? settings.LUMENTRA_API_CA_FILE;
  const address = options.address ?? settings.LUMENTRA_API_ADDRESS;
  const rpc = new RpcClient({
    target: address,
    security: { caFile: ca, insecure: options.insecure ?? false },
    bearer: () => key,
  });
  return {
    call: async (service, method, request) => {
      try {
        return await rpc.call(service, method, request);
      } catch (error) {
        throw withAddress(error, address);
      }
    },
    async *stream(service, method, request, stopped) {
      const stream = rpc.watch(service, method, request);
      const stop = (): void => stream.cancel();
      stopped.addEventListener("abort", stop, { once: true });
      try {
        for await (const answer of stream) yield answer;
      } catch (error) {
        if (!stopped.aborted) throw withAddress(fromServiceError(error), address);
      } finally {
        stopped.removeEventListener("abort", stop);
        stream.cancel();
      }
    },
    close: () => rpc.close(),
  };
}

/** What gRPC says when there is no connection, in its own many words. */
const NO_CONNECTION = /^No connection established\. Last error: (?:Error: )?(.*?)\. Resolution note/;

/** The first that somebody meets who has not started anything: where nobody answers, and what to do. */
function withAddress(error: unknown, address: string): unknown {
  if (!(error instanceof LumentraError) || error.code !== "CONTROL_PLANE_UNREACHABLE") return error;
  const reason = NO_CONNECTION.exec(error.message)?.[1];
  if (reason === undefined) return error; // somebody did answer, and says why not
  const message = `nobody answers at ${address} (${reason}): start it with \`npm start\`, or give --address or LUMENTRA_API_ADDRESS`;
  return new LumentraError(error.code, message, { cause: error });
}

/** Local time to the second, for people. */
export function timestampText(timestamp: Timestamp__Output | null, absent = ""): string {
  return fromTimestamp(timestamp)?.toLocaleString("sv-SE") ?? absent;
}

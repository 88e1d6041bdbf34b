/**
 * A client in the server's own process that waits for answers as long as a test has: where the machine stands still for two
 * seconds, the deadlines of most RPCs have passed before anybody looks at a socket.
 */
import {
  type MethodName,
  type RpcAnswer,
  RpcClient,
  type RpcRequest,
  type ServiceName,
  type UnaryOptions,
} from "#runtime/rpc";

const DEADLINE_MS = 20_000;

export class PatientClient extends RpcClient {
  override call<Name extends ServiceName, Method extends MethodName<Name>>(
    service: Name,
    method: Method,
    request: RpcRequest<Name, Method>,
    options: UnaryOptions = {},
  ): Promise<RpcAnswer<Name, Method>> {
    return super.call(service, method, request, { deadlineMs: DEADLINE_MS, ...options });
  }
}

/** What a stream's `error` event says, as one of ours: with a code to act on. */
import { LumentraError } from "#runtime/errors";
import { fromServiceError } from "#runtime/rpc";

export function asLumentraError(error: unknown): LumentraError {
  const ours = fromServiceError(error);
  return ours instanceof LumentraError ? ours : new LumentraError("INTERNAL", ours.message, { cause: ours });
}

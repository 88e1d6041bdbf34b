/** What sockets, contexts and HTTP answers write alike. */
import { randomUUID } from "node:crypto";

export function errorMessage(
  status: number,
  message: string,
  errorCode: string,
  contextId: string | null,
  title: string,
): object {
  return {
    type: "error",
    ...(contextId === null ? {} : { context_id: contextId }),
    status_code: status,
    done: true,
    title,
    message,
    error_code: errorCode,
    request_id: randomUUID(),
    doc_url: "https://docs.cartesia.ai/api-reference/errors",
  };
}

/** Speech to text by Deepgram, v1 or Flux. */
import type { DeepgramSettings } from "../settings.js";
import type { DeepgramDialect } from "./deepgram-dialect.js";
import { DeepgramSession } from "./deepgram-session.js";
import { SocketStt } from "./socket-stt.js";
import type { SocketSttDeps } from "./stt-dialect.js";

export function deepgramStt(dialect: DeepgramDialect, deps: SocketSttDeps<DeepgramSettings>): SocketStt {
  return new SocketStt(
    dialect,
    (request, owner, onGone) => new DeepgramSession(dialect, request, owner, { ...deps, onGone }),
    deps,
  );
}

/**
 * Recognisers in order of preference that look like one: a stream that breaks goes on on the next
 * connection, of the same provider or of the next in the list, without a word lost or doubled.
 *
 * ```ts
 * const stt = new ReplayingStt({
 *   choices: [{ provider: deepgram, model: "nova-3" }, { provider: assemblyai, model: "universal-streaming-english" }],
 *   mayTry: (index) => breakers[index].mayTry(),
 *   onOutcome: (index, error) => breakers[index].note(error),
 *   clock, random, log,
 * });
 * ```
 * It owns its streams and none of the providers: closing it leaves them open.
 */
import { LumentraError } from "#runtime/errors";
import type { SttEvents, SttProvider, SttRequest, SttStream } from "./provider.js";
import { type ReplayingDeps, ReplayingStream } from "./replaying-stream.js";

export interface ReplayingSttOptions
  extends Pick<ReplayingDeps, "choices" | "clock" | "random" | "log">,
    Partial<Pick<ReplayingDeps, "mayTry" | "onOutcome">> {}

export class ReplayingStt implements SttProvider {
  readonly name: string;
  readonly #deps: ReplayingDeps;
  readonly #streams = new Set<ReplayingStream>();
  #closed = false;

  /** `mayTry` and `onOutcome` are for circuit breakers; without them every provider may always be tried. */
  constructor(options: ReplayingSttOptions) {
    if (options.choices.length === 0) throw new Error("choices must name a recogniser");
    this.name = options.choices.map(({ provider }) => provider.name).join(">");
    this.#deps = {
      mayTry: () => true,
      onOutcome: () => undefined,
      ...options,
      onEnded: (stream) => void this.#streams.delete(stream),
    };
  }

  /** The model asked of each provider is the list's; `request.model` is not used. */
  open(request: SttRequest, events: SttEvents): SttStream {
    const stream = new ReplayingStream(request, events, this.#deps);
    if (this.#closed) {
      queueMicrotask(() => stream.failWith(closedByUs()));
      return stream;
    }
    this.#streams.add(stream);
    stream.begin();
    return stream;
  }

  /** Of the first provider alone: sockets held ahead for a failure cost as much as those in use. */
  warm(request: Omit<SttRequest, "callId">): Promise<void> {
    const { provider, model } = this.#deps.choices[0]!;
    return provider.warm({ ...request, model });
  }

  close(): Promise<void> {
    this.#closed = true;
    // On a later tick: no event runs inside a call of theirs.
    return Promise.resolve().then(() => {
      for (const stream of this.#streams) stream.failWith(closedByUs());
    });
  }
}

function closedByUs(): LumentraError {
  return new LumentraError("STT_CLOSED", "the recognisers are closed on this shard");
}

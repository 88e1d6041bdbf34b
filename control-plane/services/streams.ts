/** What streams of the API have in common: reading in order, writing with a bound. */
import type { ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import { LumentraError } from "#runtime/errors";

const RESET_SHOWS_MS = 50;

/**
 * Hands over each message and waits for it before the next is read, so that a sender who is quicker than we are is
 * held back by the transport. "ended": the other side said that it has no more; "gone": it went without a word.
 * Rejects with what `handle` rejects with, and leaves the stream open then, for the status.
 */
export async function readEach<Message, Answer>(
  call: ServerDuplexStream<Message, Answer>,
  handle: (message: Message) => Promise<void>,
): Promise<"ended" | "gone"> {
  let failure: { readonly error: unknown } | null = null;
  try {
    for await (const message of call.iterator({ destroyOnReturn: false }) as AsyncIterable<Message>) {
      try {
        await handle(message);
      } catch (error) {
        failure = { error };
        break;
      }
    }
  } catch {
    return "gone"; // cancelled, or the connection broke
  }
  if (failure !== null) throw failure.error;
  // A reset ends the readable side too, and only then says that it was one; who has ended well waits for our status.
  await new Promise((resolve) => setTimeout(resolve, RESET_SHOWS_MS));
  return call.cancelled || call.destroyed ? "gone" : "ended";
}

/**
 * Resolves when there is room for more, at once if there is. False: the reader is gone.
 * @throws LumentraError WATCHER_TOO_SLOW when there was none for `timeoutMs`
 */
export function waitForRoom<Request, Answer>(
  call: ServerWritableStream<Request, Answer>,
  timeoutMs: number,
): Promise<boolean> {
  if (call.cancelled || call.destroyed) return Promise.resolve(false);
  if (!call.writableNeedDrain) return Promise.resolve(true);
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      call.off("drain", onDrain).off("close", onClose);
      act();
    };
    const onDrain = (): void => settle(() => resolve(true));
    const onClose = (): void => settle(() => resolve(false));
    const timer = setTimeout(
      () =>
        settle(() =>
          reject(new LumentraError("WATCHER_TOO_SLOW", `nothing was read for ${timeoutMs / 1_000} s`)),
        ),
      timeoutMs,
    );
    call.once("drain", onDrain).once("close", onClose);
  });
}

/** Calls back once when the reader is gone, at once if it is; the returned function forgets it. */
export function onGone<Request, Answer>(
  call: ServerWritableStream<Request, Answer>,
  listener: () => void,
): () => void {
  if (call.cancelled || call.destroyed) {
    listener();
    return () => {};
  }
  call.once("close", listener);
  return () => void call.off("close", listener);
}

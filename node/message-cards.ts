/**
 * Who left which message, on the disk of a node that stands alone: nobody else has its journals, and it forgets them when
 * it stops. A node of a cluster writes none, as its journals are in Postgres.
 *
 *   messages/<tenant>/<call>-<epoch>-<event>.json      beside the audio, where there is some
 *
 * One small file per message; like the audio, nobody but people deletes it.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Logger } from "#runtime/telemetry";
import type { JournalEvent } from "#actors/journal";

export class MessageCards {
  readonly #dataDirectory: string;
  readonly #startOf: (callId: string) => JournalEvent | null;
  readonly #log: Logger;
  /** Bounded by the messages that are taken within a write's time: one a call at most. */
  readonly #writing = new Set<Promise<void>>();

  /** `startOf`: how the call's journal begins. */
  constructor(dataDirectory: string, startOf: (callId: string) => JournalEvent | null, log: Logger) {
    this.#dataDirectory = dataDirectory;
    this.#startOf = startOf;
    this.#log = log;
  }

  /** Every event of the node, in order per call. */
  readonly onJournal = (event: JournalEvent): void => {
    if (event.kind !== "messageTaken") return;
    const { callId, epoch, sequence, atUnixMs, durationMs, audioFile, audioConfirmed, more } = event;
    const first = this.#startOf(callId);
    const start = first?.kind === "callStarted" ? first : null;
    const tenantId = start?.tenantId ?? "unknown";
    const card = {
      callId,
      carrierCallId: start?.carrierCallId ?? null,
      tenantId,
      at: new Date(atUnixMs).toISOString(),
      durationMs,
      audioFile,
      audioConfirmed,
      more,
      pii: { ...start?.pii, ...event.pii },
    };
    const path = join(this.#dataDirectory, "messages", tenantId, `${callId}-${epoch}-${sequence}.json`);
    const writing: Promise<void> = write(path, card)
      .catch((error: unknown) => this.#log.error({ err: error, callId }, "a message's card was not written"))
      .finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  };

  /** All that was told is on disk, or has failed. */
  async settled(): Promise<void> {
    await Promise.all(this.#writing);
  }
}

async function write(path: string, card: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(card, null, 2)}\n`, { mode: 0o600, flush: true });
}

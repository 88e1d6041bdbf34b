/**
 * Sends the spool's events to the control plane, and settles what is durable there.
 *
 * Invariants
 * J1 a call has at most one batch in flight, so that its events arrive in order whatever becomes of one of them;
 *    batches of different calls overtake each other.
 * J2 what was not acknowledged is sent again on the next stream, from the first of each call. The control plane
 *    recognises repeats by (call, sequence).
 * J3 a call whose journal is another owner's, closed, or has a gap that nobody can fill is given up, counted; an event
 *    that cannot be stored is set aside with the rest of its call. Neither holds up another call.
 */
import type { ClientDuplexStream } from "@grpc/grpc-js";
import type { AppendJournalRequest, AppendJournalResponse__Output } from "#proto";
import { type Clock, type Random, type TimerHandle } from "#runtime/actor";
import type { Logger, Metrics } from "#runtime/telemetry";
import { journalEventToProto } from "#actors/journal";
import { asLumentraError } from "./as-lumentra-error.js";
import type { JournalSpool, SpooledEvent } from "./journal-spool.js";
import { type Backoff, nextBackoffMs } from "./backoff.js";

/** Batches on their way at once: enough to keep a round trip of 20 ms busy at some thousand calls. */
const BATCHES_IN_FLIGHT_MAX = 64;
/** Well below the contract's 500, and far below its message size. */
const BATCH_EVENTS_MAX = 100;
/** Read from the spool and not settled: what is held in memory while the control plane is slow. */
const LOADED_EVENTS_MAX = 4_000;
/** A stream that acknowledges nothing for so long is taken for dead. */
const ACK_TIMEOUT_MS = 15_000;
const BACKOFF: Backoff = { firstMs: 100, maxMs: 5_000 };

export type JournalStream = ClientDuplexStream<AppendJournalRequest, AppendJournalResponse__Output>;

export interface JournalSenderDeps {
  readonly spool: JournalSpool;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** A new AppendJournal stream; it fails by its `error` event when nobody is there. */
  readonly connect: () => JournalStream;
  /** Another owner has the call, under an epoch above this one. */
  readonly onLeaseLost: (callId: string, epoch: number) => void;
}

interface CallQueue {
  /** Read and not settled, in order. */
  events: SpooledEvent[];
  /** How many of their head are in flight. */
  inFlight: number;
  /** 1 while the event that cannot be stored is looked for. */
  batchMax: number;
}

interface Batch {
  readonly callId: string;
  readonly epoch: number;
  readonly events: readonly SpooledEvent[];
}

export class JournalSender {
  readonly #deps: JournalSenderDeps;
  /** By call, the one that waits longest first. */
  readonly #queues = new Map<string, CallQueue>();
  readonly #inFlight = new Map<number, Batch>();
  #loadedCount = 0;
  #stream: JournalStream | null = null;
  #nextBatchId = 1;
  #attempt = 0;
  #retry: TimerHandle | null = null;
  #watch: TimerHandle | null = null;
  #ackedAtMs = 0;
  #isPumping = false;
  #isClosed = false;

  constructor(deps: JournalSenderDeps) {
    this.#deps = deps;
  }

  /** From now on events go out. */
  start(): void {
    this.#deps.spool.onReadable(() => this.#pump());
    this.#connect();
  }

  /** A control plane is there: what waits for a retry waits no longer. */
  kick(): void {
    if (this.#retry === null) return;
    this.#retry.cancel();
    this.#retry = null;
    if (this.#stream === null) this.#connect();
    else this.#pump();
  }

  /** What is in flight is sent again by the next process. */
  close(): void {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#watch?.cancel();
    this.#stream?.cancel();
    this.#stream = null;
  }

  /** Nothing waits, as far as was read. */
  get isIdle(): boolean {
    return this.#loadedCount === 0;
  }

  // ---- the stream

  #connect(): void {
    if (this.#isClosed) return;
    const stream = this.#deps.connect();
    this.#stream = stream;
    this.#ackedAtMs = this.#deps.clock.nowMs();
    stream.on("data", (answer: AppendJournalResponse__Output) => this.#answered(answer));
    const lost = (error: unknown): void => {
      if (this.#stream !== stream) return;
      this.#stream = null;
      stream.cancel();
      this.#disconnected(error);
    };
    stream.on("error", lost);
    stream.on("end", () => lost(null));
    this.#pump();
  }

  /** J2 */
  #disconnected(error: unknown): void {
    this.#watch?.cancel();
    this.#watch = null;
    // Not those that are being set aside: they wait for the disk.
    for (const { callId } of this.#inFlight.values()) this.#queues.get(callId)!.inFlight = 0;
    this.#inFlight.clear();
    if (error !== null && this.#attempt === 0) {
      this.#deps.log.warn(
        { err: asLumentraError(error) },
        "the journal stream is gone; events wait in the spool",
      );
    }
    this.#later(() => this.#connect());
  }

  #later(then: () => void): void {
    if (this.#isClosed || this.#retry !== null) return;
    const { clock, random } = this.#deps;
    this.#retry = clock.setTimer(nextBackoffMs(BACKOFF, this.#attempt++, random), () => {
      this.#retry = null;
      then();
    });
  }

  #watchAcks(): void {
    this.#watch ??= this.#deps.clock.setTimer(ACK_TIMEOUT_MS, () => {
      this.#watch = null;
      const silentMs = this.#deps.clock.nowMs() - this.#ackedAtMs;
      if (this.#inFlight.size === 0) return;
      if (silentMs < ACK_TIMEOUT_MS) return this.#watchAcks();
      this.#stream?.destroy(new Error(`nothing was acknowledged for ${Math.round(silentMs)} ms`));
    });
  }

  // ---- out

  #pump(): void {
    if (this.#isPumping || this.#isClosed) return;
    this.#isPumping = true;
    try {
      this.#fill();
      const stream = this.#stream;
      if (stream === null || this.#retry !== null) return;
      for (const [callId, queue] of this.#queues) {
        if (this.#inFlight.size >= BATCHES_IN_FLIGHT_MAX) return;
        if (queue.inFlight === 0 && queue.events.length > 0) this.#send(stream, callId, queue);
      }
    } finally {
      this.#isPumping = false;
    }
  }

  #fill(): void {
    while (this.#loadedCount < LOADED_EVENTS_MAX) {
      const read = this.#deps.spool.read(LOADED_EVENTS_MAX - this.#loadedCount);
      if (read.length === 0) return;
      this.#loadedCount += read.length;
      for (const spooled of read) {
        const { callId } = spooled.event;
        const queue = this.#queues.get(callId) ?? { events: [], inFlight: 0, batchMax: BATCH_EVENTS_MAX };
        queue.events.push(spooled);
        this.#queues.set(callId, queue);
      }
    }
  }

  #send(stream: JournalStream, callId: string, queue: CallQueue): void {
    const events = headOf(queue);
    const { epoch } = events[0]!.event;
    const batchId = this.#nextBatchId++;
    let request: AppendJournalRequest;
    try {
      request = { batchId, callId, epoch, events: events.map(({ event }) => journalEventToProto(event)) };
    } catch (error) {
      // Written by a version that knew other facts.
      this.#deps.log.error({ err: asLumentraError(error), callId }, "a journal event cannot be told");
      this.#poisoned({ callId, epoch, events }, queue);
      // No answer will come that would look again.
      return events.length > 1 ? this.#send(stream, callId, queue) : undefined;
    }
    queue.inFlight = events.length;
    this.#inFlight.set(batchId, { callId, epoch, events });
    if (this.#inFlight.size === 1) this.#ackedAtMs = this.#deps.clock.nowMs();
    this.#watchAcks();
    stream.write(request);
  }

  // ---- back

  #answered({ batchId, nextSequence, errorCode }: AppendJournalResponse__Output): void {
    const batch = this.#inFlight.get(batchId);
    if (batch === undefined) return;
    this.#inFlight.delete(batchId);
    this.#ackedAtMs = this.#deps.clock.nowMs();
    const queue = this.#queues.get(batch.callId)!;
    queue.inFlight = 0;
    switch (errorCode) {
      case "":
        this.#attempt = 0;
        queue.batchMax = queue.batchMax === 1 ? 1 : BATCH_EVENTS_MAX;
        this.#drop(batch.callId, queue, batch.events.length, "acknowledged");
        break;
      case "JOURNAL_GAP":
        this.#gap(batch, queue, nextSequence);
        break;
      case "CALL_LEASE_LOST":
        this.#giveUp(batch, queue, "fenced");
        this.#deps.onLeaseLost(batch.callId, batch.epoch);
        break;
      case "CALL_ENDED":
        this.#giveUp(batch, queue, "late");
        break;
      case "JOURNAL_EVENT_INVALID":
        this.#poisoned(batch, queue);
        break;
      default:
        this.#deps.log.warn(
          { code: errorCode, callId: batch.callId },
          "the control plane stores nothing now",
        );
        this.#later(() => this.#pump());
    }
    this.#pump();
  }

  /** Durable up to there: either we have what follows, or nobody has. */
  #gap(batch: Batch, queue: CallQueue, nextSequence: number): void {
    const known = queue.events.findIndex(({ event }) => event.sequence >= nextSequence);
    const isFillable = known >= 0 && queue.events[known]!.event.sequence === nextSequence;
    const sent = batch.events[0]!.event.sequence;
    if (isFillable && nextSequence !== sent) return this.#drop(batch.callId, queue, known, "acknowledged");
    this.#deps.log.error(
      { callId: batch.callId, nextSequence, sent },
      "a journal has a gap; the rest is given up",
    );
    this.#giveUp(batch, queue, "dropped");
  }

  /** J3: all that is known of the call under this epoch. */
  #giveUp({ callId, epoch }: Batch, queue: CallQueue, result: string): void {
    const later = queue.events.findIndex(({ event }) => event.epoch > epoch);
    this.#drop(callId, queue, later < 0 ? queue.events.length : later, result);
    this.#deps.spool.giveUp(callId, epoch);
  }

  #poisoned(batch: Batch, queue: CallQueue): void {
    if (batch.events.length > 1) {
      queue.batchMax = 1;
      return;
    }
    this.#deps.log.error({ callId: batch.callId }, "a journal event cannot be stored; it is set aside");
    queue.inFlight = queue.events.length; // nothing of the call is sent while it is written
    void this.#deps.spool.setAside(queue.events.map(({ event }) => event)).then(() => {
      queue.inFlight = 0;
      if (this.#isClosed) return;
      this.#giveUp(batch, queue, "invalid");
      this.#pump();
    });
  }

  /** Settles the head of a call's queue, and lets the call wait at the end of the line. */
  #drop(callId: string, queue: CallQueue, count: number, result: string): void {
    const settled = queue.events.splice(0, count);
    this.#loadedCount -= settled.length;
    this.#deps.metrics.journalEvents.inc({ result }, settled.length);
    this.#deps.spool.settle(settled);
    this.#queues.delete(callId);
    if (queue.events.length > 0) this.#queues.set(callId, queue);
  }
}

/** One epoch, no gaps. */
function headOf({ events, batchMax }: CallQueue): readonly SpooledEvent[] {
  const [first] = events;
  let count = 1;
  while (count < Math.min(events.length, batchMax)) {
    const { sequence, epoch } = events[count]!.event;
    if (epoch !== first!.event.epoch || sequence !== first!.event.sequence + count) break;
    count += 1;
  }
  return events.slice(0, count);
}

/**
 * One node's journal stream: batches go to the store in order per call, different calls side by side, and each is
 * acknowledged when it is durable.
 *
 *   stream -> accept (reading stops at PENDING_MAX) -> queue of its call -> one transaction per call at a time -> answer
 *
 * Invariants
 * A1 Of one call one transaction runs at a time, and batches enter it in the order they came. Batches of a call that
 *    wait together go together: an ack per batch, a commit for all.
 * A2 At most PENDING_MAX batches are held per stream, answers that were not yet read included; the node is held back
 *    by the transport, and its spool is where the rest waits.
 * A3 After a batch that could not be stored, what waits of the same call is answered alike without a try: stored, it
 *    would be a gap.
 */
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { type JournalEvent, journalEventFromProto } from "#actors/journal";
import type { AppendJournalRequest__Output, AppendJournalResponse } from "#proto";
import { type ErrorCode, LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import type { AppendVerdict, CallRow, Store } from "../store/store.js";

/** A2. At 500 events of 200 bytes each, 6 MiB at worst. */
const PENDING_MAX = 64;
/** Transactions of one stream at once; the pool of connections is shared by all streams. */
const PARALLEL_MAX = 8;
/** As the proto says. */
const EVENTS_PER_BATCH_MAX = 500;

export interface JournalAppenderDeps {
  readonly store: Store;
  readonly log: Logger;
  /** New events of a call are durable. */
  readonly onStored: (call: CallRow, fromSequence: number) => void;
}

interface Batch {
  readonly batchId: number;
  readonly epoch: number;
  readonly events: readonly JournalEvent[];
}

export class JournalAppender {
  readonly #deps: JournalAppenderDeps;
  readonly #nodeId: string;
  readonly #call: ServerDuplexStream<AppendJournalRequest__Output, AppendJournalResponse>;
  /** By call, in the order they came; a call is in here while it has batches waiting or under way. */
  readonly #queues = new Map<string, Batch[]>();
  /** Calls with batches waiting that have no transaction yet. */
  readonly #ready: string[] = [];
  #running = 0;
  #pending = 0;
  #settle: (() => void) | null = null;

  constructor(
    deps: JournalAppenderDeps,
    nodeId: string,
    call: ServerDuplexStream<AppendJournalRequest__Output, AppendJournalResponse>,
  ) {
    this.#deps = deps;
    this.#nodeId = nodeId;
    this.#call = call;
  }

  /** Resolves when the node has ended its side and everything is answered, or when it is gone. */
  run(): Promise<void> {
    return new Promise((resolve) => {
      let hasEnded = false;
      this.#settle = () => {
        if (hasEnded && this.#pending === 0) resolve();
      };
      this.#call.on("data", (message: AppendJournalRequest__Output) => this.#accept(message));
      this.#call.on("end", () => {
        hasEnded = true;
        this.#settle!();
      });
      // What is under way is stored all the same; the node sends it again and it is recognised.
      this.#call.on("close", resolve);
    });
  }

  #accept({ batchId, callId, epoch, events }: AppendJournalRequest__Output): void {
    this.#pending++;
    if (this.#pending >= PENDING_MAX) this.#call.pause(); // A2
    let batch: Batch;
    try {
      batch = { batchId, epoch, events: eventsOf(callId, events) };
    } catch (error) {
      this.#deps.log.warn({ error, callId, nodeId: this.#nodeId, batchId }, "a batch is not as it must be");
      this.#answer(batchId, 0, "JOURNAL_EVENT_INVALID");
      return;
    }
    const queue = this.#queues.get(callId);
    if (queue !== undefined) queue.push(batch);
    else {
      this.#queues.set(callId, [batch]);
      this.#ready.push(callId);
      this.#next();
    }
  }

  #next(): void {
    while (this.#running < PARALLEL_MAX && this.#ready.length > 0) {
      const callId = this.#ready.shift()!;
      this.#running++;
      void this.#append(callId).finally(() => {
        this.#running--;
        this.#next();
      });
    }
  }

  /** One transaction for what waits of a call; never rejects. */
  async #append(callId: string): Promise<void> {
    const queue = this.#queues.get(callId)!;
    const group = takeGroup(queue);
    let verdict: AppendVerdict | ErrorCode;
    try {
      verdict = await this.#store(callId, group);
    } catch (error) {
      verdict = error instanceof LumentraError ? error.code : "INTERNAL";
      this.#deps.log.warn({ error, callId, nodeId: this.#nodeId }, "events could not be stored");
      group.push(...queue.splice(0)); // A3
    }
    const { nextSequence, code } = answerOf(verdict);
    if (typeof verdict === "object" && verdict.kind !== "stored")
      this.#deps.log.warn({ callId, nodeId: this.#nodeId, verdict: verdict.kind }, "events are refused");
    if (queue.length > 0) this.#ready.push(callId);
    else this.#queues.delete(callId);
    if (typeof verdict === "object" && verdict.kind === "stored")
      this.#deps.onStored(verdict.call, group[0]!.events[0]!.sequence);
    for (const { batchId } of group) this.#answer(batchId, nextSequence, code);
  }

  #store(callId: string, group: readonly Batch[]): Promise<AppendVerdict> {
    const events = group.length === 1 ? group[0]!.events : group.flatMap((batch) => batch.events);
    return this.#deps.store.transaction({ kind: "system" }, `node:${this.#nodeId}`, (tx) =>
      tx.calls.append(callId, group[0]!.epoch, this.#nodeId, events),
    );
  }

  #answer(batchId: number, nextSequence: number, errorCode: ErrorCode | ""): void {
    const done = (): void => {
      this.#pending--;
      if (this.#pending === PENDING_MAX / 2 && this.#call.isPaused()) this.#call.resume();
      this.#settle?.();
    };
    if (this.#call.cancelled || this.#call.destroyed) done();
    else this.#call.write({ batchId, nextSequence, errorCode }, done);
  }
}

/** A1. As many of the first batches as belong together: one epoch, sequences that go on, no more than a batch may have. */
function takeGroup(queue: Batch[]): Batch[] {
  const group = [queue.shift()!];
  let count = group[0]!.events.length;
  for (let next = queue[0]; next !== undefined; next = queue[0]) {
    const last = group.at(-1)!;
    count += next.events.length;
    const goesOn = next.events[0]!.sequence === last.events.at(-1)!.sequence + 1;
    if (next.epoch !== last.epoch || !goesOn || count > EVENTS_PER_BATCH_MAX) break;
    group.push(queue.shift()!);
  }
  return group;
}

/** @throws LumentraError JOURNAL_EVENT_INVALID */
function eventsOf(callId: string, messages: AppendJournalRequest__Output["events"]): JournalEvent[] {
  if (messages.length === 0 || messages.length > EVENTS_PER_BATCH_MAX)
    throw new LumentraError("JOURNAL_EVENT_INVALID", `a batch has 1 to ${EVENTS_PER_BATCH_MAX} events`);
  const events = messages.map(journalEventFromProto);
  const [first] = events;
  for (const [index, event] of events.entries()) {
    if (event.callId !== callId)
      throw new LumentraError("JOURNAL_EVENT_INVALID", "an event is of another call");
    if (event.sequence !== first!.sequence + index)
      throw new LumentraError("JOURNAL_EVENT_INVALID", "sequences within a batch have a gap");
  }
  return events;
}

const REFUSALS: Readonly<Record<Exclude<AppendVerdict["kind"], "stored">, ErrorCode>> = {
  leaseLost: "CALL_LEASE_LOST",
  gap: "JOURNAL_GAP",
  ended: "CALL_ENDED",
  invalid: "JOURNAL_EVENT_INVALID",
};

function answerOf(verdict: AppendVerdict | ErrorCode): { nextSequence: number; code: ErrorCode | "" } {
  if (typeof verdict === "string") return { nextSequence: 0, code: verdict };
  const nextSequence = "nextSequence" in verdict ? verdict.nextSequence : 0;
  return { nextSequence, code: verdict.kind === "stored" ? "" : REFUSALS[verdict.kind] };
}

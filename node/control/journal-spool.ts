/**
 * Journal events on their way to the control plane, kept on disk until it has them: what this process and the ones
 * before it have written, in order.
 *
 *   append ──▶ active segment ──rotated──▶ closed ──all acknowledged──▶ file removed
 *                    │                        │
 *                    └────────── read, oldest first, by the sender ──────────┘
 *
 * Invariants
 * P1 events of a call are read in the order in which they were appended, over processes too.
 * P2 what `flushed` has resolved for survives a killed process. (Not a lost machine: nothing is fsynced.)
 * P3 a segment's file goes when the last of its events was settled: acknowledged, or given up.
 * P4 the spool has at most maxBytes on disk. At the bound the oldest segment makes room: ended calls' events are given
 *    up, and with them the rest of those calls; when all of its calls live, all of them are. Counted either way.
 * P5 no call waits for the disk: appending returns at once. A disk that takes nothing is tried again and again; what
 *    waits for it is bounded too, and is sent meanwhile.
 */
import { mkdir, readdir, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { Logger, Metrics } from "#runtime/telemetry";
import type { JournalEvent } from "#actors/journal";
import { SegmentWriter, cutSegment, encodeRecord, readSegment, removeSegment } from "./spool-segment.js";

/** Events that were acknowledged are sent again after a restart, up to a segment's worth: small, then. */
const SEGMENT_BYTES = 256 * 1024;
/** Events kept in memory for a sender that is behind; older ones are read from disk again. */
const MEMORY_EVENTS_MAX = 4_000;
/** What waits for a disk that takes nothing. */
const UNWRITTEN_EVENTS_MAX = 20_000;
/** Calls that lost an event and may still write: more than a node carries. */
export const GIVEN_UP_MAX = 10_000;
/** Between attempts at a disk that takes nothing. */
const DISK_RETRY_MS = 1_000;

export interface JournalSpoolOptions {
  /** Made when missing. */
  readonly directory: string;
  readonly maxBytes: number;
  /** @default SEGMENT_BYTES */
  readonly segmentBytes?: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Whether this node still has the call: at the bound those of others go first. */
  readonly isLive: (callId: string) => boolean;
}

/** An event on its way, with the segment that keeps it. */
export interface SpooledEvent {
  readonly event: JournalEvent;
  readonly segment: Segment;
}

interface Segment {
  readonly id: number;
  readonly path: string;
  bytes: number;
  /** Events not settled yet; null: it is on disk and has not been read. */
  unsettled: number | null;
  /** Null: on disk only. */
  events: JournalEvent[] | null;
  /** How many of them were read. */
  readCount: number;
  closed: boolean;
  /** It has made room before: what is left in it is of calls that lived then. */
  compacted: boolean;
}

export class JournalSpool {
  readonly #options: Required<JournalSpoolOptions>;
  /** Oldest first; the last is the active one. */
  readonly #segments: Segment[] = [];
  /** Appended and not on disk yet. */
  #unwritten: { readonly segment: Segment; readonly record: Buffer }[] = [];
  #writer: SegmentWriter | null = null;
  #writerOf: Segment | null = null;
  #writing: Promise<void> | null = null;
  #nextId = 1;
  #isClosed = false;
  /**
   * Calls that lost an event, with the epoch they had: what follows under it would be a gap, or another owner's, and is
   * given up as well. Bounded by GIVEN_UP_MAX: nobody says when a call that another owner has is over.
   */
  readonly #givenUp = new Map<string, number>();
  /** Unsettled events of this process, by call. */
  readonly #unsettledByCall = new Map<string, number>();
  #drainWaiters: { readonly callId: string; readonly resolve: () => void }[] = [];
  #onReadable: () => void = () => {};
  /** A segment that is read from disk right now. */
  #loading: Segment | null = null;

  /** Use `open`. */
  private constructor(options: JournalSpoolOptions) {
    this.#options = { segmentBytes: SEGMENT_BYTES, ...options };
  }

  /** Finds what former processes left. @throws the disk's error when the directory cannot be made or read. */
  static async open(options: JournalSpoolOptions): Promise<JournalSpool> {
    const spool = new JournalSpool(options);
    await mkdir(options.directory, { recursive: true, mode: 0o700 });
    const names = await readdir(options.directory);
    const ids = names.flatMap((name) => {
      const match = /^(\d{10})\.seg$/.exec(name);
      return match === null ? [] : [Number(match[1])];
    });
    for (const id of ids.toSorted((a, b) => a - b)) {
      const path = spool.#pathOf(id);
      const { size } = await stat(path);
      if (size === 0) await removeSegment(path);
      else
        spool.#segments.push({
          id,
          path,
          bytes: size,
          unsettled: null,
          events: null,
          readCount: 0,
          closed: true,
          compacted: false,
        });
      spool.#nextId = id + 1;
    }
    if (spool.#segments.length > 0) {
      options.log.info(
        { segments: spool.#segments.length, bytes: spool.bytes },
        "journals of a former process",
      );
    }
    spool.#addSegment();
    return spool;
  }

  /** On disk, or about to be. */
  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Not settled, as far as they were read; those of former processes count once they are. */
  get eventCount(): number {
    return this.#segments.reduce((sum, { unsettled }) => sum + (unsettled ?? 0), 0);
  }

  get eventsInMemory(): number {
    return this.#segments.reduce((sum, { events }) => sum + (events?.length ?? 0), 0);
  }

  /** Something is being read from disk; onReadable tells when it is there. */
  get isLoading(): boolean {
    return this.#loading !== null;
  }

  /** Clock.unixMs() of the oldest unsettled event in memory; null when there is none. */
  oldestUnixMs(): number | null {
    const oldest = this.#segments.find(({ unsettled }) => unsettled === null || unsettled > 0);
    return oldest?.events?.[0]?.atUnixMs ?? null;
  }

  /** P5 */
  append(event: JournalEvent): void {
    const { metrics } = this.#options;
    metrics.journalEvents.inc({ result: "appended" });
    const isFull = this.#unwritten.length >= UNWRITTEN_EVENTS_MAX;
    if (isFull) this.#noteGivenUp(event.callId, event.epoch);
    if (this.#isGivenUp(event)) {
      if (event.kind === "callEnded") this.#givenUp.delete(event.callId);
      return this.#count("dropped", 1);
    }
    const segment = this.#active();
    const record = encodeRecord(event);
    segment.events!.push(event);
    segment.unsettled = (segment.unsettled ?? 0) + 1;
    segment.bytes += record.length;
    this.#unsettledByCall.set(event.callId, (this.#unsettledByCall.get(event.callId) ?? 0) + 1);
    this.#unwritten.push({ segment, record });
    this.#writing ??= this.#write();
    this.#onReadable();
  }

  /** Resolves when all that was appended so far is in its file (P2); a disk that takes nothing keeps it waiting. */
  async flushed(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
  }

  // ---- the sender's side

  /** Called when there may be something to read. One listener. */
  onReadable(listener: () => void): void {
    this.#onReadable = listener;
  }

  /** The next events, oldest first (P1); empty: none, or they are being read from disk and onReadable will tell. */
  read(max: number): SpooledEvent[] {
    const read: SpooledEvent[] = [];
    for (const segment of this.#segments) {
      if (segment.events === null) {
        if (segment.unsettled !== null && segment.readCount > 0) continue; // read, and not kept
        if (read.length === 0) void this.#load(segment);
        break;
      }
      while (read.length < max && segment.readCount < segment.events.length) {
        read.push({ event: segment.events[segment.readCount]!, segment });
        segment.readCount += 1;
      }
      if (read.length >= max) break;
      // Whoever reads has them now.
      if (segment.closed) segment.events = null;
    }
    return read.filter(({ event, segment }) => {
      if (!this.#isGivenUp(event)) return true;
      this.#count("dropped", 1);
      this.#settle(segment, event.callId);
      return false;
    });
  }

  /** They are durable at the control plane, or given up. */
  settle(events: readonly SpooledEvent[]): void {
    for (const { segment, event } of events) this.#settle(segment, event.callId);
  }

  /** Nothing more of this call is of use under this epoch or an older one: it is dropped. Counted. */
  giveUp(callId: string, epoch: number): void {
    if (this.#options.isLive(callId)) this.#noteGivenUp(callId, epoch);
  }

  /** Resolves when no event of the call that this process has appended waits any more. */
  drained(callId: string): Promise<void> {
    if (!this.#unsettledByCall.has(callId)) return Promise.resolve();
    return new Promise((resolve) => this.#drainWaiters.push({ callId, resolve }));
  }

  /** Events that cannot be stored, for people to look at: a file of its own per call. */
  async setAside(events: readonly JournalEvent[]): Promise<void> {
    const [first] = events;
    if (first === undefined) return;
    const folder = join(this.#options.directory, "aside");
    const name = first.callId.replaceAll(/[^\w-]/g, "_").slice(0, 128);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const lines = events.map((event) => `${JSON.stringify(event)}\n`).join("");
      await writeFile(join(folder, `${name}.jsonl`), lines, { flag: "a", mode: 0o600 });
    } catch (error) {
      this.#options.log.error({ err: error, callId: first.callId }, "events could not be set aside");
    }
  }

  /** Writes what can be written and closes the file. What is not settled is the next process's. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.flushed();
    await this.#writer?.close();
    const active = this.#segments.at(-1);
    if (active !== undefined && active.unsettled === 0) await removeSegment(active.path);
  }

  // ---- segments

  #pathOf(id: number): string {
    return join(this.#options.directory, `${String(id).padStart(10, "0")}.seg`);
  }

  #addSegment(): Segment {
    const id = this.#nextId++;
    const segment: Segment = {
      id,
      path: this.#pathOf(id),
      bytes: 0,
      unsettled: 0,
      events: [],
      readCount: 0,
      closed: false,
      compacted: false,
    };
    this.#segments.push(segment);
    return segment;
  }

  #active(): Segment {
    const active = this.#segments.at(-1)!;
    if (active.bytes < this.#options.segmentBytes) return active;
    active.closed = true;
    this.#forgetMemory();
    return this.#addSegment();
  }

  /** Closed segments that are on disk and that nobody has begun to read need not be in memory. */
  #forgetMemory(): void {
    let kept = this.#segments.reduce((sum, { events }) => sum + (events?.length ?? 0), 0);
    for (const segment of this.#segments.toReversed()) {
      if (kept <= MEMORY_EVENTS_MAX) return;
      const isOnDisk = !this.#unwritten.some((unwritten) => unwritten.segment === segment);
      if (!segment.closed || segment.events === null || segment.readCount > 0 || !isOnDisk) continue;
      kept -= segment.events.length;
      segment.events = null;
    }
  }

  async #load(segment: Segment): Promise<void> {
    if (this.#loading !== null) return;
    this.#loading = segment;
    try {
      const { events, goodBytes, badBytes } = await readSegment(segment.path);
      if (badBytes > 0) {
        const error = new LumentraError(
          "SPOOL_DAMAGED",
          `${badBytes} bytes of ${segment.path} are set aside`,
        );
        this.#options.log.warn(
          { err: error, events: events.length },
          "a segment of the spool has a torn end",
        );
        await cutSegment(segment.path, goodBytes);
        segment.bytes = goodBytes;
      }
      segment.events = [...events];
      segment.unsettled = events.length;
      if (events.length === 0) await this.#remove(segment);
    } catch (error) {
      this.#options.log.error({ err: error, path: segment.path }, "a segment of the spool cannot be read");
      await this.#quarantine(segment);
    } finally {
      this.#loading = null;
    }
    this.#onReadable();
  }

  /** A file the disk cannot read is left for people to look at. */
  async #quarantine(segment: Segment): Promise<void> {
    this.#take(segment);
    await rename(segment.path, `${segment.path}.unreadable`).catch(() => {});
  }

  #settle(segment: Segment, callId: string): void {
    segment.unsettled = Math.max(0, (segment.unsettled ?? 0) - 1);
    this.#uncount(callId);
    if (segment.unsettled > 0 || this.#isClosed) return;
    if (!segment.closed) {
      // All of it is settled: a new file spares the next process the repetition.
      if (segment.bytes < this.#options.segmentBytes / 4) return;
      segment.closed = true;
      this.#addSegment();
    }
    void this.#remove(segment);
  }

  /** P3. Its unwritten records have been settled as well: they need not be written any more. */
  async #remove(segment: Segment): Promise<void> {
    this.#take(segment);
    this.#unwritten = this.#unwritten.filter((unwritten) => unwritten.segment !== segment);
    try {
      if (this.#writerOf === segment) await this.#writing;
      await removeSegment(segment.path);
    } catch (error) {
      this.#options.log.error({ err: error, path: segment.path }, "a segment of the spool cannot be removed");
    }
  }

  #take(segment: Segment): void {
    const index = this.#segments.indexOf(segment);
    if (index >= 0) this.#segments.splice(index, 1);
  }

  // ---- the disk

  #isStuck = false;

  /** One at a time; runs until nothing is unwritten. */
  async #write(): Promise<void> {
    // What comes within a turn of the loop goes in one write.
    await Promise.resolve();
    while (this.#unwritten.length > 0) {
      const { segment } = this.#unwritten[0]!;
      const batch = this.#unwritten.filter((unwritten) => unwritten.segment === segment);
      try {
        while (this.bytes > this.#options.maxBytes && (await this.#makeRoom()));
        if (this.#writerOf !== segment) {
          await this.#writer?.close();
          this.#writer = new SegmentWriter(segment.path);
          this.#writerOf = segment;
        }
        await this.#writer!.append(batch.map(({ record }) => record));
        this.#isStuck = false;
        const written = new Set(batch);
        this.#unwritten = this.#unwritten.filter((unwritten) => !written.has(unwritten));
      } catch (error) {
        if (!this.#isStuck)
          this.#options.log.error({ err: error }, "the spool's disk takes nothing; calls go on");
        this.#isStuck = true;
        this.#options.metrics.spoolWriteFailures.inc();
        if (this.#isClosed) break;
        await new Promise<void>((resolve) => this.#options.clock.setTimer(DISK_RETRY_MS, resolve));
      }
    }
    this.#writing = null;
    this.#forgetMemory();
  }

  /** P4: false when there is nothing that could go. */
  async #makeRoom(): Promise<boolean> {
    const { isLive, log } = this.#options;
    const closed = this.#segments.filter((segment) => segment.closed && segment !== this.#loading);
    const oldest = closed.find(({ compacted }) => !compacted) ?? closed[0];
    if (oldest === undefined) return false;
    const events = oldest.events ?? (await readSegment(oldest.path)).events;
    const unread = events.slice(oldest.readCount);
    const ended = unread.filter(({ callId }) => !isLive(callId));
    if (ended.length === 0 && unread.length > 0 && !oldest.compacted) {
      oldest.compacted = true; // all of it lives: the next one first
      return true;
    }
    const lost = ended.length > 0 ? ended : unread;
    const kept = ended.length > 0 ? unread.filter(({ callId }) => isLive(callId)) : [];
    for (const { callId, epoch } of lost) if (isLive(callId)) this.#noteGivenUp(callId, epoch);
    this.#count("dropped", lost.length);
    const error = new LumentraError("SPOOL_FULL", `the spool has reached ${this.#options.maxBytes} bytes`);
    log.error({ err: error, dropped: lost.length, kept: kept.length }, "the oldest journals make room");
    const isCounted = oldest.unsettled !== null;
    for (const { callId } of lost) if (isCounted) this.#uncount(callId);
    this.#take(oldest);
    await removeSegment(oldest.path);
    this.#unwritten = this.#unwritten.filter(({ segment }) => segment !== oldest);
    if (kept.length === 0) return true;
    // Live calls' events stay where they were in the order: a smaller segment in the place of the old one.
    const records = kept.map(encodeRecord);
    const writer = new SegmentWriter(oldest.path);
    await writer.append(records);
    await writer.close();
    const next = this.#segments.findIndex(({ id }) => id > oldest.id);
    this.#segments.splice(next < 0 ? this.#segments.length : next, 0, {
      id: oldest.id,
      path: oldest.path,
      bytes: writer.bytes,
      unsettled: kept.length,
      events: [...kept],
      readCount: 0,
      closed: true,
      compacted: true,
    });
    return true;
  }

  #noteGivenUp(callId: string, epoch: number): void {
    this.#givenUp.delete(callId);
    this.#givenUp.set(callId, epoch);
    if (this.#givenUp.size <= GIVEN_UP_MAX) return;
    for (const oldest of this.#givenUp.keys()) return void this.#givenUp.delete(oldest);
  }

  #isGivenUp({ callId, epoch }: JournalEvent): boolean {
    return epoch <= (this.#givenUp.get(callId) ?? -1);
  }

  /** One event of the call less waits. */
  #uncount(callId: string): void {
    const left = (this.#unsettledByCall.get(callId) ?? 0) - 1;
    if (left > 0) return void this.#unsettledByCall.set(callId, left);
    this.#unsettledByCall.delete(callId);
    this.#drainWaiters = this.#drainWaiters.filter((waiter) => {
      if (waiter.callId === callId) waiter.resolve();
      return waiter.callId !== callId;
    });
  }

  #count(result: "dropped", count: number): void {
    this.#options.metrics.journalEvents.inc({ result }, count);
  }
}

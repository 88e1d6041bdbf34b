/** CallService: calls listed, read, watched and hung up by those whose calls they are. */
import { journalEventToProto } from "#actors/journal";
import type {
  Call,
  CallServiceHandlers,
  CallState as CallStateMessage,
  ListCallsRequest__Output,
} from "#proto";
import type { Clock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { fromTimestamp, toDuration, toTimestamp } from "#runtime/rpc";
import type { Principal } from "../auth/index.js";
import type { Directory } from "../directory/directory.js";
import type { Caller, ServiceOf } from "../server/index.js";
import type { CallFilter, CallRow, CallState, Page, PageRequest, Store } from "../store/store.js";
import { type CallFeed, type CallFeeds } from "./call-feed.js";
import type { CallHints } from "./call-hints.js";
import { type CallsFeed, requireRoom } from "./calls-feed.js";
import type { NodeCommands } from "./node-commands.js";
import { Checks, type PageTokens, notFound, openPage } from "./requests.js";
import { onGone, waitForRoom } from "./streams.js";
import { Transcript } from "./transcript.js";

/** Of the lists that a watcher begins with. */
const ROWS_PER_LIST = 500;
const QUERY_MAX_CHARS = 200;
/** Ids and numbers. */
const NAME_MAX_CHARS = 256;
/** Events per read of a transcript. */
const EVENTS_PER_READ = 1_000;
/** How long a watcher of a call may leave what was sent unread; it is not kept, only waited for. */
const WATCHER_PATIENCE_MS = 10_000;
/** Within the RPC's deadline of 5 s. */
const HANG_UP_TIMEOUT_MS = 4_000;

export interface CallServiceDeps {
  readonly pages: PageTokens;
  readonly store: Store;
  readonly directory: Directory;
  readonly commands: NodeCommands;
  readonly hints: CallHints;
  readonly callFeeds: CallFeeds;
  readonly callsFeed: CallsFeed;
  readonly clock: Clock;
  /** @default 10 s */
  readonly watcherPatienceMs?: number;
}

export function createCallService(deps: CallServiceDeps): ServiceOf<CallServiceHandlers> {
  const { store, directory, commands, hints, callFeeds, callsFeed, clock } = deps;
  const patienceMs = deps.watcherPatienceMs ?? WATCHER_PATIENCE_MS;
  const message = (row: CallRow): Call => callMessage(row, clock.unixMs());

  async function rowOf(callId: string, { scope, actor }: Caller): Promise<CallRow> {
    const row = await store.transaction(scope, actor, (tx) => tx.calls.get(callId));
    if (row === null) throw notFound("call");
    return row;
  }

  /** Live calls first, each as it is; what changes meanwhile follows. */
  async function* goingOn(tenantId: string, { scope, actor }: Caller): AsyncGenerator<CallRow> {
    for (const state of ["live", "suspended"] as const) {
      let after: readonly string[] | null = null;
      do {
        const page: PageRequest = { size: ROWS_PER_LIST, after };
        const filter: CallFilter = tenantId === "" ? { state } : { state, tenantId };
        const { rows, next }: Page<CallRow> = await store.transaction(scope, actor, (tx) =>
          tx.calls.list(filter, page),
        );
        yield* rows;
        after = next;
      } while (after !== null);
    }
  }

  async function hangUpSuspended(row: CallRow): Promise<void> {
    // Nobody owns its leg: it is over as soon as nobody may resume it. A node that still waits for its leg hears of it.
    const lost = await store.transaction({ kind: "system" }, "system", (tx) =>
      tx.calls.lose(row.id, row.epoch, true, "operatorHungUp"),
    );
    if (lost !== null) hints.announce(lost);
    await commands.tell(row.nodeId, { kind: "hangUp", callId: row.id, reason: "operator" });
  }

  return {
    async ListCalls(request, caller) {
      const { pageSize: _size, pageToken: _token, ...query } = request;
      const filter = filterOf(request);
      const page = openPage(deps.pages, caller, "ListCalls", request, query);
      const { rows, next } = await store.transaction(caller.scope, caller.actor, (tx) =>
        tx.calls.list(filter, page),
      );
      return { calls: rows.map(message), nextPageToken: page.seal(next) };
    },

    async GetCall({ callId }, caller) {
      return { call: message(await rowOf(callId, caller)) };
    },

    async GetTranscript({ callId }, { scope, actor }) {
      const transcript = new Transcript();
      for (let next = 0, isLast = false; !isLast; ) {
        const from = next;
        const events = await store.transaction(scope, actor, (tx) =>
          tx.calls.journal(callId, from, EVENTS_PER_READ),
        );
        if (events === null) throw notFound("call");
        for (const event of events) transcript.add(event);
        isLast = events.length < EVENTS_PER_READ;
        next += events.length;
      }
      return { turns: [...transcript.end()] };
    },

    async WatchCalls(call, caller) {
      const { tenantId } = call.request;
      const { principal } = caller;
      /** What was sent of each call that goes on: a row read earlier must not overtake it. */
      const sent = new Map<string, number>();
      const unsent: CallRow[] = [];
      let isSynced = false;
      let fail: (error: unknown) => void = () => {};
      const send = (row: CallRow): void => {
        if (call.cancelled || call.destroyed || row.nextSequence < (sent.get(row.id) ?? 0)) return;
        if (row.state === "ended") sent.delete(row.id);
        else sent.set(row.id, row.nextSequence);
        requireRoom(call.writableLength);
        call.write({ call: message(row) });
      };
      const tell = (row: CallRow): void => {
        try {
          if (isSynced) send(row);
          else {
            requireRoom(unsent.length);
            unsent.push(row);
          }
        } catch (error) {
          fail(error);
        }
      };
      const done = new Promise<void>((resolve, reject) => {
        fail = reject;
        onGone(call, resolve);
      });
      done.catch(() => {}); // awaited below; it may fail before
      const forget = await callsFeed.watch({
        tenantId: tenantId || null,
        sees: (row) => sees(principal, row) && (tenantId === "" || row.tenantId === tenantId),
        tell,
      });
      try {
        for await (const row of goingOn(tenantId, caller)) {
          if (!(await waitForRoom(call, patienceMs))) return;
          sent.set(row.id, row.nextSequence);
          callsFeed.told(row);
          call.write({ call: message(row) });
        }
        call.write({ synced: {} });
        isSynced = true;
        for (const row of unsent.splice(0)) send(row);
        await done;
      } finally {
        forget();
      }
    },

    async WatchCall(call, caller) {
      const { callId, fromSequence } = call.request;
      const row = await rowOf(callId, caller);
      const feed = await callFeeds.open(callId, row.tenantId);
      try {
        await follow(call, feed, fromSequence, patienceMs);
      } finally {
        feed.close();
      }
    },

    async HangUpCall({ callId }, caller) {
      const row = await rowOf(callId, caller);
      if (row.state === "ended") throw new LumentraError("CALL_ENDED", `call ${callId} is over`);
      // Operators' log alone: a reseller's transaction may note nothing.
      await store.transaction({ kind: "system" }, caller.actor, (tx) =>
        tx.audit.note({
          action: "update",
          resourceKind: "call",
          resourceId: callId,
          resellerId: row.resellerId,
          tenantId: row.tenantId,
          changes: { hungUp: true },
        }),
      );
      const lease = await directory.lookUp(callId);
      if (row.state === "suspended" && lease === null) {
        await hangUpSuspended(row);
        return {};
      }
      const nodeId = lease?.nodeId ?? row.nodeId;
      const command = { kind: "hangUp", callId, reason: "operator" } as const;
      if (!(await commands.deliver(nodeId, command, HANG_UP_TIMEOUT_MS)))
        throw new LumentraError("DEADLINE_EXCEEDED", `node ${nodeId} did not take the command in time`);
      return {};
    },
  };
}

/** Sends a call's events from a sequence on until nothing can follow, or the reader is gone. */
async function follow(
  call: Parameters<ServiceOf<CallServiceHandlers>["WatchCall"]>[0],
  feed: CallFeed,
  fromSequence: number,
  patienceMs: number,
): Promise<void> {
  let next = fromSequence;
  for (;;) {
    const look = await feed.look(next);
    if (look === null) throw new LumentraError("NOT_FOUND", "the call is past its retention");
    for (const event of look.events) {
      if (!(await waitForRoom(call, patienceMs))) return;
      call.write({ event: journalEventToProto(event) });
      next = event.sequence + 1;
      if (event.kind === "callEnded") return;
    }
    if (look.isLast || call.cancelled || call.destroyed) return;
    let forget = (): void => {};
    await feed.wait(next, (stop) => {
      forget = onGone(call, stop);
    });
    forget();
    if (call.cancelled || call.destroyed) return;
  }
}

/** As row-level security says it of rows that are read in a wider scope for many. */
function sees(principal: Principal, row: Pick<CallRow, "resellerId">): boolean {
  if (principal.kind === "reseller") return principal.resellerId === row.resellerId;
  return principal.kind === "operator" || principal.kind === "node";
}

const STATES: Readonly<Record<CallState, CallStateMessage>> = {
  live: "CALL_STATE_LIVE",
  suspended: "CALL_STATE_SUSPENDED",
  ended: "CALL_STATE_ENDED",
};

function callMessage(row: CallRow, nowUnixMs: number): Call {
  const durationMs = (row.endedAt?.getTime() ?? nowUnixMs) - row.startedAt.getTime();
  return {
    id: row.id,
    tenantId: row.tenantId,
    resellerId: row.resellerId,
    state: STATES[row.state],
    carrier: row.carrier,
    carrierCallId: row.carrierCallId,
    pii: row.pii,
    nodeId: row.nodeId,
    startTime: toTimestamp(row.startedAt),
    endTime: toTimestamp(row.endedAt),
    outcome: row.outcome ?? "",
    duration: toDuration(Math.max(durationMs, 0)),
    callerTurns: row.callerTurns,
    resumes: row.resumes,
    voiceToVoiceMsP50: row.voiceToVoiceMsP50 ?? 0,
  };
}

function filterOf(request: ListCallsRequest__Output): CallFilter {
  const { tenantId, resellerId, outcome, fromNumber, toNumber, query } = request;
  const checks = new Checks();
  checks.text(query, "query", 0, QUERY_MAX_CHARS);
  for (const [field, value] of [
    ["tenant_id", tenantId],
    ["reseller_id", resellerId],
    ["outcome", outcome],
    ["from_number", fromNumber],
    ["to_number", toNumber],
  ] as const)
    checks.text(value, field, 0, NAME_MAX_CHARS);
  checks.done();
  const [state] = (Object.keys(STATES) as CallState[]).filter((state) => STATES[state] === request.state);
  const startedAfter = fromTimestamp(request.startedAfter);
  const startedBefore = fromTimestamp(request.startedBefore);
  return {
    ...(tenantId && { tenantId }),
    ...(resellerId && { resellerId }),
    ...(state && { state }),
    ...(outcome && { outcome }),
    ...(startedAfter && { startedAfter }),
    ...(startedBefore && { startedBefore }),
    ...(fromNumber && { fromNumber }),
    ...(toNumber && { toNumber }),
    ...(query && { query }),
  };
}

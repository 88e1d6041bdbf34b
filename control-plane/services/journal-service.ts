/** JournalService: nodes hand over what happened, and read it again to go on with a call. */
import { journalEventToProto } from "#actors/journal";
import type { JournalServiceHandlers } from "#proto";
import { LumentraError } from "#runtime/errors";
import { type ServiceOf, nodeOf } from "../server/index.js";
import { JournalAppender, type JournalAppenderDeps } from "./journal-appender.js";
import { notFound } from "./requests.js";

/** As the proto says. */
const EVENTS_PER_READ = 1_000;

export function createJournalService(deps: JournalAppenderDeps): ServiceOf<JournalServiceHandlers> {
  return {
    AppendJournal: (call, caller) => new JournalAppender(deps, nodeOf(caller), call).run(),

    async ReadJournal({ callId, fromSequence, epoch }, caller) {
      const events = await deps.store.transaction({ kind: "system" }, caller.actor, async (tx) => {
        const inForce = epoch === 0 ? null : await tx.calls.fence(callId, epoch);
        if (inForce !== null && inForce > epoch)
          throw new LumentraError("CALL_LEASE_LOST", `call ${callId} is another owner's by now`);
        return tx.calls.journal(callId, fromSequence, EVENTS_PER_READ + 1);
      });
      if (events === null) throw notFound("call");
      return {
        events: events.slice(0, EVENTS_PER_READ).map(journalEventToProto),
        more: events.length > EVENTS_PER_READ,
      };
    },
  };
}

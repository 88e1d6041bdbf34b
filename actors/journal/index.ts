/**
 * A call's journal: what every fact of a call looks like, here and on the wire.
 *
 * ```ts
 * const event: JournalEvent = { kind: "callerTurn", turn: 1, throughAtMs: null, pii: { said: "hello" }, callId, sequence: 3, epoch, atMs, atUnixMs };
 * stream.write({ batchId, callId, epoch, events: [journalEventToProto(event)] });
 * const read = answer.events.map(journalEventFromProto);
 * ```
 */
export { describeJournalEvent } from "./journal-line.js";
export type { JournalEvent, JournalFact, TurnLedger } from "./journal.js";
export { journalEventFromProto, journalEventToProto } from "./journal-proto.js";

/**
 * How conversations and benchmarks are shown: to people in a terminal, to machines as JSON.
 *
 * ```ts
 * const printer = new ConversationPrinter({ write: (text) => process.stdout.write(text), clock, colors: true });
 * const stopWatching = printer.watch(call);
 * const journal = followJournal(adminUrl, call.callSid, (event) => printer.journal(event));
 * console.log(renderTurnTable(turnsOf(await call.ended, events)));
 * ```
 */
export { ConversationPrinter, type ConversationPrinterOptions } from "./conversation.js";
export { type CallReport, callReport } from "./call-report.js";
export { type MachineFacts, describeMachine, machineFacts } from "./machine.js";
export { describeOutcome } from "./outcome.js";
export { type ColourName, PALETTE } from "./palette.js";
export { type ResultHead, commandLine, makeResultFolder, resultHead, writeResult } from "./result-file.js";
export { renderRows, renderTurnTable } from "./tables.js";

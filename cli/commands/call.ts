/** `lumentra call …`: calls, live and past. */
import { cursorTo, clearScreenDown } from "node:readline";
import { type Command, Option } from "commander";
import { describeJournalEvent, journalEventFromProto } from "#actors/journal";
import type { Call__Output } from "#proto";
import { timestampText } from "../api.js";
import { type CommandContext, runWithApi } from "../context.js";
import { type Column, renderFields, renderTable } from "../table.js";
import { printable } from "../output.js";
import { addPaging, allPages } from "../paging.js";

/** The live table is drawn at most so often. */
const REDRAW_MS = 250;
/** Ended calls stay in the live table for so long. */
const ENDED_SHOWN_MS = 5_000;

const STATES = {
  live: "CALL_STATE_LIVE",
  suspended: "CALL_STATE_SUSPENDED",
  ended: "CALL_STATE_ENDED",
} as const;

const COLUMNS: readonly Column<Call__Output>[] = [
  { title: "id", value: ({ id }) => id },
  { title: "tenant", value: ({ tenantId }) => tenantId },
  { title: "from", value: ({ pii }) => pii?.from ?? "" },
  { title: "to", value: ({ pii }) => pii?.to ?? "" },
  { title: "node", value: ({ nodeId }) => nodeId },
  { title: "state", value: (call) => stateText(call) },
  { title: "began", value: ({ startTime }) => timestampText(startTime) },
  { title: "s", value: secondsOf },
  { title: "turns", value: ({ callerTurns }) => callerTurns },
  { title: "v2v ms", value: ({ voiceToVoiceMsP50 }) => Math.round(voiceToVoiceMsP50) },
];

export function addCallCommands(program: Command): void {
  const call = program.command("call").description("calls, live and past");

  addPaging(call.command("list").description("calls, newest first"))
    .option("--tenant <id>", "only this tenant's", "")
    .option("--query <words>", "only those in which these words were said or heard", "")
    .option("--from <number>", "only from this number", "")
    .option("--to <number>", "only to this number", "")
    .option("--outcome <name>", "only those that ended so", "")
    .addOption(new Option("--state <state>", "only in this state").choices(Object.keys(STATES)))
    .action((options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const rows = await allPages(options, async (page) => {
          const answer = await api.call("CallService", "ListCalls", {
            ...page,
            tenantId: options.tenant,
            query: options.query,
            fromNumber: options.from,
            toNumber: options.to,
            outcome: options.outcome,
            ...(options.state !== undefined && { state: STATES[options.state as keyof typeof STATES] }),
          });
          return { rows: answer.calls, nextPageToken: answer.nextPageToken };
        });
        output.result(rows, () => renderTable(rows, COLUMNS, "There are no such calls."));
      }),
    );

  call
    .command("get <id>")
    .description("one call")
    .action((id: string, _options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const { call: found } = await api.call("CallService", "GetCall", { callId: id });
        output.result(found, () =>
          renderFields(COLUMNS.map(({ title, value }) => [title, value(found!)] as const)),
        );
      }),
    );

  call
    .command("transcript <id>")
    .description("what was said and heard")
    .action((id: string, _options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const { turns } = await api.call("CallService", "GetTranscript", { callId: id });
        output.result(turns, () =>
          turns
            .map(({ speaker, pii, interrupted }) => {
              const who = speaker === "SPEAKER_CALLER" ? "caller" : "agent ";
              return `${who}  ${pii?.text ?? ""}${interrupted ? " —" : ""}`;
            })
            .join("\n"),
        );
      }),
    );

  call
    .command("watch [id]")
    .description("live calls as they come and go, or one call's journal as it happens; Ctrl-C ends it")
    .option("--tenant <id>", "only this tenant's", "")
    .addHelpText(
      "after",
      "\nExamples:\n  lumentra call watch --tenant bright-smile\n  lumentra call watch 0f8fad5b-d9cb-469f-a165-70867728950e\n",
    )
    .action((id: string | undefined, options, command: Command) =>
      runWithApi(command, (context) =>
        id === undefined ? watchCalls(context, options.tenant) : watchCall(context, id),
      ),
    );

  call
    .command("hang-up <id>")
    .description("end a live call with a goodbye")
    .action((id: string, _options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        await api.call("CallService", "HangUpCall", { callId: id });
        output.result({ hungUp: id }, () => `the owner of ${id} was told to say goodbye`);
      }),
    );
}

async function watchCall({ api, output, stopped }: CommandContext, callId: string): Promise<void> {
  for await (const { event } of api.stream("CallService", "WatchCall", { callId }, stopped)) {
    output.item(
      event,
      () => `${timestampText(event!.time)}  ${describeJournalEvent(journalEventFromProto(event!))}`,
    );
  }
}

/** In a terminal one table that is drawn anew; elsewhere a line for each change. */
async function watchCalls({ api, output, stopped }: CommandContext, tenantId: string): Promise<void> {
  const live = new Map<string, Call__Output>();
  let drawnAtMs = 0;
  let timer: NodeJS.Timeout | null = null;
  const draw = (): void => {
    timer = null;
    drawnAtMs = performance.now();
    const rows = [...live.values()].slice(0, Math.max(1, process.stdout.rows - 4));
    cursorTo(process.stdout, 0, 0);
    clearScreenDown(process.stdout);
    process.stdout.write(
      `${printable(renderTable(rows, COLUMNS, "Nobody is talking."))}\n${live.size} live\n`,
    );
  };
  const redraw = (): void => {
    timer ??= setTimeout(draw, Math.max(0, REDRAW_MS - (performance.now() - drawnAtMs)));
  };
  try {
    for await (const { call, synced } of api.stream("CallService", "WatchCalls", { tenantId }, stopped)) {
      if (!output.isTerminal) {
        if (call)
          output.item(
            call,
            () => `${timestampText(call.startTime)}  ${call.id}  ${call.tenantId}  ${stateText(call)}`,
          );
        continue;
      }
      if (call) {
        live.set(call.id, call);
        if (call.state === "CALL_STATE_ENDED") {
          setTimeout(() => live.delete(call.id) && redraw(), ENDED_SHOWN_MS).unref();
        }
      }
      if (call || synced) redraw();
    }
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
}

function stateText({ state, outcome }: Call__Output): string {
  return outcome || state.replace("CALL_STATE_", "").toLowerCase();
}

function secondsOf({ duration }: Call__Output): number {
  return Math.round(duration?.seconds ?? 0);
}

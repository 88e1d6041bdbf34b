/** `lumentra usage`: minutes and cost. */
import { type Command, Option } from "commander";
import type { UsageRow__Output } from "#proto";
import { runWithApi } from "../context.js";
import { type Column, renderTable } from "../table.js";
import { addPaging, allPages } from "../paging.js";

const GROUPINGS = {
  "tenant-day": "USAGE_GROUPING_TENANT_DAY",
  tenant: "USAGE_GROUPING_TENANT",
  "reseller-day": "USAGE_GROUPING_RESELLER_DAY",
  reseller: "USAGE_GROUPING_RESELLER",
} as const;

const COLUMNS: readonly Column<UsageRow__Output>[] = [
  { title: "day", value: ({ day }) => day || "all" },
  { title: "reseller", value: ({ resellerId }) => resellerId },
  { title: "tenant", value: ({ tenantId }) => tenantId || "all" },
  { title: "calls", value: ({ calls }) => calls },
  { title: "minutes", value: ({ callSeconds }) => Math.round(callSeconds / 6) / 10 },
  { title: "cost, $", value: ({ costMicros }) => Math.round(costMicros / 10_000) / 100 },
];

export function addUsageCommand(program: Command): void {
  addPaging(program.command("usage").description("minutes and cost by tenant, reseller and day"))
    .option("--tenant <id>", "only this tenant's", "")
    .option("--reseller <id>", "only this reseller's", "")
    .option("--from <day>", "YYYY-MM-DD, UTC; 31 days before the last when not given", "")
    .option("--to <day>", "YYYY-MM-DD, UTC; today when not given", "")
    .addOption(
      new Option("--by <group>", "what a row stands for")
        .choices(Object.keys(GROUPINGS))
        .default("tenant-day"),
    )
    .addHelpText("after", "\nExample:\n  lumentra usage --by tenant --from 2026-11-01 --to 2026-11-30\n")
    .action((options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const rows = await allPages(options, async (page) => {
          const answer = await api.call("UsageService", "QueryUsage", {
            ...page,
            tenantId: options.tenant,
            resellerId: options.reseller,
            fromDay: options.from,
            toDay: options.to,
            grouping: GROUPINGS[options.by as keyof typeof GROUPINGS],
          });
          return { rows: answer.rows, nextPageToken: answer.nextPageToken };
        });
        output.result(rows, () => renderTable(rows, COLUMNS, "No call has ended in these days."));
      }),
    );
}

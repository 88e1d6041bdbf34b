/** `lumentra number …`: which tenant a dialled number reaches. */
import type { Command } from "commander";
import type { PhoneNumber__Output } from "#proto";
import { runWithApi } from "../context.js";
import { type Column, renderTable } from "../table.js";
import { addPaging, allPages } from "../paging.js";

const COLUMNS: readonly Column<PhoneNumber__Output>[] = [
  { title: "number", value: ({ number }) => number },
  { title: "tenant", value: ({ tenantId }) => tenantId },
  { title: "label", value: ({ label }) => label },
];

export function addNumberCommands(program: Command): void {
  const number = program.command("number").description("which tenant a dialled number reaches");

  addPaging(number.command("list").description("numbers you may see"))
    .option("--tenant <id>", "only this tenant's", "")
    .action((options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const rows = await allPages(options, async (page) => {
          const answer = await api.call("PhoneNumberService", "ListPhoneNumbers", {
            ...page,
            tenantId: options.tenant,
          });
          return { rows: answer.phoneNumbers, nextPageToken: answer.nextPageToken };
        });
        output.result(rows, () => renderTable(rows, COLUMNS, "There are no numbers."));
      }),
    );

  number
    .command("add <number> <tenant>")
    .description("give a number (E.164) to a tenant")
    .option("--label <text>", "for people", "")
    .addHelpText(
      "after",
      "\nExample:\n  lumentra number add +12025550123 bright-smile --label 'front desk'\n",
    )
    .action((e164: string, tenantId: string, options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const { phoneNumber } = await api.call("PhoneNumberService", "CreatePhoneNumber", {
          phoneNumber: { number: e164, tenantId, label: options.label },
        });
        output.result(phoneNumber, () => `${e164} reaches ${tenantId}`);
      }),
    );

  number
    .command("move <number> <tenant>")
    .description("give a number to another tenant of the same reseller")
    .action((e164: string, tenantId: string, _options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const { phoneNumber: found } = await api.call("PhoneNumberService", "GetPhoneNumber", {
          number: e164,
        });
        const { phoneNumber } = await api.call("PhoneNumberService", "UpdatePhoneNumber", {
          phoneNumber: { number: e164, tenantId, label: found!.label, etag: found!.etag },
        });
        output.result(phoneNumber, () => `${e164} reaches ${tenantId}`);
      }),
    );

  number
    .command("remove <number>")
    .description("the number reaches nobody any more")
    .action((e164: string, _options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        await api.call("PhoneNumberService", "DeletePhoneNumber", { number: e164 });
        output.result({ removed: e164 }, () => `${e164} reaches nobody`);
      }),
    );
}

/** `lumentra key …`: API keys. */
import { type Command, InvalidArgumentError } from "commander";
import type { ApiKey__Output } from "#proto";
import { timestampText } from "../api.js";
import { runToEnd, runWithApi } from "../context.js";
import { type Column, renderTable } from "../table.js";
import { addPaging, allPages } from "../paging.js";

const COLUMNS: readonly Column<ApiKey__Output>[] = [
  { title: "id", value: ({ id }) => id },
  { title: "name", value: ({ name }) => name },
  { title: "begins", value: ({ prefix }) => prefix },
  { title: "reseller", value: ({ resellerId }) => resellerId || "operator" },
  { title: "scopes", widthMax: 44, value: ({ scopes }) => scopes.join(" ") },
  { title: "last used", value: ({ lastUseTime }) => timestampText(lastUseTime, "never") },
  {
    title: "works until",
    value: ({ expireTime, revokeTime }) =>
      revokeTime ? `revoked ${timestampText(revokeTime)}` : timestampText(expireTime, "it is revoked"),
  },
];

export function addKeyCommands(program: Command): void {
  const key = program.command("key").description("API keys");

  addPaging(key.command("list").description("keys, without the keys themselves"))
    .option("--reseller <id>", "whose; operators' keys when not given", "")
    .action((options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const rows = await allPages(options, async (page) => {
          const answer = await api.call("ResellerService", "ListApiKeys", {
            ...page,
            resellerId: options.reseller,
          });
          return { rows: answer.apiKeys, nextPageToken: answer.nextPageToken };
        });
        output.result(rows, () => renderTable(rows, COLUMNS, "There are no keys."));
      }),
    );

  key
    .command("bootstrap")
    .description("make the first operator's key, straight in the database (DATABASE_URL); it is shown once")
    .addHelpText("after", "\nFor a deployment without `lumentra up`, once after `lumentra migrate`.\n")
    .action((_options, command: Command) =>
      runToEnd(command, async (output) => {
        const { bootstrapKey } = await import("../processes.js");
        const secret = await bootstrapKey(process.env);
        output.result({ secret }, () => `${secret}\nKeep it: nobody can read it again.`);
      }),
    );

  key
    .command("create <name>")
    .description("make a key; it is shown once")
    .requiredOption("--scope <scope...>", "what it may do; docs/API.md lists them")
    .option("--reseller <id>", "whose; an operator's when not given", "")
    .option("--days <n>", "stops working after so many days", days)
    .addHelpText(
      "after",
      "\nExample:\n  lumentra key create console --reseller acme --scope tenants.read calls.read\n",
    )
    .action((name: string, options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const answer = await api.call("ResellerService", "CreateApiKey", {
          name,
          resellerId: options.reseller,
          scopes: options.scope,
          ...(options.days !== undefined && {
            expireTime: { seconds: Math.floor(Date.now() / 1000) + options.days * 86_400 },
          }),
        });
        output.result(answer, () => `${answer.secret}\nKeep it: nobody can read it again.`);
      }),
    );

  key
    .command("rotate <id>")
    .description("a new key with the same rights; the old one works a while longer")
    .option("--overlap <seconds>", "how long, up to 604800", days, 3_600)
    .action((id: string, options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const answer = await api.call("ResellerService", "RotateApiKey", {
          apiKeyId: id,
          overlapSeconds: options.overlap,
        });
        output.result(answer, () => `${answer.secret}\nKeep it: nobody can read it again.`);
      }),
    );

  key
    .command("revoke <id>")
    .description("the key stops working at once")
    .action((id: string, _options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const { apiKey } = await api.call("ResellerService", "RevokeApiKey", { apiKeyId: id });
        output.result(apiKey, () => `${apiKey!.name} is revoked`);
      }),
    );
}

function days(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError("it must be a whole number.");
  return value;
}

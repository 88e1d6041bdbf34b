/** `lumentra tenant …`: the businesses whose calls are answered. */
import { readFile } from "node:fs/promises";
import { type Command, InvalidArgumentError } from "commander";
import { LumentraError } from "#runtime/errors";
import type { Tenant__Output } from "#proto";
import { timestampText } from "../api.js";
import { runWithApi } from "../context.js";
import { type Column, renderFields, renderTable } from "../table.js";
import { addPaging, allPages } from "../paging.js";

const COLUMNS: readonly Column<Tenant__Output>[] = [
  { title: "id", value: ({ id }) => id },
  { title: "name", value: ({ config }) => config?.name ?? "" },
  { title: "reseller", value: ({ resellerId }) => resellerId },
  { title: "numbers", value: ({ numbers }) => numbers.join(" ") },
  { title: "version", value: ({ version }) => version },
  { title: "state", value: stateOf },
];

export function addTenantCommands(program: Command): void {
  const tenant = program.command("tenant").description("the businesses whose calls are answered");

  addPaging(tenant.command("list").description("tenants you may see"))
    .option("--query <text>", "part of the name or id", "")
    .option("--reseller <id>", "only this reseller's", "")
    .action((options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const rows = await allPages(options, async (page) => {
          const answer = await api.call("TenantService", "ListTenants", {
            ...page,
            query: options.query,
            resellerId: options.reseller,
          });
          return { rows: answer.tenants, nextPageToken: answer.nextPageToken };
        });
        output.result(rows, () => renderTable(rows, COLUMNS, "There are no tenants."));
      }),
    );

  tenant
    .command("get <id>")
    .description("one tenant")
    .action((id: string, _options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const { tenant: found } = await api.call("TenantService", "GetTenant", { tenantId: id });
        output.result(found, () => describe(found!));
      }),
    );

  tenant
    .command("create <id>")
    .description("make a tenant from a JSON file with its configuration")
    .requiredOption("--config <file>", "configuration, fields as in docs/API.md TenantConfig", readable)
    .option("--reseller <id>", "whose; implied by a reseller's key", "")
    .addHelpText("after", "\nExample:\n  lumentra tenant create bright-smile --config bright-smile.json\n")
    .action((id: string, options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const { tenant: made } = await api.call("TenantService", "CreateTenant", {
          tenant: { id, resellerId: options.reseller, config: await readJson(options.config) },
        });
        output.result(made, () => describe(made!));
      }),
    );

  tenant
    .command("update <id>")
    .description("change fields of a tenant's configuration")
    .requiredOption("--config <file>", "JSON with the fields to change; others stay", readable)
    .addHelpText(
      "after",
      '\nExample:\n  echo \'{"agentName":"Mia"}\' | lumentra tenant update bright-smile --config -\n',
    )
    .action((id: string, options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const config = await readJson(options.config);
        const paths = Object.keys(config).map((name) => `config.${snakeCase(name)}`);
        const { tenant: changed } = await api.call("TenantService", "UpdateTenant", {
          tenant: { id, config },
          updateMask: { paths },
        });
        output.result(changed, () => describe(changed!));
      }),
    );

  for (const [name, suspended, summary] of [
    ["suspend", true, "its callers get the overflow policy"],
    ["resume", false, "its calls are answered again"],
  ] as const) {
    tenant
      .command(`${name} <id>`)
      .description(summary)
      .action((id: string, _options, command: Command) =>
        runWithApi(command, async ({ api, output }) => {
          const { tenant: changed } = await api.call("TenantService", "UpdateTenant", {
            tenant: { id, suspended },
            updateMask: { paths: ["suspended"] },
          });
          output.result(changed, () => `${id} is ${stateOf(changed!)}`);
        }),
      );
  }

  tenant
    .command("delete <id>")
    .description("remove a tenant and its numbers; its calls stay until their retention ends")
    .action((id: string, _options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        await api.call("TenantService", "DeleteTenant", { tenantId: id });
        output.result({ deleted: id }, () => `${id} is gone`);
      }),
    );

  tenant
    .command("secret <id> <name>")
    .description("store a secret of a tenant, read from standard input; it cannot be read back")
    .addHelpText("after", "\nExample:\n  lumentra tenant secret bright-smile twilio_auth_token < token.txt\n")
    .action((id: string, name: string, _options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const value = (await readText("-")).trim();
        await api.call("TenantService", "SetTenantSecret", { tenantId: id, name, value });
        output.result({ tenantId: id, name }, () => `${name} of ${id} is set`);
      }),
    );
}

function stateOf({ suspended, resellerSuspended }: Tenant__Output): string {
  return suspended ? "suspended" : resellerSuspended ? "reseller suspended" : "active";
}

function describe(tenant: Tenant__Output): string {
  const { id, config, resellerId, numbers, version, etag } = tenant;
  return renderFields([
    ["id", id],
    ["name", config?.name ?? ""],
    ["industry", config?.industry ?? ""],
    ["reseller", resellerId],
    ["numbers", numbers.join(" ") || "none"],
    ["language", config?.language ?? ""],
    ["time zone", config?.timeZone ?? ""],
    ["agent", config?.agentName ?? ""],
    ["models", `${config?.stt?.model ?? ""}, ${config?.llm?.model ?? ""}, ${config?.tts?.model ?? ""}`],
    ["calls at once", config?.limits?.concurrentCalls ?? 0],
    ["overflow", config?.overflow?.kind ?? "busy"],
    ["state", stateOf(tenant)],
    ["version", `${version} (etag ${etag})`],
    ["changed", timestampText(tenant.updateTime)],
  ]);
}

function readable(path: string): string {
  if (path === "") throw new InvalidArgumentError("it names no file.");
  return path;
}

async function readText(path: string): Promise<string> {
  if (path !== "-") return readFile(path, "utf8");
  let text = "";
  for await (const chunk of process.stdin) text += String(chunk);
  return text;
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  const text = await readText(path);
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch (cause) {
    throw new LumentraError("REQUEST_INVALID", `${path} is not JSON`, { cause });
  }
  throw new LumentraError("REQUEST_INVALID", `${path} must hold a JSON object`);
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

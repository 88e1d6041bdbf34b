/** Prints docs/API.md from the comments and annotations of proto/, as `buf` reads them. */
import { spawnSync } from "node:child_process";
import { pathToFileURL } from "node:url";
import { allRpcOptions } from "#proto";
import { NODE_SCOPES, OPERATOR_SCOPES, RESELLER_SCOPES, SCOPES } from "#control-plane/auth";

interface Field {
  readonly name: string;
  readonly label: string;
  readonly type: string;
  readonly typeName?: string;
  readonly oneofIndex?: number;
  readonly proto3Optional?: boolean;
}
interface Message {
  readonly name: string;
  readonly field?: readonly Field[];
  readonly nestedType?: readonly (Message & { readonly options?: { readonly mapEntry?: boolean } })[];
  readonly oneofDecl?: readonly { readonly name: string }[];
}
interface Enum {
  readonly name: string;
  readonly value: readonly { readonly name: string }[];
}
interface Method {
  readonly name: string;
  readonly inputType: string;
  readonly outputType: string;
  readonly clientStreaming?: boolean;
  readonly serverStreaming?: boolean;
}
interface ProtoFile {
  readonly name: string;
  readonly package: string;
  readonly service?: readonly { readonly name: string; readonly method: readonly Method[] }[];
  readonly messageType?: readonly Message[];
  readonly enumType?: readonly Enum[];
  readonly sourceCodeInfo: {
    readonly location: readonly { readonly path?: readonly number[]; readonly leadingComments?: string }[];
  };
}

/** Numbers of descriptor.proto, by which comments name what they stand above. */
const PATH = { message: 4, enum: 5, service: 6, inner: 2 } as const;

/** What every RPC can answer with. */
const COMMON_ERRORS = [
  "UNAUTHENTICATED",
  "PERMISSION_DENIED",
  "REQUEST_INVALID",
  "RATE_LIMITED",
  "MESSAGE_TOO_LARGE",
  "DEADLINE_EXCEEDED",
  "STORE_UNAVAILABLE",
  "INTERNAL",
] as const;

/** The page as it must stand in docs/API.md; a test compares them. */
export function apiPage(): string {
  const files = readProtos();
  return [
    "# API",
    "",
    "gRPC, packages `lumentra.control.v1` and `lumentra.call.v1`. Beside these services, `grpc.health.v1` says whether a",
    "control plane serves, and reflection tells what is here. Durations, units and ranges stand at each field.",
    "",
    "This page is generated from the comments in `proto/`: `npm run docs`.",
    "",
    "## Asking",
    "",
    "- A credential goes into the metadata: `authorization: Bearer lk_…` for keys, a JWT for nodes.",
    "- Each RPC needs the scope beside it. A suspended reseller's keys only read (scopes ending in `.read`).",
    "- A unary RPC is ended by the server after its deadline, or the caller's when that is shorter.",
    "- `x-request-id` in the metadata (up to 64 letters, digits, `.`, `_`, `-`) names the request in our logs; otherwise",
    "  we choose one. It comes back in the answer's metadata and with every error.",
    "- `request_id` in a message makes a creation idempotent: the same id within a day gets the first answer again.",
    "- `etag`, when given, must be the resource's present one. `update_mask` names fields by their paths; empty means all.",
    "- `page_token` belongs to the query it came from. A page may be shorter than asked for.",
    "- A message may be 4 MiB on the way in.",
    "",
    "## Errors",
    "",
    "The status carries `google.rpc.Status` in `grpc-status-details-bin`: `ErrorInfo` with the code as `reason` and the domain",
    "`lumentra`; `BadRequest` with each wrong field; `RetryInfo` when to come back; `RequestInfo` with the request's id.",
    "[ERRORS.md](ERRORS.md) lists the codes and whether a repeat may help. Besides those beside it, every RPC can answer with",
    `${COMMON_ERRORS.map((code) => `\`${code}\``).join(", ")}.`,
    "",
    "## Scopes",
    "",
    "| scope | operators' keys | resellers' keys | nodes |",
    "| --- | --- | --- | --- |",
    ...SCOPES.map((scope) => {
      const may = (scopes: readonly string[]): string => (scopes.includes(scope) ? "yes" : "no");
      return `| \`${scope}\` | ${may(OPERATOR_SCOPES)} | ${may(RESELLER_SCOPES)} | ${may(NODE_SCOPES)} |`;
    }),
    "",
    ...files.flatMap(serviceSections),
    ...files.flatMap(typeSections),
  ].join("\n");
}

function readProtos(): readonly ProtoFile[] {
  const run = spawnSync("node_modules/.bin/buf", ["build", "-o", "-#format=json"], {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  if (run.status !== 0) throw new Error(`buf: ${run.stderr}`);
  const { file } = JSON.parse(run.stdout) as { file: ProtoFile[] };
  return file
    .filter(({ package: name }) => /^lumentra\.(control|call)\.v1$/.test(name))
    .toSorted((a, b) => order(a.name) - order(b.name) || a.name.localeCompare(b.name));
}

/** As a reader comes to them: resellers first, what nodes speak last. */
function order(name: string): number {
  const places = ["reseller", "tenant", "phone", "call_", "usage", "audit", "node", "placement", "journal"];
  const index = places.findIndex((place) => name.includes(`/${place}`));
  return name.startsWith("lumentra/call/") ? places.length : index;
}

function serviceSections(file: ProtoFile): string[] {
  return (file.service ?? []).flatMap((service, index) => [
    `## ${service.name}`,
    "",
    comment(file, [PATH.service, index]),
    "",
    ...service.method.flatMap((method, at) => {
      const path = [PATH.service, index, PATH.inner, at];
      const options = allRpcOptions().get(`/${file.package}.${service.name}/${method.name}`)!;
      const request = `${method.clientStreaming ? "stream of " : ""}${link(method.inputType)}`;
      const answer = `${method.serverStreaming ? "stream of " : ""}${link(method.outputType)}`;
      const errors = options.errors.map((code) => `\`${code}\``).join(", ") || "none of its own";
      return [
        `### ${service.name}.${method.name}`,
        "",
        comment(file, path),
        "",
        `- ${request} → ${answer}`,
        `- scope: ${options.open ? "none, it is open" : `\`${options.scope}\``}`,
        `- deadline: ${options.deadlineMs === null ? "none, it is a stream" : `${options.deadlineMs} ms`}`,
        `- errors: ${errors}`,
        "",
      ];
    }),
  ]);
}

function typeSections(file: ProtoFile): string[] {
  return [
    `## ${file.name}`,
    "",
    ...(file.messageType ?? []).flatMap((message, index) => [
      `### ${message.name}`,
      "",
      comment(file, [PATH.message, index]),
      "",
      ...((message.field ?? []).length === 0 ? [] : ["| field | type | meaning |", "| --- | --- | --- |"]),
      ...(message.field ?? []).map((field, at) => {
        const meaning = cell(comment(file, [PATH.message, index, PATH.inner, at]));
        return `| \`${field.name}\` | ${typeOf(message, field)} | ${meaning} |`;
      }),
      ...((message.field ?? []).length === 0 ? [] : [""]),
    ]),
    ...(file.enumType ?? []).flatMap((type, index) => [
      `### ${type.name}`,
      "",
      comment(file, [PATH.enum, index]),
      "",
      "| value | meaning |",
      "| --- | --- |",
      ...type.value.map(
        ({ name }, at) => `| \`${name}\` | ${cell(comment(file, [PATH.enum, index, PATH.inner, at]))} |`,
      ),
      "",
    ]),
  ];
}

function typeOf(message: Message, field: Field): string {
  const entry = (message.nestedType ?? []).find(
    (nested) =>
      nested.options?.mapEntry === true && field.typeName?.endsWith(`.${message.name}.${nested.name}`),
  );
  if (entry !== undefined) {
    const [key, value] = entry.field!;
    return `map of ${scalarOf(key!)} to ${scalarOf(value!)}`;
  }
  const oneof = field.proto3Optional === true ? undefined : message.oneofDecl?.[field.oneofIndex ?? -1];
  return [
    field.label === "LABEL_REPEATED" ? "list of " : "",
    scalarOf(field),
    oneof === undefined ? "" : `, one of \`${oneof.name}\``,
    field.proto3Optional === true ? ", optional" : "",
  ].join("");
}

function scalarOf(field: Field): string {
  return field.typeName ? link(field.typeName) : field.type.replace("TYPE_", "").toLowerCase();
}

function link(typeName: string): string {
  const name = typeName.slice(typeName.lastIndexOf(".") + 1);
  return typeName.startsWith(".lumentra.") ? `[${name}](#${name.toLowerCase()})` : `\`${typeName.slice(1)}\``;
}

function comment(file: ProtoFile, path: readonly number[]): string {
  const found = file.sourceCodeInfo.location.find(
    (location) =>
      location.path?.length === path.length && path.every((part, at) => location.path![at] === part),
  );
  return (found?.leadingComments ?? "")
    .split("\n")
    .map((line) => line.trim())
    .join("\n")
    .trim();
}

function cell(text: string): string {
  return text.replaceAll("\n", " ").replaceAll("|", "\\|");
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(apiPage());
}

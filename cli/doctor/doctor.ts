/** `lumentra doctor`: everything a start needs, looked at before it is needed. */
import pc from "picocolors";
import { LumentraError } from "#runtime/errors";
import { resolveSettings as resolveNodeSettings } from "#node";
import { type Environment, resolveSettings } from "#runtime/settings";
import { EXIT } from "../exit-codes.js";
import type { Output } from "../output.js";
import { renderTable } from "../table.js";
import { ALL_NAMES, controlPlaneSchema } from "../all-settings.js";
import { cliSchema } from "../settings.js";
import { type Check, type CheckResult, type Verdict, runChecks } from "./check.js";
import { dataFolderCheck, edgePriorityCheck, nodeVersionCheck, portCheck } from "./machine.js";
import { providerChecks } from "./reach.js";
import { controlPlaneCheck, databaseChecks, redisChecks, servesHttp } from "./servers.js";

const MARKS: Readonly<Record<Verdict, string>> = {
  ok: pc.green("ok"),
  warn: pc.yellow("look"),
  fail: pc.red("no"),
};

/** Exit code 1 when something is in the way of a start. */
export async function runDoctor(environment: Environment, output: Output): Promise<number> {
  const results = await runChecks(checksFor(environment));
  output.result(results, () => describe(results));
  return results.some(({ verdict }) => verdict === "fail") ? EXIT.failed : EXIT.done;
}

/** Settings that are wrong leave only checks that need none. */
function checksFor(environment: Environment): readonly Check[] {
  let node, controlPlane, cli;
  try {
    node = resolveNodeSettings(environment, { alsoKnown: ALL_NAMES });
    controlPlane = resolveSettings(controlPlaneSchema, environment, { alsoKnown: ALL_NAMES });
    cli = resolveSettings(cliSchema, environment, { alsoKnown: ALL_NAMES });
  } catch (error) {
    if (!(error instanceof LumentraError)) throw error;
    const { message } = error;
    const wrong: Check = {
      name: "settings",
      run: () =>
        Promise.resolve({ verdict: "fail", found: message, remedy: "docs/SETTINGS.md has them all." }),
    };
    return [nodeVersionCheck, wrong];
  }
  const { LUMENTRA_EDGE_HOST: edgeHost, LUMENTRA_EDGE_PORT: edgePort } = node;
  const { LUMENTRA_ADMIN_HOST: adminHost, LUMENTRA_ADMIN_PORT: adminPort } = node;
  const { LUMENTRA_GRPC_HOST: grpcHost, LUMENTRA_GRPC_PORT: grpcPort } = controlPlane;
  const ours = (): Promise<boolean> => servesHttp(`http://${adminHost}:${adminPort}/healthz/live`);
  const api = controlPlaneCheck(cli.LUMENTRA_API_ADDRESS, cli.LUMENTRA_API_CA_FILE, node.LUMENTRA_INSECURE);
  return [
    nodeVersionCheck,
    {
      name: "settings",
      run: () => Promise.resolve({ verdict: "ok", found: "all are well formed", remedy: "" }),
    },
    edgePriorityCheck(node.LUMENTRA_EDGE_NICE),
    dataFolderCheck(node.LUMENTRA_DATA_DIR),
    portCheck("carriers' port", edgeHost, edgePort, "LUMENTRA_EDGE_PORT", ours),
    portCheck("admin port", adminHost, adminPort, "LUMENTRA_ADMIN_PORT", ours),
    portCheck(
      "API's port",
      grpcHost,
      grpcPort,
      "LUMENTRA_GRPC_PORT",
      async () => (await api.run()).verdict === "ok",
    ),
    ...databaseChecks(controlPlane.DATABASE_URL),
    ...redisChecks(controlPlane.REDIS_URL),
    api,
    ...providerChecks(node),
  ];
}

function describe(results: readonly CheckResult[]): string {
  return renderTable(
    results,
    [
      { title: "what", value: ({ name }) => name },
      { title: "", value: ({ verdict }) => MARKS[verdict] },
      { title: "found", value: ({ found }) => found },
      { title: "what to do", value: ({ remedy }) => remedy },
    ],
    "",
  );
}

/** `lumentra node …` but for the process itself: what operators see of nodes and tell them. */
import type { Command } from "commander";
import type { Node__Output } from "#proto";
import { timestampText } from "../api.js";
import { runWithApi } from "../context.js";
import { type Column, renderTable } from "../table.js";
import { addPaging, allPages } from "../paging.js";

const COLUMNS: readonly Column<Node__Output>[] = [
  { title: "id", value: ({ id }) => id },
  { title: "region", value: ({ region }) => region },
  { title: "state", value: ({ state }) => state.replace("NODE_STATE_", "").toLowerCase() },
  { title: "calls", value: ({ calls }) => calls },
  { title: "capacity", value: ({ capacityCalls }) => capacityCalls },
  {
    title: "pressure",
    value: ({ pressure }) =>
      (pressure?.rung ?? "").replace("PRESSURE_RUNG_", "").replace("UNSPECIFIED", "none").toLowerCase(),
  },
  { title: "loop ms", value: ({ pressure }) => Math.round(pressure?.eventLoopDelayMs ?? 0) },
  { title: "pacing ms", value: ({ pressure }) => Math.round(pressure?.pacingLagMs ?? 0) },
  { title: "reported", value: ({ reportTime }) => timestampText(reportTime) },
];

export function addNodeCommands(node: Command): void {
  addPaging(node.command("list").description("nodes and how they fare"))
    .option("--region <name>", "only there", "")
    .action((options, command: Command) =>
      runWithApi(command, async ({ api, output }) => {
        const rows = await allPages(options, async (page) => {
          const answer = await api.call("NodeService", "ListNodes", { ...page, region: options.region });
          return { rows: answer.nodes, nextPageToken: answer.nextPageToken };
        });
        output.result(rows, () => renderTable(rows, COLUMNS, "No node has registered."));
      }),
    );

  for (const [name, rpc, summary] of [
    ["drain", "DrainNode", "no new calls for a node; its live calls go on"],
    ["undrain", "UndrainNode", "new calls again"],
  ] as const) {
    node
      .command(`${name} <id>`)
      .description(summary)
      .action((id: string, _options, command: Command) =>
        runWithApi(command, async ({ api, output }) => {
          const answer = await api.call("NodeService", rpc, { nodeId: id });
          output.result(answer.node, () => renderTable([answer.node!], COLUMNS, ""));
        }),
      );
  }
}

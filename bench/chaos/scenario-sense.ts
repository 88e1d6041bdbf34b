/**
 * What each field of a scenario allows, and all of them together do not: said before anything is started, where a run
 * would fail late, in other words, or hold for want of anything to look at.
 */
import { tenantSchema } from "#actors/tenants";
import type { Checks, Fault, Scenario } from "./scenario-schema.js";
import { NUMBER, TENANT, chaosTenant } from "./tenant.js";

/** Of every cluster on stage. */
export const CONTROL_PLANES = 2;
const NODES: ReadonlySet<string> = new Set(["node", "busiestNode"]);
const STORES: ReadonlySet<string> = new Set(["postgres", "redis"]);

/** What makes no sense, in words that begin with the place; empty when all does. */
export function nonsenseIn(scenario: Scenario): readonly string[] {
  const { stage, faults, checks, workload } = scenario;
  const wrong: string[] = [];
  if (stage.kind === "node" && stage.nodes > 1)
    wrong.push(`stage.nodes is ${stage.nodes}: more than one wants kind = "cluster"`);
  const tenant = { ...chaosTenant(stage.tenant), id: TENANT, numbers: [NUMBER] };
  for (const { path, message } of tenantSchema.safeParse(tenant).error?.issues ?? [])
    wrong.push(`${["stage.tenant", ...path].join(".")}: ${message}`);
  for (const [index, fault] of faults.entries()) {
    const why = misfit(stage, fault);
    if (why !== null) wrong.push(`faults[${index}]: ${why}`);
  }
  return [...wrong, ...checksThatCannotHold(checks, workload.calls)];
}

function checksThatCannotHold(checks: Checks, calls: number): readonly string[] {
  const { heard, heardShareMin, refused, apology, resumed, metrics = {}, delayMs = {} } = checks;
  const wrong: string[] = [];
  if (heard !== undefined && heardShareMin !== undefined)
    wrong.push("checks: heard asks for every sentence and heardShareMin for a share of them; one of the two");
  const counted = {
    refused,
    "apology.callers": apology?.callers ?? 0,
    "resumed.callsMin": resumed?.callsMin ?? 0,
  };
  for (const [name, count] of Object.entries(counted))
    if (count > calls) wrong.push(`checks.${name} is ${count}, of ${calls} calls`);
  const bounds = [
    ...Object.entries(metrics).map(([name, of]) => [`metrics."${name}"`, of] as const),
    ...Object.entries(delayMs).map(([name, of]) => [`delayMs.${name}`, of] as const),
    ["resumed", { min: resumed?.callsMin, max: resumed?.callsMax }] as const,
  ];
  for (const [name, { min = -Infinity, max = Infinity }] of bounds)
    if (min > max) wrong.push(`checks.${name}: at least ${min} and at most ${max}`);
  return wrong;
}

/** Why a fault cannot befall what this stage has. */
function misfit({ kind, nodes, shards }: Scenario["stage"], fault: Fault): string | null {
  const node = fault.what === "process" && fault.which === "node" ? fault.index : undefined;
  const struck = "node" in fault ? fault.node : (node ?? 0);
  if (struck >= nodes)
    return `what = "${fault.what}" strikes node ${struck}: of the stage's ${nodes} the first is 0`;
  if (fault.what === "shard" && fault.shard >= shards)
    return `it strikes shard ${fault.shard}: of the stage's ${shards} the first is 0`;
  if (fault.what === "disk") {
    if (kind === "node") return `what = "disk" wants a spool: only a stage with kind = "cluster" has one`;
    if (fault.does === "fill" && (fault.after > 0 || fault.afterMs > 0))
      return `a disk is filled before the first call, or not: a file that is open stays what it is`;
  }
  if (fault.what !== "process") return null;
  const { which, does, index } = fault;
  if (kind === "node" && !NODES.has(which))
    return `it strikes ${which}: only a stage with kind = "cluster" has that`;
  if (which === "controlPlane" && index >= CONTROL_PLANES)
    return `it strikes control plane ${index}: of the stage's ${CONTROL_PLANES} the first is 0`;
  const can = STORES.has(which) ? "restart" : "kill";
  return does === can ? null : `it does "${does}" to ${which}, which knows "${can}" alone`;
}

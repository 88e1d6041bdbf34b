/**
 * What a chaos scenario is: a stage, a workload on it, faults at instants of the workload, and what must hold
 * afterwards. Scenarios are TOML files in `scenarios/`; this is their schema, and the one place that reads them.
 *
 * `small` replaces fields of the workload, and of the checks, where the scenario runs in the test suite.
 */
import { readFileSync, readdirSync } from "node:fs";
import { basename } from "node:path";
import { parse } from "smol-toml";
import { z } from "zod";

/** The files stand beside the sources: they are data, and not compiled. */
const SCENARIOS = new URL("../../../bench/chaos/scenarios/", import.meta.url);

const count = z.int().min(0);

const lineSchema = z.strictObject({
  jitterMs: z.number().min(0).max(5_000).optional(),
  lossRatio: z.number().min(0).max(1).optional(),
  reorderRatio: z.number().min(0).max(1).optional(),
});

const workloadSchema = z.strictObject({
  calls: z.int().min(1).max(600).describe("Callers at once; each has words of its own."),
  arrivalsPerSecond: z
    .number()
    .positive()
    .default(20)
    .describe("By schedule, whether or not the node keeps up."),
  turns: z
    .int()
    .min(0)
    .max(1_000)
    .default(3)
    .describe("Sentences of each caller; each is answered by its own words."),
  words: z.int().min(1).max(24).default(4).describe("Words of each sentence, and so of each reply."),
  repeats: z
    .boolean()
    .default(false)
    .describe(
      "Callers whose sentence nobody answers say it again, twice at most, as people do: what is said into the death of a machine cannot be heard.",
    ),
  leavesMessages: z
    .boolean()
    .default(false)
    .describe("Callers who are asked for a message leave one, of their own words, and wait for the end."),
  thinkMs: z.number().min(0).max(60_000).default(300).describe("Between a reply and the next sentence."),
  line: lineSchema.default({}).describe("What is wrong with the callers' lines all the time."),
});

/** When a fault strikes: once this share of all turns has been answered, so long after the last greeting was heard. */
const instant = {
  after: z.number().min(0).max(1).default(0),
  afterMs: z.number().min(0).max(600_000).default(0),
};

const emulatorFault = z.looseObject({ kind: z.string() });

/** One kind of trouble each. */
export const faultSchema = z.discriminatedUnion("what", [
  z
    .strictObject({
      what: z.literal("provider"),
      ...instant,
      target: z.string(),
      fault: emulatorFault,
      count: z.union([z.int().min(1), z.literal("always")]).default(1),
    })
    .describe("Armed at an emulator: befalls the next streams, requests, contexts or sockets."),
  z
    .strictObject({
      what: z.literal("providerLive"),
      ...instant,
      target: z.string(),
      fault: emulatorFault,
    })
    .describe("Injected into whatever is open at an emulator now."),
  z.strictObject({ what: z.literal("providersHeal"), ...instant }).describe("Takes every armed fault back."),
  z
    .strictObject({
      what: z.literal("latency"),
      ...instant,
      ms: z.record(z.string(), z.number().min(0)),
    })
    .describe("From now on the providers answer this late."),
  z
    .strictObject({ what: z.literal("limits"), ...instant, limits: z.record(z.string(), z.int().min(0)) })
    .describe("From now on the providers' accounts have these limits."),
  z
    .strictObject({
      what: z.literal("network"),
      ...instant,
      to: z.enum(["deepgram", "groq", "cartesia"]),
      does: z.enum(["freeze", "thaw", "reset", "cut", "delay"]),
      ms: z.number().min(0).max(60_000).default(0),
    })
    .describe("To the network before a provider: half-open, RST, FIN, everything later."),
  z
    .strictObject({
      what: z.literal("line"),
      ...instant,
      does: z.enum(["stall", "cutMedia"]),
      share: z.number().min(0).max(1).default(1),
      ms: z.number().min(0).max(60_000).default(0),
    })
    .describe(
      "To the media sockets of this share of the callers: nothing for so long and then all at once, or gone.",
    ),
  z
    .strictObject({
      what: z.literal("shard"),
      ...instant,
      node: count.default(0),
      shard: count.default(0),
      does: z.enum(["throws", "exits", "hangs", "outOfMemory"]),
    })
    .describe("To one worker thread."),
  z
    .strictObject({ what: z.literal("actors"), ...instant, node: count.default(0), count: z.int().min(1) })
    .describe("A stage of this many calls throws."),
  z
    .strictObject({
      what: z.literal("process"),
      ...instant,
      which: z.enum(["node", "busiestNode", "controlPlane", "controlPlanes", "postgres", "redis"]),
      index: count.default(0),
      does: z.enum(["kill", "restart"]),
    })
    .describe(
      "SIGKILL, or a restart: Redis comes back without its memory. The busiest node is the one with most live calls.",
    ),
  z
    .strictObject({
      what: z.literal("disk"),
      ...instant,
      node: count.default(0),
      does: z.enum(["fill", "free"]),
    })
    .describe("The disk under a node's journal spool takes nothing any more."),
  z
    .strictObject({ what: z.literal("clock"), ...instant, node: count.default(0), ms: z.int() })
    .describe("A node's wall clock jumps, and stays so."),
]);
export type Fault = z.output<typeof faultSchema>;

const share = z.number().min(0).max(1);

/** What must hold; what is not named is not asked. */
const checksSchema = z.strictObject({
  heard: z
    .enum(["once", "atLeastOnce"])
    .optional()
    .describe(
      "Every sentence's own words come back to its caller, and nobody else's; `once`: and no word of them twice.",
    ),
  heardShareMin: share
    .optional()
    .describe("The same of this share of the sentences at least; other callers' words in none."),
  outcomes: z
    .record(z.string(), z.union([z.int().min(0), z.literal("rest")]))
    .optional()
    .describe(
      "How many calls end with each outcome, by their journals; `rest`: all the others, else none may.",
    ),
  apology: z
    .strictObject({ callers: z.int().min(1), says: z.string() })
    .optional()
    .describe("So many callers at least hear words that match this."),
  refused: z
    .int()
    .min(0)
    .default(0)
    .describe("So many callers get the overflow in place of an answer; they count in no other check."),
  journalsWhole: z.boolean().default(true).describe("Each journal: every event once, in order, one end."),
  resumed: z
    .strictObject({ callsMin: z.int().min(0), callsMax: z.int().min(0).optional() })
    .optional()
    .describe("Calls that another owner, actor or shard went on with."),
  streams: z.int().min(1).optional().describe("Media streams of each call: 1 when no socket was lost."),
  journal: z
    .record(z.string(), z.int().min(0))
    .optional()
    .describe("At least so many events of each kind over all journals."),
  metrics: z
    .record(z.string(), z.strictObject({ min: z.number().optional(), max: z.number().optional() }))
    .optional()
    .describe("Bounds of a sample on the first node's /metrics, labels included; its growth over the run."),
});
export type Checks = z.output<typeof checksSchema>;

const scenarioSchema = z.strictObject({
  title: z.string().describe("What breaks, as the failure table puts it."),
  hears: z.string().describe("What the caller hears, as the failure table puts it."),
  stage: z
    .strictObject({
      kind: z.enum(["node", "cluster"]).default("node"),
      nodes: z.int().min(1).max(8).default(1),
      shards: z.int().min(1).max(16).default(1),
      tenant: z.record(z.string(), z.unknown()).default({}).describe("Fields of the tenant's configuration."),
      environment: z.record(z.string(), z.string()).default({}).describe("Settings of the nodes."),
    })
    .prefault({}),
  workload: workloadSchema,
  small: workloadSchema.partial().extend({ checks: checksSchema.partial().optional() }).default({}),
  faults: z.array(faultSchema).max(100).default([]),
  checks: checksSchema.prefault({}),
});

export type Scenario = Omit<z.output<typeof scenarioSchema>, "small"> & { readonly name: string };

/** Names of all scenarios, sorted. */
export function scenarioNames(): readonly string[] {
  return readdirSync(SCENARIOS)
    .filter((name) => name.endsWith(".toml"))
    .map((name) => name.slice(0, -".toml".length))
    .toSorted();
}

/** One of ours by its name, or a file. @throws Error that names the file and what is wrong with it. */
export function loadScenario(nameOrFile: string, size: "small" | "full"): Scenario {
  const isOurs = scenarioNames().includes(nameOrFile);
  if (!isOurs && !nameOrFile.endsWith(".toml"))
    throw new Error(`there is no scenario ${nameOrFile}; there are ${scenarioNames().join(", ")}, or a file`);
  const path = isOurs ? new URL(`${nameOrFile}.toml`, SCENARIOS) : nameOrFile;
  return parseScenario(basename(nameOrFile, ".toml"), readText(nameOrFile, path), size);
}

function readText(nameOrFile: string, path: URL | string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`scenario ${nameOrFile}: ${why}`, { cause: error });
  }
}

/** @throws Error as above. */
export function parseScenario(name: string, text: string, size: "small" | "full"): Scenario {
  const parsed = scenarioSchema.safeParse(parsedToml(name, text));
  if (!parsed.success) throw new Error(`scenario ${name}: ${z.prettifyError(parsed.error)}`);
  const absent = parsed.data.faults.flatMap((fault) => absentFrom(parsed.data.stage, fault) ?? []);
  if (absent.length > 0) throw new Error(`scenario ${name}: ${absent.join("; ")}`);
  const { small, ...scenario } = parsed.data;
  if (size === "full") return { ...scenario, name };
  // A default of the schema is no wish of the file's.
  const given = (parsedToml(name, text) as { small?: GivenSmall }).small ?? {};
  const { checks = {}, ...workload } = small;
  return {
    ...scenario,
    name,
    workload: Object.assign({}, scenario.workload, only(workload, given)),
    checks: Object.assign({}, scenario.checks, only(checks, given.checks ?? {})),
  };
}

const NODES: ReadonlySet<string> = new Set(["node", "busiestNode"]);
const STORES: ReadonlySet<string> = new Set(["postgres", "redis"]);

/** What a fault is to befall and the stage does not have; said before anything is started. */
function absentFrom({ kind, nodes, shards }: Scenario["stage"], fault: Fault): string | null {
  const node = fault.what === "process" && fault.which === "node" ? fault.index : undefined;
  const struck = "node" in fault ? fault.node : (node ?? 0);
  if (struck >= nodes)
    return `a fault of what = "${fault.what}" strikes node ${struck}: of the stage's ${nodes} the first is 0`;
  if (fault.what === "shard" && fault.shard >= shards)
    return `a fault strikes shard ${fault.shard}: of the stage's ${shards} the first is 0`;
  if (fault.what !== "process") return null;
  const { which, does } = fault;
  if (kind === "node" && !NODES.has(which))
    return `a fault strikes ${which}: only a stage with kind = "cluster" has that`;
  const can = STORES.has(which) ? "restart" : "kill";
  return does === can ? null : `a fault does "${does}" to ${which}, which knows "${can}" alone`;
}

interface GivenSmall {
  readonly checks?: Readonly<Record<string, unknown>>;
}

/** The fields that were given. */
function only<Fields extends object>(fields: Fields, given: object): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([key]) => key in given)) as Fields;
}

function parsedToml(name: string, text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw new Error(`scenario ${name}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

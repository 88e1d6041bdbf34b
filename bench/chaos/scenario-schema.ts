/**
 * What may stand in a scenario file, field by field. docs/SCENARIOS.md is generated from it; scenario-sense.ts looks at
 * what single fields cannot say.
 */
import { z } from "zod";
import type { JournalEvent } from "#actors/journal";
import { armSchema, injectSchema, latencySchema, limitsSchema } from "#bench/emulators";
import type { CallOutcome } from "#runtime/cluster";

type Kinds<Fact extends { readonly kind: string }> = Readonly<Record<Fact["kind"], true>>;

/** A name that no journal has would hold of every run, or of none. */
const EVENTS: Kinds<JournalEvent> = {
  callStarted: true,
  callerTurn: true,
  callerProgress: true,
  agentTurn: true,
  bargeIn: true,
  bargeInRejected: true,
  eagerDiscarded: true,
  toolCalled: true,
  dtmf: true,
  providerFailed: true,
  messageOffered: true,
  messageTaken: true,
  agentProgress: true,
  legLost: true,
  callResumed: true,
  callEnded: true,
};
/** `none`: a journal without an end. */
const OUTCOMES: Kinds<CallOutcome | { readonly kind: "none" }> = {
  agentHungUp: true,
  callerHungUp: true,
  callerSilent: true,
  maxDuration: true,
  legLost: true,
  legEvicted: true,
  providerFailed: true,
  actorCrashed: true,
  shardLost: true,
  nodeLost: true,
  operatorHungUp: true,
  leaseLost: true,
  handedOver: true,
  drained: true,
  mediaNeverCame: true,
  none: true,
};

const count = z.int().min(0);

const lineSchema = z.strictObject({
  jitterMs: z.number().min(0).max(5_000).optional().describe("Each packet comes up to so much later."),
  lossRatio: z.number().min(0).max(1).optional().describe("Share of the packets that never come."),
  reorderRatio: z.number().min(0).max(1).optional().describe("Share of the packets that change places."),
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
  after: z.number().min(0).max(1).default(0).describe("Once this share of all turns has been answered."),
  afterMs: z.number().min(0).max(600_000).default(0).describe("So long after that."),
};

/** Its fields are the emulator's own; `armSchema` and `injectSchema` know its kinds. */
const emulatorFault = z.looseObject({ kind: z.string() });

/** One kind of trouble each. */
export const faultSchema = z.discriminatedUnion("what", [
  z
    .strictObject({
      what: z.literal("provider"),
      ...instant,
      target: z.string().describe("An emulator, below."),
      fault: emulatorFault.describe('What it does: `{ kind = "status", status = 500 }`.'),
      count: z
        .union([z.int().min(1), z.literal("always")])
        .default(1)
        .describe("How often."),
    })
    .check(({ value: { target, fault }, issues }) => forward(armSchema.safeParse({ target, fault }), issues))
    .describe("Armed at an emulator: befalls the next streams, requests, contexts or sockets."),
  z
    .strictObject({
      what: z.literal("providerLive"),
      ...instant,
      target: z.string().describe("An emulator, below."),
      fault: emulatorFault.describe('What it does: `{ kind = "drop" }`.'),
    })
    .check(({ value: { target, fault }, issues }) =>
      forward(injectSchema.safeParse({ target, fault }), issues),
    )
    .describe("Injected into whatever is open at an emulator now."),
  z.strictObject({ what: z.literal("providersHeal"), ...instant }).describe("Takes every armed fault back."),
  z
    .strictObject({
      what: z.literal("latency"),
      ...instant,
      ms: latencySchema.describe("Each a median, or `{ medianMs, jitterMs }`."),
    })
    .describe("From now on the providers answer this late."),
  z
    .strictObject({ what: z.literal("limits"), ...instant, limits: limitsSchema })
    .describe("From now on the providers' accounts have these limits."),
  z
    .strictObject({
      what: z.literal("network"),
      ...instant,
      to: z.enum(["deepgram", "groq", "cartesia"]),
      does: z.enum(["freeze", "thaw", "reset", "cut", "delay"]),
      ms: z.number().positive().max(60_000).optional().describe("Of `delay`: how much later."),
    })
    .refine(({ does, ms }) => (does === "delay") === (ms !== undefined), {
      error: 'goes with does = "delay", which needs it',
      path: ["ms"],
    })
    .describe("To the network before a provider: half-open, RST, FIN, everything later."),
  z
    .strictObject({
      what: z.literal("line"),
      ...instant,
      does: z.enum(["stall", "cutMedia"]),
      share: z.number().positive().max(1).default(1).describe("Of the callers, the first ones."),
      ms: z.number().positive().max(60_000).optional().describe("Of `stall`: for how long."),
    })
    .refine(({ does, ms }) => (does === "stall") === (ms !== undefined), {
      error: 'goes with does = "stall", which needs it',
      path: ["ms"],
    })
    .describe(
      "To the media sockets of this share of the callers: nothing for so long and then all at once, or gone.",
    ),
  z
    .strictObject({
      what: z.literal("shard"),
      ...instant,
      node: count.default(0).describe("The first is 0."),
      shard: count.default(0).describe("The first is 0."),
      does: z.enum(["throws", "exits", "hangs", "outOfMemory"]),
    })
    .describe("To one worker thread."),
  z
    .strictObject({
      what: z.literal("actors"),
      ...instant,
      node: count.default(0).describe("The first is 0."),
      count: z.int().min(1).describe("Calls of its first shard."),
    })
    .describe("A stage of this many calls throws."),
  z
    .strictObject({
      what: z.literal("process"),
      ...instant,
      which: z.enum(["node", "busiestNode", "controlPlane", "controlPlanes", "postgres", "redis"]),
      index: count.default(0).describe("Which `node` or `controlPlane`; the first is 0."),
      does: z.enum(["kill", "restart"]),
    })
    .describe(
      "SIGKILL, or a restart: Redis comes back without its memory. The busiest node is the one with most live calls.",
    ),
  z
    .strictObject({
      what: z.literal("disk"),
      ...instant,
      node: count.default(0).describe("The first is 0."),
      does: z.enum(["fill", "free"]),
    })
    .describe("The disk under a node's journal spool takes nothing any more."),
  z
    .strictObject({
      what: z.literal("clock"),
      ...instant,
      node: count.default(0).describe("The first is 0."),
      ms: z.int().describe("Against the true time; a second jump replaces the first."),
    })
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
    .partialRecord(z.enum(keysOf(OUTCOMES)), z.union([z.int().min(0), z.literal("rest")]))
    .optional()
    .describe(
      `How many calls end with each outcome, by their journals; \`rest\`: all the others, else none may. ${keysOf(OUTCOMES).join(", ")}.`,
    ),
  apology: z
    .strictObject({
      callers: z.int().min(1).describe("How many."),
      says: z
        .string()
        .refine(isPattern, "is no regular expression")
        .describe("A regular expression, in whatever case."),
    })
    .optional()
    .describe("So many callers at least hear words that match this."),
  refused: z
    .int()
    .min(0)
    .default(0)
    .describe("So many callers get the overflow in place of an answer; they count in no other check."),
  journalsWhole: z.boolean().default(true).describe("Each journal: every event once, in order, one end."),
  resumed: z
    .strictObject({
      callsMin: z.int().min(0).describe("So many at least."),
      callsMax: z.int().min(0).optional().describe("So many at most."),
    })
    .optional()
    .describe("Calls that another owner, actor or shard went on with."),
  streams: z.int().min(1).optional().describe("Media streams of each call: 1 when no socket was lost."),
  journal: z
    .partialRecord(z.enum(keysOf(EVENTS)), z.int().min(1))
    .optional()
    .describe(`At least so many events of each kind over all journals. ${keysOf(EVENTS).join(", ")}.`),
  delayMs: z
    .partialRecord(
      z.enum(["p50", "p95", "max"]),
      z.strictObject({ min: z.number().optional(), max: z.number().optional() }),
    )
    .optional()
    .describe(
      "Bounds, `{ min, max }`, of `p50`, `p95` and `max` of the time from a sentence's end to the first sound of its reply.",
    ),
  metrics: z
    .record(z.string(), z.strictObject({ min: z.number().optional(), max: z.number().optional() }))
    .optional()
    .describe(
      "Bounds, `{ min, max }`, of how much a sample on the first node's /metrics grows over the run; labels included.",
    ),
});
export type Checks = z.output<typeof checksSchema>;

export const scenarioSchema = z.strictObject({
  title: z.string().describe("What breaks, as the failure table puts it."),
  hears: z.string().describe("What the caller hears, as the failure table puts it."),
  stage: z
    .strictObject({
      kind: z
        .enum(["node", "cluster"])
        .default("node")
        .describe(
          "One node alone, or nodes with Postgres, Redis, two control planes and a balancer, each a process.",
        ),
      nodes: z.int().min(1).max(8).default(1).describe("Of a cluster."),
      shards: z.int().min(1).max(16).default(1).describe("Worker threads of each node."),
      tenant: z
        .record(z.string(), z.unknown())
        .default({})
        .describe("Fields of the tenant's configuration: TENANTS.md."),
      environment: z
        .record(z.string(), z.string())
        .default({})
        .describe("Settings of the nodes: SETTINGS.md."),
    })
    .prefault({}),
  workload: workloadSchema,
  small: workloadSchema
    .partial()
    .extend({ checks: checksSchema.partial().optional() })
    .default({})
    .describe("Fields of the workload, and of the checks, that are others where the scenario runs small."),
  faults: z.array(faultSchema).max(100).default([]),
  checks: checksSchema.prefault({}),
});

export type Scenario = Omit<z.output<typeof scenarioSchema>, "small"> & { readonly name: string };

/** What an emulator's own schema says is wrong, at the place in the fault where it is. */
function forward(parsed: z.ZodSafeParseResult<unknown>, issues: z.core.$ZodRawIssue[]): void {
  for (const { message, path } of parsed.error?.issues ?? [])
    issues.push({ code: "custom", message, path: [...path], input: undefined });
}

function isPattern(text: string): boolean {
  try {
    return new RegExp(text, "i") instanceof RegExp;
  } catch {
    return false;
  }
}

function keysOf<Key extends string>(record: Readonly<Record<Key, true>>): Key[] {
  return Object.keys(record) as Key[];
}

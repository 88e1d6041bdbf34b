/**
 * What a load consists of: which callers, in which shares, arriving how. Mixes are TOML or JSON files; the ones that
 * come along are in mixes/ and go by their bare names.
 */
import { readFile } from "node:fs/promises";
import { basename, extname } from "node:path";
import { fileURLToPath } from "node:url";
import { parse as parseToml } from "smol-toml";
import { z } from "zod";
import { LumentraError } from "#runtime/errors";

/** `short` hangs up after its greeting and a turn, and another call comes in its place, by schedule. */
const CALLER_KINDS = ["idle", "conversation", "bargeIn", "short"] as const;
export type CallerKind = (typeof CALLER_KINDS)[number];

const callerSchema = z.strictObject({
  kind: z.enum(CALLER_KINDS),
  /** Its share among the callers, against the others' weights. */
  weight: z.number().positive().default(1),
  /** Between a reply and what is said next, drawn anew each time: least and most. */
  thinkMs: z
    .tuple([z.number().min(0), z.number().min(0)])
    .refine(([least, most]) => least <= most, "least first, then most")
    .default([300, 1_500]),
  /** `short`: from one call of a line to the next, whether or not the first is over. */
  everySeconds: z.number().min(0.5).max(3_600).default(10),
  /** A call's, drawn anew for each: least and most. Whoever had them hangs up, and another call comes. Absent: no end. */
  turns: z
    .tuple([z.number().int().min(1), z.number().int().min(1)])
    .refine(([least, most]) => least <= most, "least first, then most")
    .optional(),
});

const mixSchema = z.discriminatedUnion("front", [
  z.strictObject({
    front: z.literal("calls"),
    description: z.string().default(""),
    seed: z.number().int().min(0).default(1),
    /** `constant`: evenly over the ramp; `poisson`: independently of each other; `ramp`: more and more of them. */
    arrivals: z.enum(["constant", "poisson", "ramp"]).default("constant"),
    /** So many come at the same instant. */
    burst: z.number().int().min(1).max(10_000).default(1),
    /** `echo`: the agent says back what follows "please say", and it is checked word for word; `any`: it speaks. */
    replies: z.enum(["echo", "any"]).default("echo"),
    callers: z.array(callerSchema).min(1),
  }),
  z.strictObject({
    front: z.enum(["webhooks", "grpc"]),
    description: z.string().default(""),
    /** autocannon offers no less than one. */
    ratePerSecond: z.number().min(1).max(100_000),
    connections: z.number().int().min(1).max(10_000).default(20),
  }),
]);

export type Mix = z.infer<typeof mixSchema>;
export type CallMix = Extract<Mix, { front: "calls" }>;
export type FrontMix = Exclude<Mix, CallMix>;
export type CallerSpec = z.infer<typeof callerSchema>;

export const BUILT_IN_MIXES = [
  "idle",
  "conversation",
  "calm",
  "barge-in",
  "short",
  "mixed",
  "day",
  "webhooks",
  "grpc",
] as const;

/** @throws LumentraError BENCH_MIX_INVALID with the file and what is wrong in it. */
export async function loadMix(nameOrFile: string): Promise<Mix> {
  const builtIn = (BUILT_IN_MIXES as readonly string[]).includes(nameOrFile);
  const path = builtIn ? builtInPath(nameOrFile) : nameOrFile;
  try {
    const text = await readFile(path, "utf8");
    return parseMix(extname(path) === ".json" ? (JSON.parse(text) as unknown) : parseToml(text));
  } catch (error) {
    const isMissing = (error as { readonly code?: unknown }).code === "ENOENT";
    const why = isMissing
      ? `there is no such file, and no mix of that name; there are ${BUILT_IN_MIXES.join(", ")}`
      : error instanceof Error
        ? error.message
        : String(error);
    throw new LumentraError("BENCH_MIX_INVALID", `Mix ${nameOrFile}: ${why}`, { cause: error });
  }
}

/** What results call it: a file's name without what it ends in. */
export function mixNameOf(nameOrFile: string): string {
  return basename(nameOrFile).replace(/\.(toml|json)$/, "");
}

export function parseMix(value: unknown): Mix {
  const withFront = typeof value === "object" && value !== null ? { front: "calls", ...value } : value;
  const parsed = mixSchema.safeParse(withFront);
  if (!parsed.success) throw new Error(z.prettifyError(parsed.error));
  return parsed.data;
}

/** Whether its calls end before the load does, so that others come in their place. */
export function comesAgain({ kind, turns }: CallerSpec): boolean {
  return kind === "short" || turns !== undefined;
}

/** Which caller each line is: shares as near to the weights as whole lines allow, spread evenly along the ramp. */
export function callersOf(mix: CallMix, lines: number): readonly CallerSpec[] {
  const total = mix.callers.reduce((sum, { weight }) => sum + weight, 0);
  const owed = mix.callers.map(() => 0);
  return Array.from({ length: lines }, () => {
    let most = 0;
    for (let i = 0; i < owed.length; i++) {
      owed[i]! += mix.callers[i]!.weight / total;
      if (owed[i]! > owed[most]! + 1e-9) most = i;
    }
    owed[most]! -= 1;
    return mix.callers[most]!;
  });
}

/** They are data, not compiled: beside the sources, two folders above the build's. */
function builtInPath(name: string): string {
  return fileURLToPath(new URL(`../../../bench/load/mixes/${name}.toml`, import.meta.url));
}

/** docs/SCENARIOS.md, from the scenarios' schema and the emulators' faults. Run as a program it prints the page. */
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { FAULT_FIELDS, MODEL_VENDORS } from "#bench/emulators";
import { type JsonSchema, fieldRows } from "#runtime/settings";
import { scenarioSchema } from "./scenario-schema.js";

/** Whose faults are which, by the names that `target` takes. */
const TARGETS: readonly (readonly [string, keyof typeof FAULT_FIELDS])[] = [
  ["`deepgram`, `assemblyai`", "deepgram"],
  ["`whisper`", "whisper"],
  [MODEL_VENDORS.map((name) => `\`${name}\``).join(", "), "model"],
  ["`cartesiaSocket`, `elevenlabsSocket`", "voiceSocket"],
  ["`cartesiaContext`, `elevenlabsContext`", "speech"],
  ["`speech` (voices by HTTP)", "speechHttp"],
  ["of `providerLive`: `deepgram`, `assemblyai`", "deepgramStream"],
  ["of `providerLive`: `cartesia`, `elevenlabs`", "voiceLive"],
];

/** The page as it must stand in docs/SCENARIOS.md; a test compares them. */
export function renderScenariosPage(): string {
  // What an emulator takes for a fault is no JSON schema; it has a table of its own.
  const schema = z.toJSONSchema(scenarioSchema, { io: "input", unrepresentable: "any" }) as JsonSchema;
  const { stage, workload, small, faults, checks } = schema.properties!;
  const kinds = faults!.items!.oneOf!;
  return [
    "# Chaos scenarios",
    "",
    "`npm run chaos -- FILE.toml` plays a scenario of one's own as it plays ours (`bench/chaos/scenarios`; `--small` with the",
    "fields of `[small]`): callers talk on a stage, faults strike at instants of their talk, and then it is looked at whether all",
    "that the file asks for held. Every caller says sentences with words of his own and is answered by these words, so that a lost, doubled or",
    "strange word shows. A file with an unknown field, a wrong value or a fault that its stage cannot have is refused before",
    "anything is started, with its place, and the command ends with 2.",
    "",
    "```toml",
    'title = "the model stalls, then the recogniser\'s network is reset"',
    'hears = "a filler, then the answer"',
    "",
    "[stage.tenant.llm]",
    'fallbacks = [{ provider = "anthropic" }]',
    "",
    "[workload]",
    "calls = 10",
    "turns = 4",
    "",
    "[small] # with --small",
    "calls = 2",
    "",
    "[[faults]] # armed before the first call: the next two requests of anybody",
    'what = "provider"',
    'target = "groq"',
    'fault = { kind = "stall", afterTokens = 2 }',
    "count = 2",
    "",
    "[[faults]] # half a second after half of all turns",
    'what = "network"',
    "after = 0.5",
    "afterMs = 500",
    'to = "deepgram"',
    'does = "reset"',
    "",
    "[checks]",
    'heard = "once"',
    'outcomes = { callerHungUp = "rest" }',
    "delayMs = { p95 = { max = 3000 } }",
    "```",
    "",
    "`title` says what breaks and `hears` what the caller is to hear of it. This page is generated: `npm run docs`.",
    "",
    ...table("stage", stage!),
    ...table("workload", workload!),
    "## small",
    "",
    small!.description!,
    "",
    "## faults",
    "",
    "A list; each of one kind, `what`, at an instant. Without one it strikes before the first call. All that are armed must",
    "befall somebody, or the scenario fails.",
    "",
    "| field | what | default | meaning |",
    "| --- | --- | --- | --- |",
    ...fieldRows({ properties: instantOf(kinds[0]!) }),
    "",
    ...kinds.flatMap(faultTable),
    "### What emulators do",
    "",
    "| target | `kind`, with its fields; those in brackets may be absent |",
    "| --- | --- |",
    ...TARGETS.map(([names, of]) => `| ${names} | ${emulatorFaults(of)} |`),
    "| of `providerLive`: models | `cut`, `stall`, `resume` |",
    "",
    ...table("checks", checks!, "What is not named is not asked, but for those with a default."),
  ].join("\n");
}

function table(title: string, schema: JsonSchema, intro = ""): readonly string[] {
  return [
    `## ${title}`,
    "",
    ...(intro === "" ? [] : [intro, ""]),
    "| field | what | default | meaning |",
    "| --- | --- | --- | --- |",
    ...fieldRows(schema),
    "",
  ];
}

const INSTANT: ReadonlySet<string> = new Set(["after", "afterMs"]);

function instantOf({ properties = {} }: JsonSchema): Readonly<Record<string, JsonSchema>> {
  return Object.fromEntries(Object.entries(properties).filter(([name]) => INSTANT.has(name)));
}

function faultTable(schema: JsonSchema): readonly string[] {
  const { properties = {}, description = "" } = schema;
  const own = Object.fromEntries(
    Object.entries(properties)
      .filter(([name]) => name !== "what" && !INSTANT.has(name))
      // The kinds of an emulator's fault have a table of their own.
      .map(([name, field]) => [name, name === "fault" ? { ...field, properties: {} } : field]),
  );
  const rows = fieldRows({ ...schema, properties: own });
  const header = ["| field | what | default | meaning |", "| --- | --- | --- | --- |"];
  return [
    `### \`what = ${JSON.stringify(properties["what"]?.const)}\``,
    "",
    description,
    "",
    ...(rows.length === 0 ? [] : [...header, ...rows, ""]),
  ];
}

function emulatorFaults(of: keyof typeof FAULT_FIELDS): string {
  return Object.entries<Readonly<Record<string, string>>>(FAULT_FIELDS[of])
    .map(([kind, fields]) => {
      const names = Object.entries(fields).map(([name, need]) => (need === "needed" ? name : `[${name}]`));
      return names.length === 0 ? `\`${kind}\`` : `\`${kind}\` ${names.join(" ")}`;
    })
    .join("; ");
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(renderScenariosPage());
}

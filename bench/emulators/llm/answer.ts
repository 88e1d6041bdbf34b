/**
 * The emulated model: from a request to a reply, by the rules. Deterministic: the same conversation gets
 * the same answer.
 *
 * In order: an answer that was cut off is gone on with; results of tools are put into words; what was just said is repeated; goodbyes and such;
 * tools that are offered and asked for; a long answer to "tell me about"; facts from the prompt (up to
 * two at once); small talk; a polite refusal.
 */
import { promptFacts, type PromptFacts } from "./prompt-facts.js";
import type { Scripted, ScriptedToolCall } from "./reply.js";
import { type ChatMessage, type ChatRequest, type ChatTool, lastUserText, textOf } from "./request.js";
import { type LanguageRules, type Line, type Topic, rules, toolIntents } from "./rules.js";
import { sayable, weekdaysIn, toolArguments } from "./wording.js";

/** More at once than anybody asks for on the phone. */
const TOOL_CALLS_MAX = 4;
const TOPICS_MAX = 2;

/** Told in the user's turn, where a vendor has no other place for it; as a system message it is passed over, as models may. */
const GO_ON = /\byou were cut off\b.*\bgo on\b/is;

/** `unixMs` tells what "tomorrow" means. */
export function answer(request: ChatRequest, unixMs: number): Scripted {
  const begun = request.messages.at(-2);
  if (begun?.role === "assistant" && GO_ON.test(lastUserText(request))) {
    const whole = answer({ ...request, messages: request.messages.slice(0, -2) }, unixMs);
    return whole.text === undefined ? whole : { ...whole, text: restAfter(textOf(begun), whole.text) };
  }
  const system = request.messages
    .filter((message) => message.role === "system" || message.role === "developer")
    .map(textOf)
    .join("\n");
  const known = promptFacts(system);
  const language = rules[known.language];
  const results = toolResults(request.messages);
  if (results !== null) return { text: results.map((result) => sayToolResult(result)).join(" ") };

  const said = lastUserText(request).trim();
  const tools = offered(request);
  if (language.repeat.test(said)) return { text: lastAnswer(request.messages) ?? language.nothingSaidYet };
  const first = matchLine(language.linesFirst, said);
  if (first !== null) return lineReply(first.line, first.caught, known, tools, said, unixMs);
  const calls = callsFor(said, tools, unixMs);
  if (calls.length > 0) return { toolCalls: calls };
  return { text: answerInWords(said, known, language) };
}

/** `text` without the beginning that is `said`; all of it when it begins otherwise. */
function restAfter(said: string, text: string): string {
  return text.startsWith(said) ? text.slice(said.length).trimStart() : text;
}

function answerInWords(said: string, known: PromptFacts, language: LanguageRules): string {
  if (language.tellMeAbout.test(said)) return longAnswer(known, language);
  const topics = language.topics.filter((topic) => topic.asked.test(said)).slice(0, TOPICS_MAX);
  if (topics.length > 0) {
    const found = topics.flatMap((topic) => tell(topic, known));
    return found.length > 0 ? found.join(" ") : fill(language.unknownFact, known);
  }
  const byName = factByName(said, known);
  if (byName !== null) return byName;
  const line = matchLine(language.lines, said);
  return fill(line?.line.say ?? language.fallback, known, line?.caught);
}

/** Several sentences, long enough to be interrupted. */
function longAnswer(known: PromptFacts, language: LanguageRules): string {
  const about = known.facts.get("about") ?? known.facts.get("about us");
  const facts = language.topics.flatMap((topic) => tell(topic, known));
  const sentences = about === undefined ? facts : [sayable(about), ...facts.slice(0, 2)];
  return sentences.length === 0 ? fill(language.unknownFact, known) : sentences.join(" ");
}

/** What the prompt says of a topic, as one sentence; none when it says nothing. */
function tell(topic: Topic, known: PromptFacts): string[] {
  const name = topic.facts.find((candidate) => known.facts.has(candidate));
  if (name === undefined) return [];
  const fact = known.facts.get(name)!;
  return [asSentence(topic.framed === true ? fact.replace(/\.$/, "") : fact, topic.say)];
}

/** A fact the rules have no topic for, asked for by its own name. */
function factByName(said: string, known: PromptFacts): string | null {
  const lower = said.toLowerCase();
  for (const [name, fact] of known.facts) {
    if (name.length > 3 && lower.includes(name.replace(/s$/, ""))) return asSentence(fact, "{fact}.");
  }
  return null;
}

/** The fact by itself when it is a sentence, else within `frame`. */
function asSentence(fact: string, frame: string): string {
  const text = sayable(fact);
  return /[.!?]$/.test(text) ? text : frame.replace("{fact}", text);
}

function matchLine(lines: readonly Line[], said: string): { line: Line; caught: string } | null {
  for (const line of lines) {
    const match = line.asked.exec(said);
    if (match !== null) return { line, caught: (match[1] ?? "").trim() };
  }
  return null;
}

function lineReply(
  line: Line,
  caught: string,
  known: PromptFacts,
  tools: readonly ChatTool[],
  said: string,
  unixMs: number,
): Scripted {
  const text = fill(line.say, known, caught);
  const tool = tools.find((candidate) => candidate.name === line.tool);
  return tool === undefined ? { text } : { text, toolCalls: [callOf(tool, said, null, unixMs)] };
}

function fill(say: string, known: PromptFacts, caught = ""): string {
  return say
    .replaceAll("{business}", known.business)
    .replaceAll("{agent}", known.agent)
    .replaceAll("{1}", caught.replace(/[\s,.?!]+$/, ""));
}

function offered(request: ChatRequest): readonly ChatTool[] {
  if (request.tool_choice === "none") return [];
  const tools = (request.tools ?? []).map((tool) => tool.function);
  const choice = request.tool_choice;
  if (typeof choice === "object" && choice !== null) {
    return tools.filter((tool) => tool.name === choice.function.name);
  }
  return tools;
}

/** The tools the caller's words ask for; without parallel calls only the first. */
function callsFor(said: string, tools: readonly ChatTool[], unixMs: number): readonly ScriptedToolCall[] {
  const calls: ScriptedToolCall[] = [];
  for (const intent of toolIntents) {
    const tool = tools.find((candidate) => candidate.name === intent.tool);
    if (tool === undefined || !intent.asked.test(said)) continue;
    const days = intent.perDay === true ? weekdaysIn(said) : [];
    if (days.length === 0) calls.push(callOf(tool, said, null, unixMs));
    for (const day of days) calls.push(callOf(tool, said, day, unixMs));
  }
  return calls.slice(0, TOOL_CALLS_MAX);
}

function callOf(tool: ChatTool, said: string, day: string | null, unixMs: number): ScriptedToolCall {
  return { name: tool.name, arguments: toolArguments(tool.parameters ?? {}, said, day, unixMs) };
}

/** The tool messages the conversation ends with, or null. */
function toolResults(messages: readonly ChatMessage[]): readonly string[] | null {
  const lastOther = messages.findLastIndex((message) => message.role !== "tool");
  const results = messages.slice(lastOther + 1).map(textOf);
  return results.length === 0 ? null : results;
}

function lastAnswer(messages: readonly ChatMessage[]): string | null {
  const spoken = messages.findLast((message) => message.role === "assistant" && textOf(message) !== "");
  return spoken === undefined ? null : textOf(spoken);
}

const openingResult = /^(\w+) [\d:]+: (open|closed)\. Hours that day: (.+?)\.?$/;

/** A tool's result in words: its text field when it is JSON, opening hours as a sentence, else as it stands. */
function sayToolResult(result: string): string {
  const opening = openingResult.exec(result);
  if (opening !== null) {
    const [, day, state, spans] = opening;
    if (spans === "closed all day") return `On ${day} we are closed all day.`;
    return state === "open"
      ? `Yes, on ${day} we are open ${sayable(spans!)}.`
      : `We are closed then. On ${day} we are open ${sayable(spans!)}.`;
  }
  let value: unknown = result;
  try {
    value = JSON.parse(result);
  } catch {
    // Plain text, as most tools answer.
  }
  if (typeof value === "object" && value !== null) {
    const fields = value as Record<string, unknown>;
    const text = fields["say"] ?? fields["answer"] ?? fields["text"] ?? fields["message"] ?? fields["error"];
    value =
      typeof text === "string"
        ? text
        : Object.entries(fields)
            .map(([key, item]) => `${key} ${String(item)}`)
            .join(", ");
  }
  const text = sayable(String(value));
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

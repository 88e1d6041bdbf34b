/** Tables for terminals. */
import Table from "cli-table3";
import type { Turn } from "#bench/caller";

const SAID = "the caller said";
const SAID_CHARS_MAX = 34;

/** Where each turn's delay went, in milliseconds after the caller's last speech sample. */
export function renderTurnTable(turns: readonly Turn[], colors = false): string {
  const table = newTable(
    [
      SAID,
      "heard by STT",
      "STT final",
      "LLM start",
      "first token",
      "TTS audio",
      "committed",
      "sent",
      "voice to voice",
    ],
    colors,
    (column) => column === SAID,
  );
  for (const turn of turns) {
    if (turn.said === null) continue;
    const stages = turn.stages;
    table.push([
      clip(turn.said),
      ms(stages?.sttInterimMs),
      ms(stages?.sttFinalMs),
      ms(stages?.llmStartMs) + (stages?.eager === true ? " e" : ""),
      ms(stages?.llmFirstTokenMs),
      ms(stages?.ttsFirstAudioMs),
      ms(stages?.committedMs),
      ms(stages?.firstByteSentMs),
      ms(turn.voiceToVoiceMs),
    ]);
  }
  return table.toString();
}

/** Rows of a benchmark: columns are all keys that occur, in order of appearance. */
export function renderRows(
  rows: readonly Readonly<Record<string, number | string>>[],
  colors = false,
): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const isText = (column: string): boolean =>
    rows.every((row) => typeof row[column] === "string" && !/^[\d≤–-]/.test(row[column]));
  const table = newTable(columns, colors, isText);
  for (const row of rows) table.push(columns.map((column) => cell(row[column])));
  return table.toString();
}

function newTable(head: string[], colors: boolean, isText: (column: string) => boolean): Table.Table {
  return new Table({
    head,
    // Compact: a line between all rows makes a long table twice as long.
    style: { compact: true, ...(colors ? { head: ["bold"], border: ["gray"] } : { head: [], border: [] }) },
    colAligns: head.map((column) => (isText(column) ? "left" : "right")),
  });
}

function ms(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : String(Math.round(value));
}

function cell(value: number | string | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "string" || Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 100
    ? value.toFixed(0)
    : Math.abs(value) >= 10
      ? value.toFixed(1)
      : value.toFixed(3);
}

function clip(text: string): string {
  return text.length <= SAID_CHARS_MAX ? text : `${text.slice(0, SAID_CHARS_MAX - 1)}…`;
}

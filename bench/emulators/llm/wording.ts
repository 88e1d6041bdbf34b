/** Words for the phone: clock times as people say them, and tool arguments from what a caller said. */

const WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"] as const;
const DAY_MS = 86_400_000;

/** `08:00-17:00` becomes `from 8 am to 5 pm`. */
export function sayable(text: string): string {
  return text
    .replace(/(\d{1,2}:\d{2})\s*[-–]\s*(\d{1,2}:\d{2})/g, (_all, open: string, close: string) => {
      return `from ${clockTime(open)} to ${clockTime(close)}`;
    })
    .replace(/\b\d{1,2}:\d{2}\b(?! ?[ap]m)/g, (time) => clockTime(time));
}

function clockTime(time: string): string {
  const [hourText, minute] = time.split(":") as [string, string];
  const hour = Number(hourText);
  if (hour > 24) return time;
  if (hour === 24 || (hour === 0 && minute === "00")) return "midnight";
  const half = hour < 12 ? "am" : "pm";
  const twelve = hour % 12 === 0 ? 12 : hour % 12;
  return minute === "00" ? `${twelve} ${half}` : `${twelve}:${minute} ${half}`;
}

/** Weekdays named, in the order they were said, each once. */
export function weekdaysIn(said: string): readonly string[] {
  const found = said.toLowerCase().match(/\b(sun|mon|tues|wednes|thurs|fri|satur)day\b/g) ?? [];
  return [...new Set(found)];
}

interface PropertySchema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly format?: string;
  readonly default?: unknown;
}

/**
 * Arguments that fit a JSON Schema, from what the caller said: days, times, numbers, names; what is
 * required and was not said gets a plausible value, what is optional and was not said is left out.
 */
export function toolArguments(
  schema: Readonly<Record<string, unknown>>,
  said: string,
  day: string | null,
  unixMs: number,
): Record<string, unknown> {
  const properties = (schema["properties"] ?? {}) as Readonly<Record<string, PropertySchema>>;
  const required = new Set((schema["required"] ?? []) as readonly string[]);
  const values: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(properties)) {
    const value = valueFor(name, property, said, day, unixMs);
    if (value !== undefined) values[name] = value;
    else if (required.has(name)) values[name] = plausible(property, said);
  }
  return values;
}

function valueFor(
  name: string,
  property: PropertySchema,
  said: string,
  day: string | null,
  unixMs: number,
): unknown {
  if (property.enum !== undefined) {
    return property.enum.find((option) => said.toLowerCase().includes(String(option).toLowerCase()));
  }
  if (property.type === "number" || property.type === "integer") return numberIn(said);
  if (property.type !== "string") return undefined;
  if (/^(at|when|datetime|date_time|start)$/i.test(name)) return dateTime(said, day, unixMs);
  if (/date|day/i.test(name)) return dateTime(said, day, unixMs)?.slice(0, 10);
  if (/time|hour/i.test(name)) return timeIn(said) ?? undefined;
  if (/name/i.test(name)) return /\b(?:my name is|this is)\s+([\p{L}'-]+)/iu.exec(said)?.[1];
  if (/phone|number/i.test(name)) return /\+?\d[\d\s-]{4,}/.exec(said)?.[0].trim();
  if (/message|text|question|query|note|summary/i.test(name)) return said;
  return undefined;
}

function plausible(property: PropertySchema, said: string): unknown {
  if (property.default !== undefined) return property.default;
  if (property.enum !== undefined) return property.enum[0];
  switch (property.type) {
    case "number":
    case "integer":
      return 1;
    case "boolean":
      return true;
    case "array":
      return [];
    case "object":
      return {};
    default:
      return said.slice(0, 100);
  }
}

/** `2026-03-02T14:30`; undefined when neither a day nor a time was said. */
function dateTime(said: string, day: string | null, unixMs: number): string | undefined {
  const lower = said.toLowerCase();
  const time = timeIn(said);
  const weekday = day ?? weekdaysIn(said)[0] ?? null;
  const tomorrow = /\btomorrow\b/.test(lower);
  if (weekday === null && !tomorrow && time === null) return undefined;
  const today = new Date(unixMs).getUTCDay();
  const ahead = tomorrow ? 1 : weekday === null ? 0 : (WEEKDAYS.indexOf(weekday as "monday") - today + 7) % 7;
  const date = new Date(unixMs + ahead * DAY_MS).toISOString().slice(0, 10);
  return `${date}T${time ?? "12:00"}`;
}

const HOUR_WORDS = [
  "twelve",
  "one",
  "two",
  "three",
  "four",
  "five",
  "six",
  "seven",
  "eight",
  "nine",
  "ten",
  "eleven",
];

/** `14:30`, from "2:30 pm", "at three", "half past…" is beyond it. */
function timeIn(said: string): string | null {
  const match = /\b(?:at\s+)?(\d{1,2})(?::(\d{2}))?\s*(am|pm|a\.m\.|p\.m\.|o'clock)/i.exec(said);
  const word = new RegExp(`\\bat (${HOUR_WORDS.join("|")}|\\d{1,2})\\b`, "i").exec(said);
  let hour: number;
  let minute = "00";
  let half = "";
  if (match !== null) {
    hour = Number(match[1]);
    minute = match[2] ?? "00";
    half = match[3]!.toLowerCase()[0]!;
  } else if (word !== null) {
    const index = HOUR_WORDS.indexOf(word[1]!.toLowerCase());
    hour = index === -1 ? Number(word[1]) : index === 0 ? 12 : index;
  } else return null;
  // Nobody rings about four in the morning: small hours without am are afternoon.
  if (half === "p" || (half !== "a" && hour >= 1 && hour <= 7)) hour = (hour % 12) + 12;
  else if (half === "a") hour %= 12;
  return hour > 23 ? null : `${String(hour).padStart(2, "0")}:${minute}`;
}

const SMALL_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

function numberIn(said: string): number | undefined {
  const digits = /\b\d+\b/.exec(said);
  if (digits !== null) return Number(digits[0]);
  const index = SMALL_NUMBERS.findIndex((word) => new RegExp(`\\b${word}\\b`, "i").test(said));
  return index === -1 ? undefined : index;
}

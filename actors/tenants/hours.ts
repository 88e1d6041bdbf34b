/** Opening hours: what the prompt says of them, and whether the business is open at an instant. */
import { DateTime } from "luxon";
import { type TenantConfig, WEEKDAYS, type Weekday } from "./tenant.js";

export interface Opening {
  readonly open: boolean;
  /** Local wall-clock time asked about, for the answer: `Tuesday 14:05`. */
  readonly local: string;
  readonly weekday: Weekday;
  /** That day's spans, `09:00-17:00`; empty when closed all day. */
  readonly spans: readonly string[];
}

/** Whether the tenant is open at `unixMs`, by its own hours and time zone. */
export function openingAt(tenant: TenantConfig, unixMs: number): Opening {
  const local = DateTime.fromMillis(unixMs, { zone: tenant.timeZone });
  const weekday = WEEKDAYS[local.weekday - 1]!;
  const time = local.toFormat("HH:mm");
  const spans = tenant.hours[weekday];
  return {
    open: spans.some((span) => span.open <= time && time < span.close),
    local: `${capitalised(weekday)} ${time}`,
    weekday,
    spans: spans.map((span) => `${span.open}-${span.close}`),
  };
}

/** One line for the prompt: days with the same hours are put together. */
export function describeHours(tenant: TenantConfig): string {
  const groups: { days: Weekday[]; spans: string }[] = [];
  for (const day of WEEKDAYS) {
    const spans = tenant.hours[day].map((span) => `${span.open}-${span.close}`).join(" and ") || "closed";
    const last = groups.at(-1);
    if (last?.spans === spans) last.days.push(day);
    else groups.push({ days: [day], spans });
  }
  return groups
    .map(({ days, spans }) => {
      const first = capitalised(days[0]!);
      const last = capitalised(days.at(-1)!);
      return `${days.length === 1 ? first : `${first} to ${last}`} ${spans}`;
    })
    .join(", ");
}

function capitalised(word: string): string {
  return word[0]!.toUpperCase() + word.slice(1);
}

/** Whether the business is open, now or at a time the caller names. */
import { DateTime } from "luxon";
import { z } from "zod";
import { type Opening, openingAt } from "#actors/tenants";
import { defineTool } from "./tool.js";

export const checkOpeningHours = defineTool({
  name: "check_opening_hours",
  description: "Tell whether the business is open now, or at a given local date and time.",
  parameters: z.strictObject({
    at: z
      .string()
      .max(40)
      .refine((text) => DateTime.fromISO(text).isValid, {
        error: "must be a local ISO date and time such as 2026-03-02T14:30",
      })
      .optional()
      .describe("Local date and time, ISO 8601 without zone, such as 2026-03-02T14:30. Left out: now."),
  }),
  run({ at }, { tenant, clock }) {
    const instant =
      at === undefined ? clock.unixMs() : DateTime.fromISO(at, { zone: tenant.timeZone }).toMillis();
    return { text: describe(openingAt(tenant, instant)) };
  },
});

function describe(opening: Opening): string {
  const hours = opening.spans.length === 0 ? "closed all day" : opening.spans.join(" and ");
  return `${opening.local}: ${opening.open ? "open" : "closed"}. Hours that day: ${hours}.`;
}

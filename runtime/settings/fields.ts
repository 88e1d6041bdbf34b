/** What a setting can be: each field reads the text of one environment variable and says what it must be. */
import { z } from "zod";

export interface SettingMeta {
  /** What it does, in a sentence; units and range included. */
  readonly help: string;
  /** How the page shows a default that is computed. */
  readonly shownDefault?: string;
  /** May be given as NAME_FILE, and is never printed. */
  readonly secret?: boolean;
  readonly [key: string]: unknown;
}

/** Schema of one process's settings: field names are the variables' own. */
export type SettingsSchema = z.ZodObject<Record<string, z.ZodType>>;

/** A whole number, both bounds included. */
export const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^-?\d+$/, "must be a whole number")
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error: `must be ${min} to ${max}` });

export const flag = () =>
  z
    .enum(["true", "false", "1", "0"], { error: "must be true or false" })
    .transform((text) => text === "true" || text === "1");

/** `protocols` with their colon: "https:". */
export const url = (...protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    error: `must be a URL starting with ${protocols.map((protocol) => `${protocol}//`).join(" or ")}`,
  });

export const text = () => z.string().min(1).max(4_096);

/** Says of a field what the page prints. */
export const meta = <T extends z.ZodType>(schema: T, settingMeta: SettingMeta): T => schema.meta(settingMeta);

export function settingMeta(schema: SettingsSchema, name: string): SettingMeta {
  return schema.shape[name]!.meta() as SettingMeta;
}

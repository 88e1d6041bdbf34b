/** Narrowing what servers send. */
export type Fields = Readonly<Record<string, unknown>>;

/** The JSON object a text is; null when it is none. */
export function parseFields(text: string): Fields | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Fields) : null;
  } catch {
    return null;
  }
}

/** Of an object its fields; of anything else none. */
export function fieldsOf(value: unknown): Fields {
  return (typeof value === "object" && value !== null ? value : {}) as Fields;
}

/** A text or a number as text; of anything else "". */
export function wordOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

/** Rows of a reference page from a schema's fields: name, what it may be, default, meaning. */

/** As zod writes it: what of it our schemas use. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly oneOf?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
}

/** Of an object's fields, those within fields after them. */
export function fieldRows(schema: JsonSchema, prefix = ""): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    const fallback =
      field.default === undefined
        ? schema.required?.includes(name)
          ? "required"
          : "unset"
        : `\`${JSON.stringify(field.default)}\``;
    const own = `| \`${path}\` | ${shape(field)} | ${field.properties ? "" : fallback} | ${field.description ?? ""} |`;
    return [own, ...fieldRows(field, `${path}.`)];
  });
}

function shape(field: JsonSchema): string {
  if (field.const !== undefined) return `\`${JSON.stringify(field.const)}\``;
  if (field.enum !== undefined) return field.enum.map((value) => `\`${String(value)}\``).join(", ");
  if (field.oneOf !== undefined) return field.oneOf.map(variant).join("; ");
  if (field.anyOf !== undefined) return field.anyOf.map(shape).join(", or ");
  if (field.items !== undefined) {
    const inner = field.items.properties
      ? `\`{${Object.keys(field.items.properties).join(", ")}}\``
      : shape(field.items);
    return `list of ${inner}${field.maxItems === undefined ? "" : `, at most ${field.maxItems}`}`;
  }
  const bounds = [
    rangeOf(field),
    field.maxLength === undefined ? "" : `at most ${field.maxLength} characters`,
  ].filter(Boolean);
  return [field.type ?? "", ...bounds].filter(Boolean).join(", ");
}

/** The bounds of whole numbers that JavaScript has are nobody's wish. */
function rangeOf({ minimum, exclusiveMinimum, maximum = Number.MAX_SAFE_INTEGER }: JsonSchema): string {
  const isOpen = maximum === Number.MAX_SAFE_INTEGER;
  if (exclusiveMinimum !== undefined) return `above ${exclusiveMinimum}${isOpen ? "" : `, up to ${maximum}`}`;
  if (minimum === undefined || minimum === Number.MIN_SAFE_INTEGER) return "";
  return isOpen ? `at least ${minimum}` : `${minimum} to ${maximum}`;
}

function variant({ properties = {}, description = "" }: JsonSchema): string {
  const { kind, ...rest } = properties;
  return [
    `\`${String(kind?.const)}\``,
    ...Object.keys(rest).map((name) => `with \`${name}\``),
    description && `(${description})`,
  ]
    .filter(Boolean)
    .join(" ");
}

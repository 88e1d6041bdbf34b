/** Field masks: which paths of a message a request sets, checked against the proto's own description. */
import { packageDefinition } from "#proto";
import { violated } from "#runtime/rpc";

interface Field {
  readonly name: string;
  readonly label: string;
  readonly type: string;
  readonly typeName: string;
}

/** Paths of a mask; a mask of thousands is nobody's. */
const PATHS_MAX = 100;

/**
 * `target` with the masked paths of `source`; an empty mask sets all of `allowed`. Messages on the way to a masked
 * field are made where they are absent.
 * @param message full name of the proto message both are of
 * @param allowed paths of the first level that may be set
 * @throws LumentraError REQUEST_INVALID for a path that is not there, or not allowed
 */
export function withMask<Message extends object>(
  message: string,
  target: Message,
  source: Message,
  paths: readonly string[],
  allowed: readonly string[],
): Message {
  if (paths.length > PATHS_MAX) {
    throw violated([{ field: "update_mask", description: `must have at most ${PATHS_MAX} paths` }]);
  }
  const result = structuredClone(target);
  for (const path of paths.length === 0 ? allowed : paths) {
    const names = path.split(".");
    if (!allowed.includes(names[0]!) || !exists(message, names)) {
      throw violated([
        { field: "update_mask", description: `has a path that cannot be set: ${path.slice(0, 100)}` },
      ]);
    }
    copy(result as Record<string, unknown>, source as Record<string, unknown>, names.map(camelCase));
  }
  return result;
}

function copy(
  target: Record<string, unknown>,
  source: Record<string, unknown> | null,
  [name, ...rest]: readonly string[],
): void {
  if (name === undefined) return;
  const value = source?.[name];
  if (rest.length === 0) {
    if (value === undefined) delete target[name];
    else target[name] = structuredClone(value);
    return;
  }
  const inner = { ...(target[name] as object | null) };
  target[name] = inner;
  copy(inner, (value ?? null) as Record<string, unknown> | null, rest);
}

/** Into messages, not into lists, maps or the branches of a oneof: those are set as a whole. */
function exists(message: string, [name, ...rest]: readonly string[]): boolean {
  const { field: fields, oneofDecl } = (
    packageDefinition[message] as unknown as { type: { field: Field[]; oneofDecl: { name: string }[] } }
  ).type;
  if (oneofDecl.some((oneof) => !oneof.name.startsWith("_"))) return false;
  const field = fields.find((field) => field.name === camelCase(name!));
  if (field === undefined || name !== snakeCase(field.name)) return false;
  if (rest.length === 0) return true;
  if (field.type !== "TYPE_MESSAGE" || field.label === "LABEL_REPEATED") return false;
  const inner = `${message.slice(0, message.lastIndexOf("."))}.${field.typeName}`;
  return inner in packageDefinition && exists(inner, rest);
}

function camelCase(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** What `lumentra up` makes once and keeps for itself, readable by its user alone. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { LumentraError } from "#runtime/errors";

const schema = z.strictObject({
  /** Signs node credentials and media tokens; 32 bytes, base64. */
  clusterKey: z.string().min(43),
  /** With it the node registers. */
  bootstrapToken: z.string().min(32),
  /** Encrypts tenants' secrets: `id:base64`, first encrypts. */
  secretKeys: z.string().min(40),
});

export type UpSecrets = z.infer<typeof schema>;

/** @throws LumentraError SETTING_INVALID when the file is there and is not ours. */
export async function loadUpSecrets(dataDirectory: string): Promise<UpSecrets> {
  const path = join(dataDirectory, "up.json");
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (text === null) return make(path, dataDirectory);
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new LumentraError(
      "SETTING_INVALID",
      `${path} is damaged. Without it tenants' secrets cannot be read: restore it, or remove it and set them again`,
      { cause },
    );
  }
}

async function make(path: string, dataDirectory: string): Promise<UpSecrets> {
  const key = (): string => randomBytes(32).toString("base64");
  const secrets: UpSecrets = {
    clusterKey: key(),
    bootstrapToken: randomBytes(32).toString("base64url"),
    secretKeys: `k1:${key()}`,
  };
  await mkdir(dataDirectory, { recursive: true });
  await writeFileAtomic(path, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 });
  return secrets;
}

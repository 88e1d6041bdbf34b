/**
 * Every error code there is, in one table; docs/ERRORS.md is checked against it by a test, and so is that each is used.
 *
 * Add a code, in the file of its layer, when some caller would act differently on it; otherwise add detail to an existing
 * one. Codes are never reused.
 */
import { controlPlaneErrors } from "./control-plane-errors.js";
import type { ErrorDefinition } from "./definition.js";
import { nodeErrors } from "./node-errors.js";
import { providerErrors } from "./provider-errors.js";

export const errorTable = {
  ...nodeErrors,
  ...providerErrors,
  ...controlPlaneErrors,
} as const satisfies Record<string, ErrorDefinition>;

export type ErrorCode = keyof typeof errorTable;

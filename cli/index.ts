/**
 * The command line: what `lumentra` does, and its own settings.
 *
 * ```ts
 * await buildProgram().parseAsync(["node", "lumentra", "tenant", "list"]);
 * ```
 */
export { buildProgram } from "./main.js";
export { cliSchema as settingsSchema } from "./settings.js";

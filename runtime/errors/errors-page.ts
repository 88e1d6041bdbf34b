/** docs/ERRORS.md, from the table. Run as a program it prints the page. */
import { pathToFileURL } from "node:url";
import type { ErrorDefinition } from "./definition.js";
import { errorTable } from "./table.js";

/** The page as it must stand in docs/ERRORS.md; a test compares them. */
export function renderErrorsPage(): string {
  const rows = Object.entries<ErrorDefinition>(errorTable).map(
    ([code, { retryable, grpcStatus, meaning, remedy }]) =>
      `| \`${code}\` | ${retryable ? "yes" : "no"} | ${grpcStatus} | ${meaning} | ${remedy} |`,
  );
  return [
    "# Error codes",
    "",
    "Branch on the code; messages are for people and may change. Codes are never reused.",
    "",
    "This page is generated: `npm run docs`.",
    "",
    "| code | worth retrying | gRPC status | meaning | what to do |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(renderErrorsPage());
}

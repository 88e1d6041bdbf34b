/** How commands end, for scripts; `lumentra --help` lists them. */
import { LumentraError } from "#runtime/errors";

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  denied: 4,
  unreachable: 5,
} as const;

export const EXIT_HELP = [
  "Exit codes:",
  "  0  done",
  "  1  it failed; the message says why",
  "  2  wrong usage, or a setting is wrong",
  "  3  there is no such thing",
  "  4  the API key is missing, unknown or does not allow it",
  "  5  nobody answers, or it took too long",
].join("\n");

export function exitCodeOf(error: unknown): number {
  if (!(error instanceof LumentraError)) return EXIT.failed;
  switch (error.code) {
    case "NOT_FOUND":
      return EXIT.notFound;
    case "UNAUTHENTICATED":
    case "PERMISSION_DENIED":
    case "SCOPE_NOT_GRANTABLE":
      return EXIT.denied;
    case "CONTROL_PLANE_UNREACHABLE":
    case "STORE_UNAVAILABLE":
    case "DIRECTORY_UNAVAILABLE":
    case "DEADLINE_EXCEEDED":
      return EXIT.unreachable;
    case "SETTING_INVALID":
    case "REQUEST_INVALID":
      return EXIT.usage;
    default:
      return EXIT.failed;
  }
}

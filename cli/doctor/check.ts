/** A check of `lumentra doctor`: what was found and, if it is not well, what to do. */
export type Verdict = "ok" | "warn" | "fail";

export interface Finding {
  readonly verdict: Verdict;
  /** What was found, in a sentence. */
  readonly found: string;
  /** What to do; empty when all is well. */
  readonly remedy: string;
}

export interface Check {
  readonly name: string;
  /** A throw counts as a failed check. */
  run(): Promise<Finding>;
}

export const ok = (found: string): Finding => ({ verdict: "ok", found, remedy: "" });
export const warn = (found: string, remedy: string): Finding => ({ verdict: "warn", found, remedy });
export const fail = (found: string, remedy: string): Finding => ({ verdict: "fail", found, remedy });

/** A check that takes longer has found out enough. */
const CHECK_TIMEOUT_MS = 5_000;

export interface CheckResult extends Finding {
  readonly name: string;
}

/** All at once; results in the order given. */
export function runChecks(checks: readonly Check[]): Promise<readonly CheckResult[]> {
  return Promise.all(
    checks.map(async (check) => {
      let timer: NodeJS.Timeout | undefined;
      const timeout = new Promise<Finding>((resolve) => {
        timer = setTimeout(
          () =>
            resolve(
              fail(`no answer in ${CHECK_TIMEOUT_MS / 1000} s`, "See whether it can be reached from here."),
            ),
          CHECK_TIMEOUT_MS,
        );
      });
      try {
        return { name: check.name, ...(await Promise.race([check.run(), timeout])) };
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        return { name: check.name, ...fail(message, "See the message.") };
      } finally {
        clearTimeout(timer);
      }
    }),
  );
}

/**
 * Asks again while no control plane answers: for questions of a call whose caller is on the line, and which nobody else
 * can answer. The node's stream may be down while another control plane answers at once.
 */
import type { Clock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";

/** As soon as the channel tries again itself. */
const AGAIN_MS = 100;

/** `ask` is told how much is left of `withinMs`. @throws LumentraError its last one */
export async function whileUnreachable<Answer>(
  clock: Clock,
  withinMs: number,
  ask: (deadlineMs: number) => Promise<Answer>,
): Promise<Answer> {
  const untilMs = clock.nowMs() + withinMs;
  for (;;) {
    try {
      return await ask(untilMs - clock.nowMs());
    } catch (error) {
      const isAway = error instanceof LumentraError && error.code === "CONTROL_PLANE_UNREACHABLE";
      if (!isAway || clock.nowMs() + AGAIN_MS >= untilMs) throw error;
    }
    await new Promise<void>((resolve) => clock.setTimer(AGAIN_MS, resolve));
  }
}

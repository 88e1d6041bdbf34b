/** What the audio path counts: plain numbers, moved into the metrics when somebody asks for them. */
import type { Metrics } from "#runtime/telemetry";

export class EdgeCounters {
  framesIn = 0;
  framesOut = 0;
  silenceFilledMs = 0;
  clears = 0;

  moveInto(metrics: Metrics): void {
    metrics.edgeMediaFrames.inc({ direction: "in" }, this.framesIn);
    metrics.edgeMediaFrames.inc({ direction: "out" }, this.framesOut);
    metrics.edgeSilenceFilledMs.inc(this.silenceFilledMs);
    metrics.edgeClears.inc(this.clears);
    this.framesIn = 0;
    this.framesOut = 0;
    this.silenceFilledMs = 0;
    this.clears = 0;
  }
}

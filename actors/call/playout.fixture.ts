/** A playout alone on virtual time, its ring, and the edge's side of it. */
import { VirtualClock } from "#runtime/actor";
import { Arena, MULAW_8K } from "#runtime/media";
import { EchoGuard } from "#actors/speech";
import { Playout } from "./playout.js";

export function alonePlayout(outRecordCount?: number) {
  const arena = Arena.create({ slotCount: 1, ...(outRecordCount !== undefined && { outRecordCount }) });
  const clock = new VirtualClock();
  const echoGuard = new EchoGuard();
  const playout = new Playout({
    clock,
    ring: arena.shardSide(0).out,
    format: MULAW_8K,
    echoGuard,
    wakeEdge: () => {},
    guard: (body) => body(),
  });
  return { clock, playout, echoGuard, out: arena.edgeSide(0).out };
}

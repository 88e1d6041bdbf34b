import t from "tap";
import { Arena, RecordKind } from "#runtime/media";
import { LegOwner } from "./leg-owner.js";

function owned() {
  const arena = Arena.create({ slotCount: 2 });
  const rung: string[] = [];
  const owner = new LegOwner(arena.edgeSide(0), () => rung.push("first"));
  const follow = (epoch: number): void =>
    owner.follow(arena.edgeSide(1), () => rung.push("second"), epoch, []);
  return { arena, owner, rung, follow };
}

void t.test("a mark comes back to its epoch alone; one that is not of ours is told apart", async (t) => {
  const { owner } = owned();
  const name = owner.markName(3, 70_000);
  t.equal(owner.takeEcho(name, 4), null, "after a cut it tells nothing");
  t.equal(owner.echoedMark, null);
  t.equal(owner.takeEcho(name, 3), 70_000);
  t.equal(owner.echoedMark, 70_000);
  owner.cleared();
  t.equal(owner.echoedMark, null);
  for (const strange of ["", "7", "a.b", "1.2.3", "-1.0", "12345678901.1"])
    t.equal(owner.takeEcho(strange, 3), false, strange);
});

void t.test(
  "no mark of an earlier owner is taken for one of the next, though both count from 0",
  async (t) => {
    const { owner, follow } = owned();
    const earlier = [0, 1, 2].map((epoch) => owner.markName(epoch, 5));
    owner.takeEcho(earlier[2]!, 2);
    follow(2);
    t.equal(owner.echoedMark, null);
    const later = [0, 1, 2].map((epoch) => owner.markName(epoch, 5));
    t.equal(new Set([...earlier, ...later]).size, 6);
    for (const epoch of [0, 1, 2]) {
      for (const name of earlier) t.equal(owner.takeEcho(name, epoch), null);
      t.equal(owner.takeEcho(later[epoch]!, epoch), 5);
    }
  },
);

void t.test("events go into the rings of the present owner, and ring its shard", async (t) => {
  const { arena, owner, rung, follow } = owned();
  owner.writeU32(RecordKind.cueSent, 1, 9);
  follow(0);
  owner.writeByte(RecordKind.dtmf, 2, 0x31);
  t.same(rung, ["first", "second"]);
  for (const [slot, kind] of [RecordKind.cueSent, RecordKind.dtmf].entries()) {
    const { in: ring } = arena.shardSide(slot);
    t.ok(ring.read());
    t.equal(ring.kind, kind);
    t.notOk(ring.read());
  }
});

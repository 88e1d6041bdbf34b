import t from "tap";
import { FRAME_MS, MULAW_8K } from "#runtime/media";
import type { EchoGuard } from "#actors/speech";
import { PlayoutEcho } from "./playout-echo.js";

const FRAME_BYTES = FRAME_MS * 8;
const quiet = (bytes: number) => new Uint8Array(bytes).fill(0xff);
const loud = (bytes: number) => Uint8Array.from({ length: bytes }, (_, at) => (at % 8 < 4 ? 0x10 : 0x90));

function set() {
  const sent: { readonly isLoud: boolean; readonly atMs: number }[] = [];
  const maybe: { readonly isLoud: boolean; readonly atMs: number }[] = [];
  const guard: Pick<EchoGuard, "noteSentLevel" | "noteMaybe"> = {
    noteSentLevel: (levelDb, atMs) => void sent.push({ isLoud: levelDb > -40, atMs }),
    noteMaybe: (levelDb, atMs) => void maybe.push({ isLoud: levelDb > -40, atMs }),
  };
  return { echo: new PlayoutEcho(guard, MULAW_8K), sent, maybe };
}

void t.test("each whole frame is told once, at the instant it was played, however it came", async (t) => {
  const { echo, sent } = set();
  echo.audio(loud(FRAME_BYTES + 30)); // a voice's pieces are no frames
  echo.audio(quiet(FRAME_BYTES - 30));
  echo.start(1_000);
  echo.notePlayed(FRAME_MS - 1, 1_019);
  t.same(sent, [], "not before its end");
  echo.notePlayed(FRAME_MS + 5, 1_025);
  echo.notePlayed(FRAME_MS + 5, 1_025);
  t.same(sent, [{ isLoud: true, atMs: 1_000 }]);
  echo.notePlayed(2 * FRAME_MS, 2_040); // a mark tells late that more was played
  t.same(sent.slice(1), [{ isLoud: true, atMs: 2_020 }], "some of it was loud");
});

void t.test(
  "PE1: what may play reaches from the last mark to where the clock could be, and no further",
  async (t) => {
    const { echo, maybe } = set();
    echo.audio(loud(FRAME_BYTES));
    echo.audio(quiet(4 * FRAME_BYTES));
    echo.audio(loud(FRAME_BYTES));
    echo.noteMaybe(0, 120, 500);
    t.same(maybe, [], "nothing has left");
    echo.start(1_000);
    echo.noteMaybe(0, 120, 1_010);
    echo.noteMaybe(20, 120, 1_100);
    echo.noteMaybe(20, 120, 1_101);
    echo.noteMaybe(20, 100, 9_000);
    t.same(
      maybe.map(({ isLoud }) => isLoud),
      [true, false, true, false],
      "the first word; the pause behind its mark; the next; but not while it is not written",
    );
  },
);

void t.test("another owner's audio is loud, though nobody here has heard it", async (t) => {
  const { echo, maybe } = set();
  echo.noteQueued(700);
  t.same(maybe, [{ isLoud: true, atMs: 700 }]);
});

void t.test("the next reply begins at its own first frame", async (t) => {
  const { echo, sent, maybe } = set();
  echo.audio(loud(3 * FRAME_BYTES));
  echo.start(1_000);
  echo.notePlayed(60, 1_060);
  echo.reset();
  sent.length = 0;
  echo.noteMaybe(0, 60, 1_080);
  t.same(maybe, []);
  echo.audio(quiet(FRAME_BYTES));
  echo.start(2_000);
  echo.notePlayed(FRAME_MS, 2_020);
  t.same(sent, [{ isLoud: false, atMs: 2_000 }]);
});

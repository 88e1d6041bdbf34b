import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { silentLogger } from "#runtime/telemetry";
import { VOICE_FILES_MAX, VOICE_FILE_UNUSED_DAYS, trimVoiceFiles, voiceDirectory } from "./voice-files.js";

const NOW_UNIX_MS = 1_700_000_000_000;
const DAY_MS = 86_400_000;

function folder(t: Test) {
  const data = mkdtempSync(join(tmpdir(), "voice-files-"));
  t.teardown(() => rmSync(data, { recursive: true }));
  const directory = voiceDirectory(data);
  mkdirSync(directory);
  return {
    data,
    names: () => readdirSync(directory).sort(),
    put: (name: string, daysAgo: number): void => {
      const path = join(directory, name);
      writeFileSync(path, "{}");
      const usedAtS = (NOW_UNIX_MS - daysAgo * DAY_MS) / 1_000;
      utimesSync(path, usedAtS, usedAtS);
    },
  };
}

const phrase = (index: number) => `${index.toString(16).padStart(40, "0")}.json`;

void t.test("phrases nobody used for a month go, interrupted ones too; other files stay", async (t) => {
  const { data, names, put } = folder(t);
  put(phrase(1), VOICE_FILE_UNUSED_DAYS + 1);
  put(phrase(2), VOICE_FILE_UNUSED_DAYS - 1);
  put(`${phrase(3)}.123e4567-e89b-12d3-a456-426614174000`, VOICE_FILE_UNUSED_DAYS + 1);
  put("notes.txt", VOICE_FILE_UNUSED_DAYS + 1);
  t.equal(await trimVoiceFiles(data, NOW_UNIX_MS, silentLogger), 2);
  t.same(names(), [phrase(2), "notes.txt"]);
});

void t.test("above their number the longest unused go", async (t) => {
  const { data, names, put } = folder(t);
  for (let index = 0; index < VOICE_FILES_MAX + 2; index++)
    put(phrase(index), index === 7 ? 3 : index === 9 ? 2 : 1);
  t.equal(await trimVoiceFiles(data, NOW_UNIX_MS, silentLogger), 2);
  const left = names();
  t.equal(left.length, VOICE_FILES_MAX);
  t.notOk(left.includes(phrase(7)) || left.includes(phrase(9)));
});

void t.test("no folder yet: nothing to do", async (t) => {
  t.equal(await trimVoiceFiles("/nonexistent/lumentra", NOW_UNIX_MS, silentLogger), 0);
});

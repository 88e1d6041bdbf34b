import { EventEmitter } from "node:events";
import {
  type FSWatcher,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { SystemClock } from "#runtime/actor";
import { silentLogger } from "#runtime/telemetry";
import { FileTenantDirectory, type FileTenantOptions, parseTenantsFile } from "./file-directory.js";
import { renderTenantsPage } from "./tenants-page.js";

const folder = mkdtempSync(join(tmpdir(), "lumentra-tenants-"));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

function setUp(check?: FileTenantOptions["check"]): { path: string; directory: FileTenantDirectory } {
  const path = join(mkdtempSync(join(folder, "tenants-")), "tenants.json");
  copyFileSync("config/tenants.json", path);
  return {
    path,
    directory: new FileTenantDirectory({
      path,
      clock: new SystemClock(),
      log: silentLogger,
      ...(check && { check }),
    }),
  };
}

void t.test("tenants are found by dialled number and by id", async (t) => {
  const { directory } = setUp();
  t.equal(directory.byNumber("+12025550102")?.id, "trattoria-lucia");
  t.equal(directory.byId("bright-smile-dental")?.name, "Bright Smile Dental");
  t.equal(directory.byNumber("+12025550199"), undefined);
  directory.close();
});

void t.test("a changed file is taken over without touching what calls hold", async (t) => {
  const { path, directory } = setUp();
  const before = directory.byId("trattoria-lucia")!;
  const changed = new Promise<void>((resolve) => directory.onChange(() => resolve()));
  const next = `${path}.new`;
  writeFileSync(next, readFileSync(path, "utf8").replace('"Marco"', '"Gina"'));
  renameSync(next, path); // as editors do
  await changed;
  t.equal(directory.byId("trattoria-lucia")!.agentName, "Gina");
  t.equal(before.agentName, "Marco");
  directory.close();
});

void t.test("a version that is wrong is refused and the last good one stays", async (t) => {
  const { path, directory } = setUp();
  writeFileSync(path, "{ nonsense");
  t.equal(directory.reload(), false);
  t.ok(directory.byNumber("+12025550101"));
  directory.close();
});

void t.test(
  "tenants that cannot be served here stop the first load and are refused on a reload",
  async (t) => {
    let isServable = true;
    const check = (): void => {
      if (!isServable) throw new Error("no provider");
    };
    const { directory } = setUp(check);
    isServable = false;
    t.equal(directory.reload(), false);
    t.ok(directory.byNumber("+12025550101"), "the last good version stays");
    t.throws(() => setUp(check), /no provider/);
    directory.close();
  },
);

void t.test("a watch that fails, at once or later, is logged, and the tenants stay", async (t) => {
  const errors: string[] = [];
  const log = { ...silentLogger, error: (_fields: object, message: string) => errors.push(message) };
  const noWatches = () => {
    throw Object.assign(new Error("no space left for watches"), { code: "ENOSPC" });
  };
  const clock = new SystemClock();
  const blind = new FileTenantDirectory({ path: "config/tenants.json", clock, log, watchFolder: noWatches });
  t.equal(errors.length, 1);
  t.ok(blind.byNumber("+12025550101"));
  blind.close();

  const watcher = Object.assign(new EventEmitter(), { close: () => {} }) as unknown as FSWatcher;
  const watched = new FileTenantDirectory({
    path: "config/tenants.json",
    clock,
    log,
    watchFolder: () => watcher,
  });
  watcher.emit("error", new Error("the folder is gone"));
  t.equal(errors.length, 2);
  t.ok(watched.reload(), "by hand it still can be");
  watched.close();
});

void t.test("the schema names the place and the reason", async (t) => {
  const file = JSON.parse(readFileSync("config/tenants.json", "utf8")) as {
    tenants: Record<string, unknown>[];
  };
  const path = join(mkdtempSync(join(folder, "tenants-")), "tenants.json");
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ numbers: ["555-0101"] }, /E\.164[\s\S]*tenants\[0\]\.numbers/],
    [{ numbers: ["+12025550102"] }, /already used by tenant/],
    [{ timeZone: "Mars/Olympus" }, /IANA zone/],
    [{ hours: { monday: [{ open: "18:00", close: "09:00" }] } }, /close must be after open/],
    [{ colour: "blue" }, /colour/],
  ];
  for (const [change, expected] of wrong) {
    writeFileSync(path, JSON.stringify({ tenants: [{ ...file.tenants[0], ...change }, file.tenants[1]] }));
    t.throws(() => parseTenantsFile(path), { code: "TENANT_CONFIG_INVALID", message: expected });
  }
});

void t.test("docs/TENANTS.md is what the schema says", async (t) => {
  t.equal(readFileSync("docs/TENANTS.md", "utf8"), renderTenantsPage());
});

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t, { type Test } from "tap";
import { placeCall } from "#bench/caller";
import { startTestStore } from "../control-plane/store/store.fixture.js";

const CLI = "dist/cli/main.js";

interface Up {
  readonly child: ChildProcess;
  readonly edgeUrl: string;
  readonly address: string;
  /** Everything it has printed on standard error. */
  printed(): string;
  readonly exited: Promise<number | null>;
}

/** `lumentra up` on free ports, over this folder. */
function spawnUp(folder: string) {
  return spawn(process.execPath, [CLI, "up"], {
    env: {
      PATH: process.env["PATH"] ?? "",
      LUMENTRA_DATA_DIR: folder,
      LUMENTRA_EDGE_HOST: "127.0.0.1",
      LUMENTRA_EDGE_PORT: "0",
      LUMENTRA_ADMIN_PORT: "0",
      LUMENTRA_GRPC_PORT: "0",
      LUMENTRA_CONTROL_PLANE_ADMIN_PORT: "0",
      LUMENTRA_SHARDS: "1",
      LUMENTRA_DRAIN_GRACE_S: "0",
      LUMENTRA_LOG_LEVEL: "warn",
      LUMENTRA_READY_JSON: "true",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Resolves when it serves. */
async function startUp(t: Test, folder: string): Promise<Up> {
  const child = spawnUp(folder);
  let text = "";
  child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  t.teardown(async () => {
    child.kill("SIGTERM");
    await exited;
  });
  const lines = createInterface({ input: child.stdout });
  const ports = await new Promise<{ edgePort: number; grpcPort: number }>((resolve, reject) => {
    lines.on("line", (line) => resolve(JSON.parse(line) as { edgePort: number; grpcPort: number }));
    void exited.then((code) => reject(new Error(`up ended with ${code}: ${text}`)));
  });
  // The two streams are two pipes: what was written first need not arrive first.
  while (!text.includes("Ctrl-C drains")) await new Promise((resolve) => child.stderr.once("data", resolve));
  return {
    child,
    edgeUrl: `http://127.0.0.1:${ports.edgePort}`,
    address: `127.0.0.1:${ports.grpcPort}`,
    printed: () => text,
    exited,
  };
}

function lumentra(
  environment: Readonly<Record<string, string>>,
  ...parameters: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [CLI, ...parameters],
      { env: { PATH: process.env["PATH"] ?? "", ...environment } },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

// Two starts and twenty commands, each a process: half a minute, and several where others have the processor.
t.setTimeout(310_000);

void t.test("a newcomer's first minutes, and the second start", { timeout: 300_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "lumentra-up-"));
  chmodSync(folder, 0o711); // as root, the embedded Postgres is nobody's
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const up = await startUp(t, folder);
  const [, key = ""] = /export LUMENTRA_API_KEY=(lk_\S+)/.exec(up.printed()) ?? [];
  t.match(key, /^lk_\w{8}_[\w-]{43}$/, "the key is printed, ready to paste");
  t.match(up.printed(), /emulated/, "and what is emulated");
  t.equal(statSync(join(folder, "up.json")).mode & 0o077, 0, "what it keeps is its user's alone");
  const own = { LUMENTRA_API_ADDRESS: up.address, LUMENTRA_API_KEY: key };
  const json = async (...parameters: string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await lumentra(own, "--json", ...parameters);
    t.equal(code, 0, `${parameters.join(" ")} ${stderr}`);
    return JSON.parse(stdout);
  };

  const watch = spawn(process.execPath, [CLI, "--json", "call", "watch"], {
    env: { PATH: process.env["PATH"] ?? "", ...own },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => watch.kill("SIGKILL"));
  const watched: { id: string; state: string }[] = [];
  createInterface({ input: watch.stdout }).on("line", (line) => watched.push(JSON.parse(line) as never));
  const watchExited = new Promise<number | null>((resolve) => watch.once("close", resolve));

  const call = await placeCall({ nodeUrl: up.edgeUrl, to: "+12025550101" });
  await call.waitForReply(0);
  const live = (await json("call", "list", "--state", "live")) as { id: string }[];
  t.equal(live.length, 1, "the call is seen while it lasts");
  call.dtmf("1"); // a caller of whom nothing comes is hung up on, which slow commands would take for theirs
  await json("call", "hang-up", live[0]!.id);
  t.equal((await call.ended).outcome.kind, "agentHungUp", "and is ended from the terminal");
  t.match(call.heardText(), /bye/i, "with a goodbye");
  const [ended] = (await poll(
    () => json("call", "list"),
    (rows) => (rows as { outcome: string }[])[0]?.outcome !== "",
  )) as { outcome: string }[];
  t.equal(ended?.outcome, "operatorHungUp");
  await poll(
    () => Promise.resolve(watched.at(-1)?.state),
    (state) => state === "CALL_STATE_ENDED",
  );
  t.match(watched[0], { id: live[0]!.id, state: "CALL_STATE_LIVE" }, "the watch saw it come");
  t.match(watched.at(-1), { id: live[0]!.id, state: "CALL_STATE_ENDED" }, "and go");
  watch.kill("SIGINT");
  t.equal(await watchExited, 0, "a watch is ended by Ctrl-C, and well");
  const journal = await lumentra(own, "call", "watch", live[0]!.id);
  t.equal(journal.code, 0, "the journal of a call that is over ends by itself");
  t.match(journal.stdout, /call started: bright-smile-dental[^]*call ended: operatorHungUp/);

  t.match(await json("tenant", "list"), [{ id: "bright-smile-dental" }, { id: "trattoria-lucia" }]);
  t.match(await json("tenant", "suspend", "trattoria-lucia"), { suspended: true });
  t.match(await json("number", "move", "+12025550102", "bright-smile-dental"), {
    tenantId: "bright-smile-dental",
  });
  t.match(await json("usage", "--by", "tenant"), [{ tenantId: "bright-smile-dental", calls: 1 }]);
  const table = await lumentra(own, "tenant", "list");
  t.match(table.stdout, /bright-smile-dental.*Bright Smile Dental.*active/, "people get a table");

  const failing = [
    { why: "no such thing", code: 3, environment: own, parameters: ["tenant", "get", "nobody"] },
    { why: "not with this key", code: 4, environment: own, parameters: ["node", "list"] },
    {
      why: "nobody's key",
      code: 4,
      environment: { ...own, LUMENTRA_API_KEY: "lk_wrong" },
      parameters: ["tenant", "list"],
    },
    {
      why: "nobody there",
      code: 5,
      environment: { ...own, LUMENTRA_API_ADDRESS: "127.0.0.1:1" },
      parameters: ["tenant", "list"],
    },
    { why: "wrong usage", code: 2, environment: own, parameters: ["tenant", "lisst"] },
    {
      why: "an unknown setting",
      code: 2,
      environment: { ...own, LUMENTRA_EGDE: "1" },
      parameters: ["tenant", "list"],
    },
  ];
  const failures = failing.map(async ({ why, code, environment, parameters }) => {
    t.equal((await lumentra(environment, ...parameters)).code, code, why);
  });
  await Promise.all(failures);
  const help = await lumentra({}, "key", "create", "--help");
  t.equal(help.code, 0);
  t.match(help.stdout, /Example:/);

  up.child.kill("SIGTERM");
  t.equal(await up.exited, 0, "it drains and ends well");
  t.notOk(readFileSync(join(folder, "up.json"), "utf8").includes(key), "the key is kept nowhere");

  const again = await startUp(t, folder);
  t.notMatch(again.printed(), /LUMENTRA_API_KEY/, "keys are shown once");
  const later = { ...own, LUMENTRA_API_ADDRESS: again.address };
  const { stdout } = await lumentra(later, "--json", "call", "list");
  t.match(JSON.parse(stdout), [{ outcome: "operatorHungUp" }], "what happened before is still there");
});

void t.test("a deployment's first operator key", async (t) => {
  const { appUrl } = await startTestStore(t);
  const first = await lumentra({ DATABASE_URL: appUrl }, "--json", "key", "bootstrap");
  t.equal(first.code, 0, first.stderr);
  t.match((JSON.parse(first.stdout) as { secret: string }).secret, /^lk_\w{8}_[\w-]{43}$/);
  const second = await lumentra({ DATABASE_URL: appUrl }, "key", "bootstrap");
  t.equal(second.code, 1);
  t.match(second.stderr, /works already/);
  t.equal((await lumentra({}, "key", "bootstrap")).code, 2);
});

void t.test("doctor finds what is wrong and says what to do", async (t) => {
  const environment = { LUMENTRA_DATA_DIR: mkdtempSync(join(tmpdir(), "lumentra-doctor-")) };
  t.teardown(() => rmSync(environment.LUMENTRA_DATA_DIR, { recursive: true, force: true }));
  const broken = await lumentra(
    { ...environment, DATABASE_URL: "postgres://u:p@127.0.0.1:1/x", REDIS_URL: "redis://127.0.0.1:1" },
    "--json",
    "doctor",
  );
  t.equal(broken.code, 1);
  const results = JSON.parse(broken.stdout) as { name: string; verdict: string; remedy: string }[];
  const verdicts = Object.fromEntries(results.map(({ name, verdict }) => [name, verdict]));
  t.match(verdicts, {
    "Node.js": "ok",
    settings: "ok",
    Postgres: "fail",
    Redis: "fail",
    "other providers": "warn",
  });
  t.same(
    results.filter(({ verdict, remedy }) => verdict !== "ok" && remedy === ""),
    [],
    "each has a remedy",
  );
  t.notMatch(broken.stdout, /u:p@/, "and no password");
  const wrong = await lumentra({ ...environment, LUMENTRA_EDGE_PORT: "x" }, "--json", "doctor");
  t.equal(wrong.code, 1);
  t.match(wrong.stdout, /LUMENTRA_EDGE_PORT must be a whole number/);
});

/** However long it takes: a test that waits in vain runs out of its own time. */
async function poll(ask: () => Promise<unknown>, holds: (answer: unknown) => boolean): Promise<unknown> {
  for (;;) {
    const answer = await ask();
    if (holds(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** It was heeded when all was up: a minute later, on a slow machine, and longer than whoever stops services waits. */
void t.test("a signal while it starts ends what is up by then, and nothing more is started", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "lumentra-up-"));
  chmodSync(folder, 0o711);
  const child = spawnUp(folder);
  let text = "";
  const saysPostgres = new Promise<void>((resolve) => {
    child.stderr.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("ready to accept connections")) resolve();
    });
  });
  child.stdout.resume();
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  t.teardown(async () => {
    child.kill("SIGKILL");
    await exited;
    rmSync(folder, { recursive: true, force: true });
  });
  await saysPostgres;
  child.kill("SIGTERM");
  t.equal(await exited, 0, text);
  t.notMatch(text, /Lumentra is up|Lumentra answers/);
});

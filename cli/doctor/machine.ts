/** Checks of the machine: Node, the edge's thread, ports, the data folder. */
import { access, constants, mkdir, statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { type RaiseOutcome, raiseOwnThread, restoreOwnThread } from "#runtime/cluster";
import { type Check, type Finding, fail, ok, warn } from "./check.js";

/** Voice caches, spool and an embedded database fit in it with room to spare. */
const FREE_SPACE_MIN_BYTES = 1024 ** 3;

export const nodeVersionCheck: Check = {
  name: "Node.js",
  run: () => {
    const major = Number(process.versions.node.split(".")[0]);
    return Promise.resolve(
      major === 20 || major === 22
        ? ok(process.version)
        : fail(process.version, "Use Node 20 or 22: the media edge has no binary for others."),
    );
  },
};

/** Whether a node started like this process may give its edge's thread this niceness. */
export function edgePriorityCheck(nice: number): Check {
  return {
    name: "edge's priority",
    run: () => {
      if (nice === 0) return Promise.resolve(ok("as set, the edge's thread has none"));
      const outcome = raiseOwnThread(nice);
      restoreOwnThread();
      return Promise.resolve(priorityFound(nice, outcome));
    },
  };
}

function priorityFound(nice: number, outcome: RaiseOutcome): Finding {
  switch (outcome.kind) {
    case "raised":
      return ok(`the edge's thread may have niceness ${nice}`);
    case "already":
      return ok(`all threads have niceness ${outcome.nice} from how this was started`);
    case "unknown":
      return ok(`${outcome.platform} gives a thread none of its own`);
    case "refused":
      return warn(
        `the edge's thread stays as it is: ${outcome.why}`,
        `Give the process CAP_SYS_NICE (systemd: LimitNICE=${nice}; containers: --cap-add SYS_NICE): where processors are short audio else leaves late.`,
      );
    default:
      return outcome satisfies never;
  }
}

/** Whether a port can be opened; `mayBeOurs`: when it is taken, asks whether one of ours has it. */
export function portCheck(
  name: string,
  host: string,
  port: number,
  setting: string,
  mayBeOurs: () => Promise<boolean>,
): Check {
  return {
    name,
    run: async () => {
      if (port === 0) return ok("any free port");
      const code = await tryListen(host, port);
      if (code === null) return ok(`${host}:${port} is free`);
      if (code === "EADDRINUSE" && (await mayBeOurs())) return ok(`${host}:${port} is served by Lumentra`);
      if (code === "EADDRINUSE")
        return fail(`${host}:${port} is taken by another program`, `Stop it, or set ${setting}.`);
      if (code === "EACCES")
        return fail(`${host}:${port} may not be opened`, `Set ${setting} to a port above 1023.`);
      return fail(`${host}:${port}: ${code}`, `Set the host to an address of this machine.`);
    },
  };
}

function tryListen(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

export function dataFolderCheck(directory: string): Check {
  return {
    name: "data folder",
    run: async () => {
      await mkdir(directory, { recursive: true });
      try {
        await access(directory, constants.W_OK);
      } catch {
        return fail(
          `${directory} cannot be written`,
          "Give the process the right to, or set LUMENTRA_DATA_DIR.",
        );
      }
      const { bavail, bsize } = await statfs(directory);
      const free = bavail * bsize;
      const shown = `${directory}, ${(free / 1024 ** 3).toFixed(1)} GiB free`;
      return free >= FREE_SPACE_MIN_BYTES
        ? ok(shown)
        : warn(shown, "Make room: journals spool there while the control plane is away.");
    },
  };
}

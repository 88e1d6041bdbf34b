import t from "tap";
import { checkProcesses, environmentOfProcess } from "./processes.js";
import { resolveSettings } from "./settings.js";

const MANY = {
  DEEPGRAM_API_KEY: "a",
  GROQ_API_KEY: "b",
  CARTESIA_API_KEY: "c",
  LUMENTRA_PROCESSES: "2",
  LUMENTRA_EDGE_PORT: "8080",
  LUMENTRA_SHARDS: "15",
  LUMENTRA_CONTROL_PLANE: "control.example.test:7000",
  LUMENTRA_BOOTSTRAP_TOKEN: "x".repeat(32),
};

void t.test("each process has its own id, ports and folder, and they share one port", async (t) => {
  const settings = resolveSettings({
    ...MANY,
    LUMENTRA_PUBLIC_URL: "https://media.example.test/p{process}",
    LUMENTRA_WEBHOOK_URL: "https://calls.example.test",
    LUMENTRA_DATA_DIR: "/data",
  });
  checkProcesses(settings);
  const [first, second] = [0, 1].map((index) => environmentOfProcess(settings, "edge-a", index));
  t.match(first, {
    LUMENTRA_PROCESSES: "1",
    LUMENTRA_SHARED_PORT: "8080",
    LUMENTRA_EDGE_PORT: "8081",
    LUMENTRA_ADMIN_PORT: "9091",
    LUMENTRA_NODE_ID: "edge-a-0",
    LUMENTRA_DATA_DIR: "/data/process-0",
    LUMENTRA_SHARDS: "7",
    LUMENTRA_PUBLIC_URL: "https://media.example.test/p0",
    LUMENTRA_WEBHOOK_URL: "https://calls.example.test",
  });
  t.match(second, {
    LUMENTRA_SHARED_PORT: "8080",
    LUMENTRA_EDGE_PORT: "8082",
    LUMENTRA_ADMIN_PORT: "9092",
    LUMENTRA_NODE_ID: "edge-a-1",
    LUMENTRA_PUBLIC_URL: "https://media.example.test/p1",
  });
});

void t.test("what several processes cannot work with stops the start with a sentence", async (t) => {
  const wrong: [Record<string, string | undefined>, RegExp][] = [
    [{ LUMENTRA_CONTROL_PLANE: undefined }, /needs LUMENTRA_CONTROL_PLANE/],
    [{ LUMENTRA_EDGE_PORT: "0" }, /EDGE_PORT that is not 0/],
    [{ LUMENTRA_SHARED_PORT: "8000" }, /sets LUMENTRA_SHARED_PORT/],
    [{ LUMENTRA_PUBLIC_URL: "https://media.example.test" }, /\{process\} in LUMENTRA_PUBLIC_URL/],
    [{ LUMENTRA_PUBLIC_URL: "https://m{process}.example.test" }, /need LUMENTRA_WEBHOOK_URL/],
  ];
  for (const [change, message] of wrong) {
    const settings = resolveSettings({ ...MANY, ...change });
    t.throws(() => checkProcesses(settings), { code: "SETTING_INVALID", message });
  }
});

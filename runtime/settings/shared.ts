/** Settings that every process of ours reads the same way; each schema spreads those it wants. */
import { z } from "zod";
import { flag, meta, text } from "./fields.js";

export const sharedSettings = {
  LUMENTRA_DATA_DIR: meta(text().default(".lumentra"), {
    help: "Folder for what survives a restart: cached audio, cached tenants, spooled journals, messages that callers left, the embedded Postgres.",
  }),
  LUMENTRA_INSECURE: meta(flag().default(false), {
    help: "Allow gRPC in clear text on addresses other than loopback. For networks that encrypt by themselves.",
  }),
  LUMENTRA_LOG_LEVEL: meta(z.enum(["debug", "info", "warn", "error", "silent"]).default("info"), {
    help: "Least severe log line that is written.",
  }),
  LUMENTRA_LOG_PII: meta(flag().default(false), {
    help: "Write what callers say and dial into the logs' pii fields; otherwise they are masked.",
  }),
  LUMENTRA_READY_JSON: meta(flag().default(false), {
    help: "Print one JSON line with the ports on standard output once the process serves.",
  }),
} as const;

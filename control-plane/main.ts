/** A control plane's process; `lumentra control-plane` is the same. See run.ts. */
import { runControlPlane } from "./run.js";

process.exit(await runControlPlane(process.env));

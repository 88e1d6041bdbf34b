/** A media node's process; `lumentra node` is the same. See run.ts. */
import { runNode } from "./run.js";

process.exit(await runNode(process.env));

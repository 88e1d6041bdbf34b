/** A media node's process; `lumentra node` is the same. See run.ts. */
import { keepYoungHeapsSmall } from "#runtime/heap";

keepYoungHeapsSmall();
const { runNode } = await import("./run.js");

process.exit(await runNode(process.env));

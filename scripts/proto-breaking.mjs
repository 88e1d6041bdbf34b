// Nothing that landed in proto/ may break: compares with proto/landed.binpb, the image of the last landed version.
// `node scripts/proto-breaking.mjs --land` replaces the image, once the additions are meant to stay.
import { spawnSync } from "node:child_process";

const image = "proto/landed.binpb";
const run = (...args) => spawnSync("node_modules/.bin/buf", args, { stdio: "inherit" }).status ?? 1;
const status = run("breaking", "--against", image);
if (status !== 0 || !process.argv.includes("--land")) process.exit(status);
process.exit(run("build", "--output", image));

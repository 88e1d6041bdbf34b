// Several test files in one process, one after the other: to start a process and load what they share is half of what
// small ones cost. Named as arguments; one that brings no tests of its own fails the run.
import { pathToFileURL } from "node:url";
import t from "tap";

let running = [];
const test = t.test.bind(t);
t.test = (...given) => {
  const result = test(...given);
  running.push(result);
  return result;
};

for (const file of process.argv.slice(2)) {
  t.comment(file);
  try {
    await import(pathToFileURL(file));
  } catch (error) {
    t.fail(`${file} cannot be loaded`, { error });
  }
  if (running.length === 0) t.fail(`${file} has no tests`);
  // Its tests are over before the next one's code runs.
  while (running.length > 0) await Promise.allSettled(running.splice(0));
}

/**
 * What callers say and are called, and what tenants are named, was printed as it came: a number with an escape sequence
 * in it could rewrite an operator's screen, its title or its clipboard.
 */
import { PassThrough } from "node:stream";
import t from "tap";
import { createOutput } from "./output.js";

function printing(asJson: boolean) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const output = createOutput(
    asJson,
    stdout as unknown as NodeJS.WriteStream,
    stderr as unknown as NodeJS.WriteStream,
  );
  const text = (stream: PassThrough): string => String(stream.read() ?? "");
  return { output, out: () => text(stdout), err: () => text(stderr) };
}

const HOSTILE = "+1202\u001b]0;owned\u0007\u001b[2J\u009b1A\r555";
const SHOWN = "+1202␛]0;owned␇␛[2J�1A␍555";

void t.test("control characters of what is printed are shown, not obeyed", async (t) => {
  const { output, out, err } = printing(false);
  output.say(HOSTILE);
  t.equal(out(), `${SHOWN}\n`);
  output.result({}, () => `one\n\t${HOSTILE}`);
  t.equal(out(), `one\n\t${SHOWN}\n`, "but lines and their indents are");
  output.item({}, () => HOSTILE);
  t.equal(out(), `${SHOWN}\n`);
  output.problem(HOSTILE);
  t.ok(err().endsWith(`${SHOWN}\n`));
});

void t.test("colours are ours to print, and words of any script", async (t) => {
  const { output, out } = printing(false);
  const text = "\u001b[1mgrüß dich\u001b[22m \u001b[38;5;9m予約\u001b[39m 👩‍⚕️";
  output.say(text);
  t.equal(out(), `${text}\n`);
});

void t.test("JSON says what it was given, escaped", async (t) => {
  const { output, out } = printing(true);
  output.item({ from: HOSTILE }, () => "");
  const line = out();
  t.same(JSON.parse(line), { from: HOSTILE });
  t.notMatch(line.trimEnd(), /\p{Cc}/u);
});

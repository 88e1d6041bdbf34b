import t from "tap";
import { base64DecodedMaxBytes, decodeBase64 } from "./base64.js";

/** Decodes with canaries around the target, and checks that they live. */
function decode(text: string, offset = 3): Buffer | null {
  const source = Buffer.from(`~~~${text}~~~`, "latin1");
  const size = base64DecodedMaxBytes(text.length);
  const backing = new Uint8Array(size + 32).fill(0xa5);
  const target = backing.subarray(16, 16 + size);
  const written = decodeBase64(source, offset, text.length, target);
  const canaries = [...backing.subarray(0, 16), ...backing.subarray(16 + size)];
  if (canaries.some((byte) => byte !== 0xa5)) throw new Error("wrote outside the target");
  return written < 0 ? null : Buffer.from(target.subarray(0, written));
}

void t.test(
  "decodes what Buffer encodes, for every length and every byte, with and without padding",
  async (t) => {
    for (let length = 0; length < 300; length++) {
      const bytes = Buffer.from(Array.from({ length }, (_, index) => (index * 97 + length * 31) & 0xff));
      const text = bytes.toString("base64");
      if (!decode(text)?.equals(bytes)) t.fail(`length ${length}`);
      if (!decode(text.replace(/=+$/, ""))?.equals(bytes)) t.fail(`length ${length} without padding`);
    }
    t.pass("300 lengths");
  },
);

void t.test("refuses every character outside the alphabet at every place of a quantum", async (t) => {
  const alphabet = /[A-Za-z0-9+/]/;
  let refused = 0;
  for (let code = 0; code < 256; code++) {
    const character = String.fromCharCode(code);
    if (alphabet.test(character)) continue;
    for (let place = 0; place < 11; place++) {
      // At the very end a '=' is padding only where the length makes it so.
      const text = `${"A".repeat(place)}${character}${"A".repeat(10 - place)}`;
      if (decode(text) !== null) t.fail(`${JSON.stringify(character)} at ${place}`);
      refused++;
    }
  }
  t.ok(refused > 2_000);
});

void t.test("refuses a length no encoder makes, and padding where none belongs", async (t) => {
  for (const text of [
    "A",
    "AAAAA",
    "=",
    "==",
    "===",
    "A===",
    "AA=A",
    "AAAA====",
    "AAA=AAAA",
    "AA=",
    "AAAAAA=",
  ]) {
    t.equal(decode(text), null, text);
  }
  t.equal(decode("")?.length, 0);
});

import t from "tap";
import { Mailbox } from "./mailbox.js";
import { seededRandom } from "./random.js";

void t.test(
  "messages leave in the order they came, over many wraps, and never more than the capacity",
  (t) => {
    for (let seed = 1; seed <= 10; seed++) {
      const random = seededRandom(seed);
      const capacity = 1 + Math.floor(random.next() * 9);
      const mailbox = new Mailbox<number>(capacity);
      const model: number[] = [];
      for (let i = 0; i < 5_000; i++) {
        if (random.next() < 0.5) {
          const accepted = mailbox.push(i);
          if (accepted !== model.length < capacity) return t.fail(`seed ${seed}: accepted ${accepted}`);
          if (accepted) model.push(i);
        } else if (model.length > 0 && mailbox.take() !== model.shift()) {
          return t.fail(`seed ${seed}: out of order at ${i}`);
        }
        if (mailbox.count !== model.length) return t.fail(`seed ${seed}: counts ${mailbox.count}`);
      }
    }
    t.pass("10 seeds");
    return t.end();
  },
);

void t.test("pushOnce adds nothing while the message waits, and adds it again after it was taken", (t) => {
  const mailbox = new Mailbox<string>(4);
  mailbox.push("first");
  t.ok(mailbox.pushOnce("look"));
  t.ok(mailbox.pushOnce("look"));
  t.ok(mailbox.pushOnce("listen"));
  t.equal(mailbox.count, 3);
  t.equal(mailbox.take(), "first");
  t.equal(mailbox.take(), "look");
  t.ok(mailbox.pushOnce("listen"));
  t.ok(mailbox.pushOnce("look"));
  t.equal(mailbox.count, 2);
  t.equal(mailbox.take(), "listen");
  t.equal(mailbox.take(), "look");
  t.end();
});

void t.test("pushOnce of a waiting message succeeds in a full mailbox, of another it does not", (t) => {
  const mailbox = new Mailbox<string>(1);
  t.ok(mailbox.pushOnce("look"));
  t.ok(mailbox.pushOnce("look"));
  t.notOk(mailbox.pushOnce("listen"));
  t.end();
});

void t.test("undefined and null are messages like any other", (t) => {
  const mailbox = new Mailbox<undefined | null>(2);
  mailbox.push(undefined);
  mailbox.push(null);
  t.equal(mailbox.take(), undefined);
  t.equal(mailbox.take(), null);
  t.throws(() => mailbox.take(), /empty mailbox/);
  t.end();
});

void t.test("a capacity that is none is refused", (t) => {
  for (const capacity of [0, -1, 1.5, Number.NaN, 1_000_000]) t.throws(() => new Mailbox(capacity));
  t.end();
});

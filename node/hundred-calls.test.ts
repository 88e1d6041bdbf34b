/**
 * A hundred calls at once, twice: everybody hears their own words and nobody else's,
 * nothing is dropped, and afterwards the node is as it was. The node is a process of its own, so that its
 * memory can be told apart; so are the emulators, so that no thread of the test needs more than its fair share of a
 * machine that does other things as well.
 */
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import t from "tap";
import { type PhoneCall, placeCall } from "#bench/caller";
import { startEmulatorProcess, startNodeProcess } from "#bench/processes";
import { DENTIST, RESTAURANT, expectNoDrops, plainWords } from "./node.fixture.js";

const CALLS = 100;
/** Who calls waits until fewer than so many have not heard the agent's first sound: a busy machine takes them later. */
const DIALLING_MAX = 10;
/** Nobody hangs up before everybody has had so many: only then all are there at once, however busy the machine. */
const TURNS_MIN = 2;
/** The shortest that a provider is given to answer speech. */
const PROVIDER_MS = 1_000;
/** For a word that is late; no call waits for it when all is well. */
const LATE_WORD_MS = 5_000;
/** A machine busy with other tests must not refuse the calls of this one. */
const UNPRESSED = { LUMENTRA_PRESSURE_PACING_LAG_MS: "off", LUMENTRA_PRESSURE_EVENT_LOOP_DELAY_MS: "off" };

// Words that no other part of the conversation uses.
const COLOURS = ["amber", "beige", "coral", "denim", "ebony", "fawn", "ginger", "hazel", "ivory", "jade"];
const ANIMALS = ["badger", "camel", "dingo", "egret", "ferret", "gecko", "heron", "ibex", "jackal", "koala"];

/** What was wrong. Rejects when a reply does not come. */
async function converse(call: PhoneCall, index: number, crowd: Crowd): Promise<readonly string[]> {
  const own = `${COLOURS[index % 10]} ${ANIMALS[Math.floor(index / 10)]}`;
  const wrong: string[] = [];
  await call.waitForReply(0);
  let turns = 0;
  let missingWords = 0;
  while (crowd.contentCount < CALLS) {
    const said = await call.say(`Please say ${own}.`);
    await call.waitForReply(said.endedAtMs);
    // A gap can pass for the reply's end: whoever spoke then would interrupt the word that is still to come.
    const isOwn = (word: string): boolean => own.split(" ").includes(word);
    const missing = (): number => 2 - plainWords(call.heardText(said.endedAtMs)).filter(isOwn).length;
    await call.waitUntil("the last word", LATE_WORD_MS, () => missing() <= 0).catch(() => {});
    missingWords += missing();
    turns += 1;
    if (turns === TURNS_MIN) crowd.contentCount += 1;
  }
  call.hangUp();
  await call.ended;
  if (missingWords > 0) wrong.push(`${own}: ${missingWords} words were not heard`);
  wrong.push(...foreignWords(call, own), ...call.violations.map(({ detail }) => detail));
  return wrong;
}

interface Crowd {
  /** Callers who have had their turns. */
  contentCount: number;
}

function foreignWords(call: PhoneCall, own: string): string[] {
  const heard = new Set(plainWords(call.heardText()));
  return [...COLOURS, ...ANIMALS].filter((word) => heard.has(word) && !own.split(" ").includes(word));
}

function rssKib(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
}

/** Free slots once no call is live: the shard closes a call a tick or two after its leg is gone. */
async function freeSlots(adminUrl: string): Promise<number> {
  for (let attempt = 0; ; attempt += 1) {
    const ready = JSON.parse(await (await fetch(`${adminUrl}/healthz/ready`)).text()) as {
      liveCalls: number;
      shards: { free: number }[];
    };
    const free = ready.shards[0]!.free;
    if ((ready.liveCalls === 0 && free === CALLS) || attempt === 500) return free;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// Run by itself the file has half a minute otherwise, and then its calls end as if the node had died.
t.setTimeout(310_000);

void t.test("a hundred calls at once, twice", { timeout: 300_000 }, async (t) => {
  const emulators = await startEmulatorProcess({ ttsFactor: 200 });
  const node = await startNodeProcess({
    environment: {
      ...emulators.environment,
      LUMENTRA_CALLS_PER_SHARD: String(CALLS),
      LUMENTRA_SHARDS: "1",
      ...UNPRESSED,
    },
  });
  const phonesLoop = monitorEventLoopDelay({ resolution: 10 });
  phonesLoop.enable();
  t.teardown(async () => {
    phonesLoop.disable();
    await node.stop();
    await emulators.stop();
  });
  const round = async (): Promise<number> => {
    const crowd: Crowd = { contentCount: 0 };
    const conversations: Promise<readonly string[]>[] = [];
    let dialled = 0;
    const dial = async (): Promise<void> => {
      while (dialled < CALLS) {
        const index = dialled++;
        const call = await placeCall({ nodeUrl: node.edgeUrl, to: index % 2 === 0 ? DENTIST : RESTAURANT });
        conversations.push(converse(call, index, crowd));
        await call.waitForAgentSpeech(0, 0);
      }
    };
    await Promise.all(Array.from({ length: DIALLING_MAX }, dial));
    const results = await Promise.all(conversations);
    t.same(results.flat(), [], "each caller heard their own words and nobody else's");
    t.equal(await freeSlots(node.adminUrl), CALLS, "every slot was returned");
    return rssKib(node.pid);
  };
  const firstKib = await round();
  const secondKib = await round();
  // The first round has filled rings, caches and V8's heap; a leak of what a call holds would show in the second.
  t.ok(secondKib < firstKib * 1.2, `memory is back where it was: ${firstKib} then ${secondKib} KiB`);
  const metrics = await (await fetch(`${node.adminUrl}/metrics`)).text();
  t.match(metrics, new RegExp(`lumentra_calls_ended_total\\{outcome="callerHungUp"\\} ${2 * CALLS}\\b`));
  const stoodStillMs = expectNoDrops(t, metrics, phonesLoop);
  const errors = metrics.match(/^lumentra_provider_errors_total\{.*$/gm) ?? [];
  t.ok(errors.length === 0 || stoodStillMs > PROVIDER_MS, "no provider failed", { errors, stoodStillMs });
});

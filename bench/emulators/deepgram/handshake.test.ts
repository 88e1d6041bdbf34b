/** Who gets a stream and who is refused, with the answer clients must understand. */
import { DeepgramClient } from "@deepgram/sdk";
import t from "tap";
import { EMULATOR_API_KEY } from "../options.js";
import { Probe } from "../probe.fixture.js";
import { AUTHORISED, stage } from "./speech.fixture.js";

const V1 = "/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000";
const V2 = "/v2/listen?model=flux-general-en&encoding=mulaw&sample_rate=8000";

void t.test(
  "a key is taken as Token, as Bearer and as a subprotocol; the answer names the request",
  async (t) => {
    const { emulators } = await stage(t);
    const url = `${emulators.urls.deepgram}${V1}`;
    const key = EMULATOR_API_KEY;
    const forms: [Record<string, string>, string[]][] = [
      [{ authorization: `Token ${key}` }, []],
      [{ authorization: `Bearer ${key}` }, []],
      [{}, ["token", key]],
    ];
    for (const [headers, protocols] of forms) {
      const probe = await Probe.open(url, headers, protocols);
      t.match((await probe.headers)["dg-request-id"], /^[0-9a-f-]{36}$/);
      await probe.close();
    }
  },
);

void t.test("a wrong key is 401 with the vendor's headers and body", async (t) => {
  const { emulators } = await stage(t);
  for (const headers of [{}, { authorization: "Token other" }, { authorization: EMULATOR_API_KEY }]) {
    const refused = await Probe.refused(`${emulators.urls.deepgram}${V1}`, headers);
    t.equal(refused.status, 401);
    const requestId = String(refused.headers["dg-request-id"]);
    t.match(requestId, /^[0-9a-f-]{36}$/);
    t.equal(refused.headers["dg-error"], "Invalid credentials.");
    t.same(JSON.parse(refused.body), {
      err_code: "INVALID_AUTH",
      err_msg: "Invalid credentials.",
      request_id: requestId,
    });
  }
});

void t.test("a query the vendor would not take is 400", async (t) => {
  const { emulators } = await stage(t);
  const bad = [
    "/v1/listen?model=gpt-4&encoding=mulaw&sample_rate=8000",
    "/v1/listen?model=flux-general-en&encoding=mulaw&sample_rate=8000",
    "/v1/listen?model=nova-3&encoding=mulaw",
    "/v1/listen?model=nova-3&encoding=mulaw&sample_rate=11025",
    "/v1/listen?model=nova-3&encoding=vorbis&sample_rate=8000",
    "/v1/listen?model=nova-2&encoding=mulaw&sample_rate=8000&keyterm=Ava",
    "/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000&keywords=Ava:2",
    `${V1}&utterance_end_ms=1000`,
    `${V1}&interim_results=true&utterance_end_ms=500`,
    `${V1}&endpointing=soon`,
    `${V1}&interim_results=yes`,
    `${V1}${"&keyterm=a".repeat(101)}`,
    "/v2/listen?encoding=mulaw&sample_rate=8000",
    "/v2/listen?model=nova-3&encoding=mulaw&sample_rate=8000",
    `${V2}&interim_results=true`,
    `${V2}&eot_threshold=0.4`,
    `${V2}&eager_eot_threshold=0.2`,
    `${V2}&eot_threshold=0.6&eager_eot_threshold=0.7`,
    `${V2}&eot_timeout_ms=100`,
    `${V2}&language_hint=en`,
  ];
  for (const path of bad) {
    const refused = await Probe.refused(`${emulators.urls.deepgram}${path}`, AUTHORISED);
    t.equal(refused.status, 400, path);
    t.match(JSON.parse(refused.body), { err_code: /^(INVALID_QUERY_PARAMETER|Bad Request)$/ }, path);
  }
  const good = [
    "/v1/listen?model=nova-2-phonecall&encoding=alaw&sample_rate=8000&keywords=Ava:2&endpointing=false",
    `${V1}&smart_format=true&vad_events=true&tag=a&extra=call_id:b&mip_opt_out=true&keyterm=Ava&keyterm=Marco`,
    "/v2/listen?model=flux-general-multi&encoding=linear16&sample_rate=16000&language_hint=es&eot_threshold=1.0",
  ];
  for (const path of good) {
    const probe = await Probe.open(`${emulators.urls.deepgram}${path}`, AUTHORISED);
    await probe.close();
  }
  t.equal((await Probe.refused(`${emulators.urls.deepgram}/v3/listen`, AUTHORISED)).status, 404);
});

void t.test("streams over the account's concurrency are 429 until one is closed", async (t) => {
  const { emulators } = await stage(t, { limits: { deepgramStreams: 2 } });
  const first = await Probe.open(`${emulators.urls.deepgram}${V1}`, AUTHORISED);
  const second = await Probe.open(`${emulators.urls.deepgram}${V2}`, AUTHORISED);
  const refused = await Probe.refused(`${emulators.urls.deepgram}${V1}`, AUTHORISED);
  t.match(JSON.parse(refused.body), { err_code: "TOO_MANY_REQUESTS" });
  t.equal(refused.status, 429);
  t.same([emulators.deepgram.live.length, emulators.deepgram.refusedCount], [2, 1]);
  await first.close();
  await second.roundTrip();
  const third = await Probe.open(`${emulators.urls.deepgram}${V1}`, AUTHORISED);
  await Promise.all([second.close(), third.close()]);
});

void t.test("the call a stream belongs to is read from extra, else from tag", async (t) => {
  const { emulators } = await stage(t);
  const calls = [
    [`${V1}&extra=call_id:c1&tag=shard-1`, "c1"],
    [`${V2}&tag=c2`, "c2"],
    [V1, null],
  ] as const;
  for (const [path, callId] of calls) {
    const probe = await Probe.open(`${emulators.urls.deepgram}${path}`, AUTHORISED);
    await probe.roundTrip();
    t.equal(emulators.deepgram.live.at(-1)?.callId, callId);
    await probe.close();
  }
});

void t.test("handshake faults: refused with any status, late, or dropped", async (t) => {
  const { emulators, clock } = await stage(t);
  const url = `${emulators.urls.deepgram}${V1}`;
  const statuses = {
    401: "INVALID_AUTH",
    403: "INSUFFICIENT_PERMISSIONS",
    500: "INTERNAL_SERVER_ERROR",
  } as const;
  for (const [status, errCode] of Object.entries(statuses)) {
    emulators.deepgram.faults.arm({ kind: "refuse", status: Number(status) as 401 });
    const refused = await Probe.refused(url, AUTHORISED);
    t.equal(refused.status, Number(status));
    t.match(JSON.parse(refused.body), { err_code: errCode });
  }
  emulators.deepgram.faults.arm({ kind: "dropHandshake" });
  await t.rejects(Probe.open(url, AUTHORISED), { code: "ECONNRESET" });

  emulators.deepgram.faults.arm({ kind: "slowHandshake", delayMs: 3_000 });
  let opened = false;
  const late = Probe.open(url, AUTHORISED).then((probe) => {
    opened = true;
    return probe;
  });
  const prompt = await Probe.open(url, AUTHORISED);
  await prompt.roundTrip();
  t.notOk(opened);
  clock.advance(3_000);
  await (await late).close();
  await prompt.close();
});

void t.test("the vendor's SDK is told why it was refused", async (t) => {
  const { emulators } = await stage(t);
  const client = new DeepgramClient({ apiKey: "wrong", baseUrl: emulators.urls.deepgram });
  const socket = await client.listen.v1.connect({
    model: "nova-3",
    encoding: "mulaw",
    sample_rate: 8000,
    reconnectAttempts: 0,
  });
  socket.connect();
  await t.rejects(socket.waitForOpen(), /401/);
  socket.close();
});

import { type Server, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import t, { type Test } from "tap";
import { silentLogger } from "#runtime/telemetry";
import { ProcessesAdmin } from "./processes-admin.js";

/** Every byte there is: text decoding would change half of them. */
const SOUND = Buffer.from(Array.from({ length: 256 }, (_, index) => index));

/** A process that has these pages and no others. */
async function child(t: Test, pages: Readonly<Record<string, Buffer>>): Promise<string> {
  const server: Server = createServer((request, response) => {
    const page = pages[request.url ?? ""];
    response.writeHead(page === undefined ? 404 : 200, {
      "content-type": page === SOUND ? "audio/wav" : "application/json",
    });
    response.end(page ?? "{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

void t.test("a call's journal and message come from the process that has them, byte for byte", async (t) => {
  const admin = await ProcessesAdmin.listen("127.0.0.1", 0, silentLogger);
  t.teardown(() => admin.close());
  admin.started({ index: 0, adminUrl: await child(t, {}) });
  const journal = Buffer.from('{"events":["grüß dich"]}');
  const pages = { "/calls/c1/message": SOUND, "/calls/c1/journal": journal };
  admin.started({ index: 1, adminUrl: await child(t, pages) });
  const at = (path: string) => fetch(`http://127.0.0.1:${admin.port}${path}`);
  for (const path of ["/calls/c1/message", "/processes/1/calls/c1/message"]) {
    const answer = await at(path);
    t.equal(answer.headers.get("content-type"), "audio/wav");
    t.same(Buffer.from(await answer.arrayBuffer()), SOUND, path);
  }
  t.same(await (await at("/calls/c1/journal")).json(), { events: ["grüß dich"] });
  t.equal((await at("/calls/c2/message")).status, 404);
  t.equal((await at("/processes/0/calls/c1/message")).status, 404);
  t.equal((await at("/processes/2/calls/c1/message")).status, 404);
});

void t.test("a path that is no path is nobody's, and no failure of ours", async (t) => {
  const admin = await ProcessesAdmin.listen("127.0.0.1", 0, silentLogger);
  t.teardown(() => admin.close());
  for (const path of ["//", "/nothing", "*"]) {
    const status = await new Promise<number>((resolve, reject) => {
      const asked = request({ port: admin.port, host: "127.0.0.1", path }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      asked.once("error", reject).end();
    });
    t.equal(status, 404, path);
  }
  t.equal((await fetch(`http://127.0.0.1:${admin.port}/healthz/live?from=balancer`)).status, 200);
});

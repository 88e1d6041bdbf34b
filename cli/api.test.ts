import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import t from "tap";
import { connectApi } from "./api.js";

/** A port at which nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

void t.test("where nobody answers it is said where, why, and what to do", async (t) => {
  const address = `127.0.0.1:${await freePort()}`;
  const api = await connectApi({ address }, {});
  t.teardown(() => api.close());
  const expected = {
    code: "CONTROL_PLANE_UNREACHABLE",
    message: `nobody answers at ${address} (connect ECONNREFUSED ${address}): start it with \`npm start\`, or give --address or LUMENTRA_API_ADDRESS`,
  };
  await t.rejects(api.call("TenantService", "ListTenants", {}), expected);
  const watching = api.stream("CallService", "WatchCalls", {}, new AbortController().signal);
  await t.rejects(async () => {
    for await (const call of watching) t.fail(`${JSON.stringify(call)} came from nowhere`);
  }, expected);
});

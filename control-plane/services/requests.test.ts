import t from "tap";
import type { Caller } from "../server/caller.js";
import { Checks, PageTokens, openPage } from "./requests.js";

const acme = { scope: { kind: "reseller", resellerId: "acme" } } as unknown as Caller;
const other = { scope: { kind: "reseller", resellerId: "other" } } as unknown as Caller;
const tokens = new PageTokens(Buffer.alloc(32, 1));

void t.test("a page token opens the query it came from, in the caller's scope, and no other", async (t) => {
  const first = openPage(tokens, acme, "ListTenants", { pageSize: 10, pageToken: "" }, { query: "a" });
  t.strictSame({ size: first.size, after: first.after }, { size: 10, after: null });
  const pageToken = first.seal(["tenant-7"]);
  t.notMatch(pageToken, /tenant/, "opaque");
  const open = (caller: Caller, rpc: string, query: string, token = pageToken, by = tokens) =>
    openPage(by, caller, rpc, { pageSize: 0, pageToken: token }, { query });
  t.strictSame(open(acme, "ListTenants", "a").after, ["tenant-7"]);
  t.equal(open(acme, "ListTenants", "a").size, 50);
  const refused = { code: "PAGE_TOKEN_INVALID" };
  t.throws(() => open(acme, "ListTenants", "b"), refused);
  t.throws(() => open(acme, "ListCalls", "a"), refused);
  t.throws(() => open(other, "ListTenants", "a"), refused);
  t.throws(() => open(acme, "ListTenants", "a", pageToken, new PageTokens(Buffer.alloc(32, 2))), refused);
  for (const token of [
    "x",
    "%%%",
    "A".repeat(22),
    `A${pageToken.slice(1)}`,
    `${pageToken}AAAA`,
    "A".repeat(2_000),
  ]) {
    t.throws(() => open(acme, "ListTenants", "a", token), refused, token.slice(0, 30));
  }
  t.equal(first.seal(null), "", "the last page has none");
});

void t.test("a page larger than the most is refused, not cut", async (t) => {
  t.throws(() => openPage(tokens, acme, "ListTenants", { pageSize: 501, pageToken: "" }), {
    code: "REQUEST_INVALID",
    message: "page_size must be 1 to 500",
  });
});

void t.test("everything that is wrong with a request is said at once", async (t) => {
  const checks = new Checks();
  checks.id("Not An Id", "a.id");
  checks.id("fine-1", "b.id");
  checks.text("", "a.name", 1, 10);
  checks.text("nul\0", "a.label", 0, 10);
  t.throws(() => checks.done(), {
    code: "REQUEST_INVALID",
    detail: { violations: [{ field: "a.id" }, { field: "a.name" }, { field: "a.label" }] },
  });
});

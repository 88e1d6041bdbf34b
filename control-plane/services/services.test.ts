import t from "tap";
import type { LumentraError } from "#runtime/errors";
import type { RpcClient } from "#runtime/rpc";
import { RESELLER_SCOPES } from "../auth/index.js";
import { failureOf } from "../server/server.fixture.js";
import { BAKERY, startTestPlane } from "./services.fixture.js";

const plane = await startTestPlane(t);
const { operator, server } = plane;
const acme = await plane.reseller("acme");
const rival = await plane.reseller("rival");

function codeOf(promise: Promise<unknown>): Promise<string> {
  return failureOf(promise).then(({ code }) => code);
}

async function makeTenant(client: RpcClient, id: string, change: object = {}) {
  const { tenant } = await client.call("TenantService", "CreateTenant", {
    tenant: { id, config: { ...BAKERY, ...change } },
  });
  return tenant!;
}

void t.test(
  "a reseller's life by API: tenant, number, change, history, end; another sees nothing of it",
  async (t) => {
    const { client } = acme;
    const made = await makeTenant(client, "patisserie");
    t.equal(made.resellerId, "acme", "a reseller's key implies whose it is");
    t.equal(made.version, 1);
    t.equal(made.config?.llm?.maxOutputTokens, 200, "defaults are filled in");
    await client.call("PhoneNumberService", "CreatePhoneNumber", {
      phoneNumber: { number: "+12025550101", tenantId: "patisserie", label: "front desk" },
    });
    const { tenant } = await client.call("TenantService", "GetTenant", { tenantId: "patisserie" });
    t.strictSame(tenant?.numbers, ["+12025550101"]);

    const { tenant: changed } = await client.call("TenantService", "UpdateTenant", {
      tenant: { id: "patisserie", etag: tenant!.etag, config: { agentName: "Max", llm: { model: "m2" } } },
      updateMask: { paths: ["config.agent_name", "config.llm.model"] },
    });
    t.equal(changed?.config?.agentName, "Max");
    t.equal(changed?.config?.name, "Bakery", "what the mask does not name stays");
    t.equal(changed?.config?.llm?.maxOutputTokens, 200);
    const { tenant: moved } = await client.call("TenantService", "UpdateTenant", {
      tenant: {
        id: "patisserie",
        config: { llm: { provider: "anthropic" }, tts: { provider: "piper", voice: "v" } },
      },
      updateMask: { paths: ["config.llm.provider", "config.tts.provider", "config.tts.voice"] },
    });
    const { llm, tts } = moved!.config!;
    t.match(llm, { provider: "anthropic", model: "claude-haiku-4-5", maxOutputTokens: 200 }, "not m2");
    t.match(tts, { provider: "piper", model: "piper", voice: "v" }, "what was said stays");
    const { versions } = await client.call("TenantService", "ListTenantVersions", { tenantId: "patisserie" });
    t.strictSame(
      versions.map(({ config }) => config?.agentName),
      ["Max", "Max", "Zoe"],
    );

    // Another reseller, holding every scope a reseller can: there is nothing there.
    const other = rival.client;
    const asks = [
      other.call("TenantService", "GetTenant", { tenantId: "patisserie" }),
      other.call("TenantService", "UpdateTenant", {
        tenant: { id: "patisserie", suspended: true },
        updateMask: { paths: ["suspended"] },
      }),
      other.call("TenantService", "DeleteTenant", { tenantId: "patisserie" }),
      other.call("TenantService", "ListTenantVersions", { tenantId: "patisserie" }),
      other.call("TenantService", "ListTenantSecrets", { tenantId: "patisserie" }),
      other.call("TenantService", "SetTenantSecret", { tenantId: "patisserie", name: "a", value: "b" }),
      other.call("TenantService", "DeleteTenantSecret", { tenantId: "patisserie", name: "a" }),
      other.call("PhoneNumberService", "GetPhoneNumber", { number: "+12025550101" }),
      other.call("PhoneNumberService", "DeletePhoneNumber", { number: "+12025550101" }),
      other.call("PhoneNumberService", "CreatePhoneNumber", {
        phoneNumber: { number: "+12025550102", tenantId: "patisserie" },
      }),
      other.call("ResellerService", "GetReseller", { resellerId: "acme" }),
      other.call("ResellerService", "ListApiKeys", { resellerId: "acme" }),
      other.call("ResellerService", "CreateApiKey", {
        resellerId: "acme",
        name: "x",
        scopes: ["tenants.read"],
      }),
      other.call("TenantService", "CreateTenant", {
        tenant: { id: "patisserie-2", resellerId: "acme", config: BAKERY },
      }),
    ];
    t.strictSame(await Promise.all(asks.map(codeOf)), Array(asks.length).fill("NOT_FOUND"));
    t.equal(await codeOf(makeTenant(other, "patisserie")), "ALREADY_EXISTS", "ids are unique over all");
    t.equal(
      await codeOf(
        (async () => {
          await makeTenant(other, "rivals-shop");
          await other.call("PhoneNumberService", "CreatePhoneNumber", {
            phoneNumber: { number: "+12025550101", tenantId: "rivals-shop" },
          });
        })(),
      ),
      "ALREADY_EXISTS",
      "numbers too",
    );
    const seen = await Promise.all([
      other.call("TenantService", "ListTenants", {}),
      other.call("TenantService", "ListTenants", { resellerId: "acme" }),
      other.call("TenantService", "ListTenants", { query: "pat" }),
      other.call("PhoneNumberService", "ListPhoneNumbers", {}),
      other.call("ResellerService", "ListResellers", {}),
      other.call("AuditService", "ListAuditEntries", {}),
      other.call("AuditService", "ListAuditEntries", { tenantId: "patisserie" }),
      other.call("UsageService", "QueryUsage", {}),
    ]);
    t.notMatch(JSON.stringify(seen), /patisserie|acme|12025550101|"Max"/i);

    const { entries } = await client.call("AuditService", "ListAuditEntries", { tenantId: "patisserie" });
    t.ok(entries.length >= 3, `${entries.length} entries`);
    t.match(entries[0]?.actor, /^key:/);

    await client.call("TenantService", "DeleteTenant", { tenantId: "patisserie" });
    t.equal(await codeOf(client.call("TenantService", "GetTenant", { tenantId: "patisserie" })), "NOT_FOUND");
    t.equal(
      await codeOf(client.call("PhoneNumberService", "GetPhoneNumber", { number: "+12025550101" })),
      "NOT_FOUND",
      "its numbers went with it",
    );
  },
);

void t.test("an old etag is refused and changes nothing; without one the last writer wins", async (t) => {
  const { client } = acme;
  const first = await makeTenant(client, "etags");
  const update = (name: string, etag: string) =>
    client.call("TenantService", "UpdateTenant", {
      tenant: { id: "etags", etag, config: { name } },
      updateMask: { paths: ["config.name"] },
    });
  const { tenant: second } = await update("Second", first.etag);
  t.not(second?.etag, first.etag);
  t.equal(await codeOf(update("Third", first.etag)), "ETAG_MISMATCH");
  t.equal(
    await codeOf(client.call("TenantService", "DeleteTenant", { tenantId: "etags", etag: first.etag })),
    "ETAG_MISMATCH",
  );
  const { tenant } = await client.call("TenantService", "GetTenant", { tenantId: "etags" });
  t.equal(tenant?.config?.name, "Second");
  await Promise.all(["a", "b", "c"].map((name) => update(name, "")));
  const { tenant: last } = await client.call("TenantService", "GetTenant", { tenantId: "etags" });
  t.equal(last?.version, second!.version + 3, "nobody's update was lost to a race");
});

void t.test("a request id makes a creation once, and answers the same again", async (t) => {
  const { client } = acme;
  const request = { tenant: { id: "idempotent", config: BAKERY }, requestId: "r-1" };
  const answers = await Promise.all(
    [1, 2, 3].map(() => client.call("TenantService", "CreateTenant", request)),
  );
  t.strictSame(answers[1], answers[0]);
  t.strictSame(answers[2], answers[0]);
  t.equal(
    await codeOf(
      client.call("TenantService", "CreateTenant", {
        ...request,
        tenant: { ...request.tenant, id: "not-it" },
      }),
    ),
    "REQUEST_ID_REUSED",
  );
  t.equal(
    await codeOf(client.call("TenantService", "CreateTenant", { ...request, requestId: "x".repeat(65) })),
    "REQUEST_INVALID",
  );
  const { tenant } = await rival.client.call("TenantService", "CreateTenant", {
    tenant: { id: "rivals-own", config: BAKERY },
    requestId: "r-1",
  });
  t.equal(tenant?.resellerId, "rival", "another principal's ids are its own");
});

void t.test("a key is shown once; a repeated request gets its description alone", async (t) => {
  const request = { resellerId: "acme", name: "ci", scopes: ["tenants.read"], requestId: "k-1" };
  const first = await acme.client.call("ResellerService", "CreateApiKey", request);
  t.match(first.secret, /^lk_[a-z0-9]{8}_[\w-]{43}$/);
  t.equal(first.apiKey?.prefix, first.secret.slice(3, 11));
  const again = await acme.client.call("ResellerService", "CreateApiKey", request);
  t.strictSame(again, { apiKey: first.apiKey, secret: "" });
  const page = await acme.client.call("ResellerService", "ListApiKeys", { resellerId: "acme" });
  t.ok(page.apiKeys.some(({ id }) => id === first.apiKey?.id));
  t.notMatch(JSON.stringify(page), first.secret.slice(12));
});

void t.test("nobody grants what he does not hold, or what the owner cannot hold", async (t) => {
  const create = (client: RpcClient, resellerId: string, scopes: string[]) =>
    client.call("ResellerService", "CreateApiKey", { resellerId, name: "x", scopes });
  for (const scope of ["resellers.write", "nodes.read", "nodes.operate", "node", "everything", ""]) {
    t.equal(await codeOf(create(operator, "acme", [scope])), "SCOPE_NOT_GRANTABLE", scope);
  }
  t.equal(await codeOf(create(operator, "", ["node"])), "SCOPE_NOT_GRANTABLE");
  t.equal(await codeOf(create(operator, "acme", [])), "REQUEST_INVALID");
  t.equal(await codeOf(create(operator, "nobody", ["tenants.read"])), "NOT_FOUND");
  t.equal(await codeOf(create(acme.client, "", ["tenants.read"])), "NOT_FOUND", "an operator's key");
  const { secret } = await create(acme.client, "acme", ["keys.write", "keys.read"]);
  const clerk = server.connect(secret);
  t.equal(await codeOf(create(clerk, "acme", ["tenants.write"])), "SCOPE_NOT_GRANTABLE");
  const { apiKeys } = await clerk.call("ResellerService", "ListApiKeys", { resellerId: "acme" });
  const strong = apiKeys.find(({ scopes }) => scopes.length === RESELLER_SCOPES.length)!;
  t.equal(
    await codeOf(clerk.call("ResellerService", "RotateApiKey", { apiKeyId: strong.id })),
    "SCOPE_NOT_GRANTABLE",
    "rotation is no way around it",
  );
});

void t.test("a rotated key works until its overlap is over; a revoked one stops at once", async (t) => {
  const made = await acme.client.call("ResellerService", "CreateApiKey", {
    resellerId: "acme",
    name: "rotating",
    scopes: ["tenants.read"],
  });
  const works = (secret: string) =>
    server
      .connect(secret)
      .call("TenantService", "ListTenants", {})
      .then(
        () => true,
        (error: LumentraError) => error.code,
      );
  t.equal(await works(made.secret), true);
  const next = await acme.client.call("ResellerService", "RotateApiKey", {
    apiKeyId: made.apiKey!.id,
    overlapSeconds: 3_600,
  });
  t.strictSame(next.apiKey?.scopes, made.apiKey?.scopes);
  t.equal(await works(made.secret), true);
  t.equal(await works(next.secret), true);
  const last = await acme.client.call("ResellerService", "RotateApiKey", { apiKeyId: next.apiKey!.id });
  t.equal(await works(next.secret), "UNAUTHENTICATED", "no overlap");
  await acme.client.call("ResellerService", "RevokeApiKey", { apiKeyId: last.apiKey!.id });
  t.equal(await works(last.secret), "UNAUTHENTICATED");
  t.equal(
    await codeOf(acme.client.call("ResellerService", "RotateApiKey", { apiKeyId: last.apiKey!.id })),
    "NOT_FOUND",
  );
  t.equal(
    await codeOf(rival.client.call("ResellerService", "RevokeApiKey", { apiKeyId: made.apiKey!.id })),
    "NOT_FOUND",
  );
});

void t.test("a reseller changes its branding and nothing else; suspended, it only reads", async (t) => {
  const shop = await plane.reseller("shop");
  const branding = { displayName: "Shop", logoUrl: "https://x.example/l.png", primaryColor: "#00ff00" };
  const update = (client: RpcClient, reseller: object, ...paths: string[]) =>
    client.call("ResellerService", "UpdateReseller", {
      reseller: { id: "shop", ...reseller },
      updateMask: { paths },
    });
  const { reseller } = await update(shop.client, { branding }, "branding.display_name", "branding.logo_url");
  t.match(reseller?.branding, { displayName: "Shop", logoUrl: "https://x.example/l.png", primaryColor: "" });
  for (const paths of [["limits"], ["suspended"], ["name"], ["branding", "limits.tenants"], []]) {
    t.equal(await codeOf(update(shop.client, { branding }, ...paths)), "PERMISSION_DENIED", paths.join());
  }
  const wrong = await failureOf(
    update(shop.client, { branding: { logoUrl: "javascript:alert(1)" } }, "branding"),
  );
  t.strictSame(wrong.detail["violations"], [
    { field: "reseller.branding.logo_url", description: "must be an https URL of at most 500 characters" },
  ]);
  await update(operator, { suspended: true, limits: { tenants: 1 } }, "suspended", "limits.tenants");
  t.equal(await codeOf(makeTenant(shop.client, "shop-1")), "PERMISSION_DENIED");
  await t.resolves(shop.client.call("TenantService", "ListTenants", {}));
  await update(operator, {}, "suspended");
  await makeTenant(shop.client, "shop-1");
  t.equal(await codeOf(makeTenant(shop.client, "shop-2")), "LIMIT_REACHED");
  t.equal(
    await codeOf(operator.call("ResellerService", "DeleteReseller", { resellerId: "shop" })),
    "STILL_IN_USE",
  );
});

void t.test("pages follow one another without gap or repeat, and a token is of its query", async (t) => {
  const paged = await plane.reseller("paged");
  for (const id of ["p-1", "p-2", "p-3", "p-4", "p-5"]) await makeTenant(paged.client, id);
  const seen: string[] = [];
  let pageToken = "";
  do {
    const page = await paged.client.call("TenantService", "ListTenants", { pageSize: 2, pageToken });
    seen.push(...page.tenants.map(({ id }) => id));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  t.strictSame(seen, ["p-1", "p-2", "p-3", "p-4", "p-5"]);
  const { nextPageToken } = await paged.client.call("TenantService", "ListTenants", { pageSize: 2 });
  for (const [client, query] of [
    [paged.client, "p"],
    [rival.client, ""],
  ] as const) {
    t.equal(
      await codeOf(client.call("TenantService", "ListTenants", { pageToken: nextPageToken, query })),
      "PAGE_TOKEN_INVALID",
    );
  }
  t.equal(
    await codeOf(operator.call("ResellerService", "ListResellers", { pageSize: 501 })),
    "REQUEST_INVALID",
  );
});

void t.test("what is wrong with a request is named field by field", async (t) => {
  const error = await failureOf(
    operator.call("TenantService", "CreateTenant", { tenant: { id: "No!", config: BAKERY } }),
  );
  t.strictSame(
    (error.detail["violations"] as { field: string }[]).map(({ field }) => field),
    ["tenant.id", "tenant.reseller_id"],
  );
  const config = await failureOf(makeTenant(acme.client, "wrong", { timeZone: "Mars", language: "tlh" }));
  t.equal(config.code, "TENANT_CONFIG_INVALID");
  t.strictSame((config.detail["violations"] as { field: string }[]).map(({ field }) => field).sort(), [
    "tenant.config.language",
    "tenant.config.time_zone",
  ]);
  for (const number of ["12025550101", "+1202555", "+1 202 555 0101", "tel:+12025550101", ""]) {
    t.equal(
      await codeOf(
        acme.client.call("PhoneNumberService", "CreatePhoneNumber", {
          phoneNumber: { number, tenantId: "x" },
        }),
      ),
      "REQUEST_INVALID",
      number,
    );
  }
  for (const range of [
    { fromDay: "2026-02-30" },
    { fromDay: "yesterday" },
    { fromDay: "2026-02-02", toDay: "2026-02-01" },
    { fromDay: "1990-01-01", toDay: "2026-02-01" },
  ]) {
    t.equal(await codeOf(acme.client.call("UsageService", "QueryUsage", range)), "REQUEST_INVALID");
  }
  t.strictSame((await acme.client.call("UsageService", "QueryUsage", {})).rows, []);
  const large = {
    facts: Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`f${at}`, "x".repeat(500)])),
  };
  t.equal(await codeOf(makeTenant(acme.client, "large", large)), "TENANT_CONFIG_INVALID");
});

void t.test("secrets go in and are named, and never come back", async (t) => {
  const { client } = acme;
  await makeTenant(client, "secretive");
  const value = "planted-secret-value";
  await client.call("TenantService", "SetTenantSecret", {
    tenantId: "secretive",
    name: "twilio_auth_token",
    value,
  });
  const { secrets } = await client.call("TenantService", "ListTenantSecrets", { tenantId: "secretive" });
  t.strictSame(
    secrets.map(({ name }) => name),
    ["twilio_auth_token"],
  );
  const everything = await Promise.all([
    client.call("TenantService", "GetTenant", { tenantId: "secretive" }),
    client.call("AuditService", "ListAuditEntries", { pageSize: 500 }),
    operator.call("AuditService", "ListAuditEntries", { pageSize: 500 }),
  ]);
  t.notMatch(JSON.stringify(everything), /planted/);
  t.equal(
    await codeOf(
      client.call("TenantService", "SetTenantSecret", { tenantId: "secretive", name: "A b", value }),
    ),
    "REQUEST_INVALID",
  );
  await client.call("TenantService", "DeleteTenantSecret", {
    tenantId: "secretive",
    name: "twilio_auth_token",
  });
  t.equal(
    await codeOf(
      client.call("TenantService", "DeleteTenantSecret", {
        tenantId: "secretive",
        name: "twilio_auth_token",
      }),
    ),
    "NOT_FOUND",
  );
});

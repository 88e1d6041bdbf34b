import t from "tap";
import { settingNames } from "#runtime/settings";
import { settingsSchema as nodeSettings } from "#node";
import { resolveSettings } from "./settings.js";

void t.test("an empty environment gives every default", async (t) => {
  const settings = resolveSettings({ PATH: "/bin", DATABASE_URL: "" });
  t.equal(settings.LUMENTRA_GRPC_HOST, "127.0.0.1");
  t.equal(settings.LUMENTRA_GRPC_PORT, 50_051);
  t.equal(settings.LUMENTRA_INSECURE, false);
  t.equal(settings.DATABASE_URL, undefined);
});

void t.test("another process's variables are refused unless it is told of them", async (t) => {
  const environment = { LUMENTRA_EDGE_PORT: "8080", TWILIO_AUTH_TOKEN_FILE: "/nowhere" };
  t.throws(() => resolveSettings(environment), { message: /^LUMENTRA_EDGE_PORT is not a setting/ });
  t.doesNotThrow(() => resolveSettings(environment, { alsoKnown: settingNames(nodeSettings) }));
  t.throws(
    () => resolveSettings({ LUMENTRA_EGDE_PORT: "1" }, { alsoKnown: settingNames(nodeSettings) }),
    /LUMENTRA_EGDE_PORT is not a setting/,
  );
});

void t.test("a wrong value is refused without the secret in the sentence", async (t) => {
  const wrong: [Record<string, string>, RegExp][] = [
    [{ DATABASE_URL: "mysql://planted-user:planted-pass@x/y" }, /^DATABASE_URL must be a URL[^(]*$/],
    [{ LUMENTRA_BOOTSTRAP_TOKEN: "planted" }, /^LUMENTRA_BOOTSTRAP_TOKEN must have at least 16 characters$/],
    [{ LUMENTRA_REDIS_PREFIX: "{a}" }, /^LUMENTRA_REDIS_PREFIX must be 1 to 32 of/],
    [{ LUMENTRA_LEASE_TIME_MS: "10" }, /^LUMENTRA_LEASE_TIME_MS must be 1000 to 60000 \(got "10"\)$/],
  ];
  for (const [environment, expected] of wrong) {
    t.throws(() => resolveSettings(environment), { code: "SETTING_INVALID", message: expected });
  }
});

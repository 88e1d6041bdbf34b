-- What calls cost: sums by day and tenant, and the rates they were made with.

-- Micros (millionths of a US dollar) per minute of call. Estimates, not invoices: they are list prices of a minute of
-- talk with defaults (recogniser on for the whole minute; four turns of 1,500 tokens in and 40 out; the voice speaking
-- 40 % of it), so that tenants can be compared and margins seen. Insert a row with a later valid_from to change one;
-- calls that ended before keep what they were counted with.
CREATE TABLE lumentra.provider_rates (
  provider text COLLATE "C" NOT NULL,
  valid_from timestamptz NOT NULL,
  micros_per_minute bigint NOT NULL CHECK (micros_per_minute >= 0),
  PRIMARY KEY (provider, valid_from)
);
INSERT INTO lumentra.provider_rates (provider, valid_from, micros_per_minute) VALUES
  -- nova-3 and Flux, streaming: $0.0077 a minute of audio.
  ('deepgram', '-infinity', 7700),
  -- llama-3.3-70b: $0.59 a million tokens in, $0.79 out: 6,000 in and 160 out a minute.
  ('groq', '-infinity', 3670),
  -- sonic: about $0.05 a minute of speech, 40 % of the time.
  ('cartesia', '-infinity', 20000);

CREATE TABLE lumentra.usage_days (
  day date NOT NULL,
  tenant_id text COLLATE "C" NOT NULL,
  reseller_id text COLLATE "C" NOT NULL,
  calls bigint NOT NULL,
  call_seconds bigint NOT NULL,
  PRIMARY KEY (day, tenant_id)
);
CREATE INDEX usage_days_by_reseller ON lumentra.usage_days (reseller_id, day);
CREATE INDEX usage_days_by_tenant ON lumentra.usage_days (tenant_id, day);

CREATE TABLE lumentra.usage_costs (
  day date NOT NULL,
  tenant_id text COLLATE "C" NOT NULL,
  provider text COLLATE "C" NOT NULL,
  reseller_id text COLLATE "C" NOT NULL,
  cost_micros bigint NOT NULL,
  PRIMARY KEY (day, tenant_id, provider)
);

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['usage_days', 'usage_costs'] LOOP
    EXECUTE format('ALTER TABLE lumentra.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY owner ON lumentra.%I TO CURRENT_USER USING (true) WITH CHECK (true)', name);
    EXECUTE format('CREATE POLICY write ON lumentra.%I
      USING ((SELECT lumentra.scope_is_system())) WITH CHECK ((SELECT lumentra.scope_is_system()))', name);
    EXECUTE format('CREATE POLICY read ON lumentra.%I FOR SELECT USING (
      (SELECT lumentra.scope_is_all()) OR reseller_id = (SELECT lumentra.scope_reseller())
      OR tenant_id = (SELECT lumentra.scope_tenant()))', name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON lumentra.%I TO lumentra_app', name);
  END LOOP;
END
$$;
GRANT SELECT ON lumentra.provider_rates TO lumentra_app;

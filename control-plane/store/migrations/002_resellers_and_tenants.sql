-- Resellers, their keys, their tenants with versions, secrets and numbers, and the change numbers that watchers follow.

CREATE TABLE lumentra.resellers (
  id text COLLATE "C" PRIMARY KEY,
  name text NOT NULL,
  etag text NOT NULL DEFAULT lumentra.new_etag(),
  branding jsonb NOT NULL,
  limits jsonb NOT NULL,
  suspended boolean NOT NULL,
  created_at timestamptz NOT NULL DEFAULT lumentra.now_ms(),
  updated_at timestamptz NOT NULL DEFAULT lumentra.now_ms()
);

CREATE TABLE lumentra.api_keys (
  id text COLLATE "C" PRIMARY KEY,
  -- Null: an operator's.
  reseller_id text COLLATE "C" REFERENCES lumentra.resellers ON DELETE CASCADE,
  name text NOT NULL,
  prefix text COLLATE "C" NOT NULL,
  -- SHA-256 of the whole key.
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  scopes text[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT lumentra.now_ms(),
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz
);
CREATE INDEX api_keys_by_prefix ON lumentra.api_keys (prefix);
CREATE INDEX api_keys_by_reseller ON lumentra.api_keys (reseller_id, created_at, id);

CREATE TABLE lumentra.tenants (
  id text COLLATE "C" PRIMARY KEY,
  reseller_id text COLLATE "C" NOT NULL REFERENCES lumentra.resellers,
  etag text NOT NULL DEFAULT lumentra.new_etag(),
  -- Counts configurations; a suspension is none.
  version int NOT NULL DEFAULT 1,
  suspended boolean NOT NULL,
  config jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT lumentra.now_ms(),
  updated_at timestamptz NOT NULL DEFAULT lumentra.now_ms()
);
CREATE INDEX tenants_by_reseller ON lumentra.tenants (reseller_id, id);

CREATE TABLE lumentra.tenant_versions (
  tenant_id text COLLATE "C" NOT NULL REFERENCES lumentra.tenants ON DELETE CASCADE,
  reseller_id text COLLATE "C" NOT NULL,
  version int NOT NULL,
  config jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT lumentra.now_ms(),
  PRIMARY KEY (tenant_id, version)
);

-- Tenants that were deleted: their calls stay until their retention ends, and until then nobody else may take the id,
-- since what a tenant sees goes by it.
CREATE TABLE lumentra.deleted_tenants (
  tenant_id text COLLATE "C" PRIMARY KEY,
  reseller_id text COLLATE "C" NOT NULL,
  call_days int NOT NULL,
  deleted_at timestamptz NOT NULL DEFAULT lumentra.now_ms()
);

CREATE TABLE lumentra.phone_numbers (
  number text COLLATE "C" PRIMARY KEY,
  tenant_id text COLLATE "C" NOT NULL REFERENCES lumentra.tenants ON DELETE CASCADE,
  reseller_id text COLLATE "C" NOT NULL,
  etag text NOT NULL DEFAULT lumentra.new_etag(),
  label text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT lumentra.now_ms(),
  updated_at timestamptz NOT NULL DEFAULT lumentra.now_ms()
);
CREATE INDEX phone_numbers_by_tenant ON lumentra.phone_numbers (tenant_id, number);
CREATE INDEX phone_numbers_by_reseller ON lumentra.phone_numbers (reseller_id, number);

-- Encrypted by the control plane (see encryption.ts); the database never sees a key.
CREATE TABLE lumentra.tenant_secrets (
  tenant_id text COLLATE "C" NOT NULL REFERENCES lumentra.tenants ON DELETE CASCADE,
  reseller_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  -- Counts the values it had; the audit log shows it in place of the value.
  version int NOT NULL DEFAULT 1,
  key_id text COLLATE "C" NOT NULL,
  ciphertext bytea NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT lumentra.now_ms(),
  PRIMARY KEY (tenant_id, name)
);
CREATE INDEX tenant_secrets_by_key ON lumentra.tenant_secrets (key_id);

-- The last change of each tenant. Numbers are handed out under the counter's row lock, which is held until commit:
-- whoever has seen number n has seen all before it, which a sequence would not give.
CREATE TABLE lumentra.tenant_changes (
  tenant_id text COLLATE "C" PRIMARY KEY,
  reseller_id text COLLATE "C" NOT NULL,
  change_number bigint NOT NULL UNIQUE,
  deleted boolean NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE lumentra.tenant_change_counter (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  last_change bigint NOT NULL,
  -- Deletions up to this number may have been forgotten.
  forgotten_change bigint NOT NULL
);
INSERT INTO lumentra.tenant_change_counter (last_change, forgotten_change) VALUES (0, 0);

-- A row is stamped by the database, whatever the statement said.
CREATE FUNCTION lumentra.stamp() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  NEW.etag := lumentra.new_etag();
  NEW.updated_at := lumentra.now_ms();
  RETURN NEW;
END
$$;

CREATE FUNCTION lumentra.stamp_tenant() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  NEW.etag := lumentra.new_etag();
  NEW.updated_at := lumentra.now_ms();
  IF NEW.config IS DISTINCT FROM OLD.config THEN
    NEW.version := OLD.version + 1;
  END IF;
  RETURN NEW;
END
$$;

CREATE TRIGGER stamp BEFORE UPDATE ON lumentra.resellers
  FOR EACH ROW EXECUTE FUNCTION lumentra.stamp();
CREATE TRIGGER stamp BEFORE UPDATE ON lumentra.phone_numbers
  FOR EACH ROW EXECUTE FUNCTION lumentra.stamp();
CREATE TRIGGER stamp BEFORE UPDATE ON lumentra.tenants
  FOR EACH ROW EXECUTE FUNCTION lumentra.stamp_tenant();

-- A reseller may change its own branding and nothing else, also when a service forgets to check.
CREATE FUNCTION lumentra.guard_reseller() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF NOT lumentra.scope_is_all()
    AND (NEW.id, NEW.name, NEW.limits, NEW.suspended) IS DISTINCT FROM (OLD.id, OLD.name, OLD.limits, OLD.suspended)
  THEN
    RAISE EXCEPTION 'a reseller may change its branding only' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER guard BEFORE UPDATE ON lumentra.resellers
  FOR EACH ROW EXECUTE FUNCTION lumentra.guard_reseller();

-- A tenant stays its reseller's: the column is copied into every row below it.
CREATE FUNCTION lumentra.guard_tenant() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF (NEW.id, NEW.reseller_id) IS DISTINCT FROM (OLD.id, OLD.reseller_id) THEN
    RAISE EXCEPTION 'a tenant keeps its id and its reseller' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER guard BEFORE UPDATE ON lumentra.tenants
  FOR EACH ROW EXECUTE FUNCTION lumentra.guard_tenant();

-- SECURITY DEFINER: what follows from a change is written by the owner, into tables the login role may only read.
-- The owner is under row-level security too (FORCE), so each table has a policy for it. A setting of the function's own
-- would do, but only a superuser may attach one, and the owner on a managed server is none.
CREATE FUNCTION lumentra.note_tenant_changes(changed text[], is_deleted boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  base bigint;
BEGIN
  IF coalesce(cardinality(changed), 0) = 0 THEN
    RETURN;
  END IF;
  UPDATE lumentra.tenant_change_counter SET last_change = last_change + cardinality(changed)
    RETURNING last_change - cardinality(changed) INTO base;
  INSERT INTO lumentra.tenant_changes AS c (tenant_id, reseller_id, change_number, deleted)
    SELECT t.id, coalesce(r.reseller_id, g.reseller_id), base + t.position, is_deleted
    FROM unnest(changed) WITH ORDINALITY AS t (id, position)
    LEFT JOIN lumentra.tenants r ON r.id = t.id
    LEFT JOIN lumentra.deleted_tenants g ON g.tenant_id = t.id
    ON CONFLICT (tenant_id) DO UPDATE SET reseller_id = excluded.reseller_id,
      change_number = excluded.change_number, deleted = excluded.deleted, changed_at = now();
  PERFORM pg_notify('lumentra_tenants', '');
END
$$;
REVOKE EXECUTE ON FUNCTION lumentra.note_tenant_changes FROM PUBLIC;

CREATE FUNCTION lumentra.after_tenant() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    INSERT INTO lumentra.deleted_tenants (tenant_id, reseller_id, call_days)
      VALUES (OLD.id, OLD.reseller_id, coalesce((OLD.config #>> '{retention,callDays}')::int, 365))
      ON CONFLICT (tenant_id) DO UPDATE SET call_days = excluded.call_days, deleted_at = lumentra.now_ms();
    PERFORM lumentra.note_tenant_changes(ARRAY[OLD.id], true);
    RETURN NULL;
  END IF;
  IF TG_OP = 'INSERT' OR NEW.version <> OLD.version THEN
    INSERT INTO lumentra.tenant_versions (tenant_id, reseller_id, version, config)
      VALUES (NEW.id, NEW.reseller_id, NEW.version, NEW.config);
  END IF;
  IF TG_OP = 'INSERT' THEN
    DELETE FROM lumentra.deleted_tenants WHERE tenant_id = NEW.id;
  END IF;
  PERFORM lumentra.note_tenant_changes(ARRAY[NEW.id], false);
  RETURN NULL;
END
$$;
CREATE TRIGGER follow AFTER INSERT OR UPDATE OR DELETE ON lumentra.tenants
  FOR EACH ROW EXECUTE FUNCTION lumentra.after_tenant();

CREATE FUNCTION lumentra.after_phone_number() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  -- A tenant that is being deleted takes its numbers with it; its own trigger tells of that.
  PERFORM lumentra.note_tenant_changes(array(
    SELECT id FROM lumentra.tenants
    WHERE id IN (CASE WHEN TG_OP <> 'INSERT' THEN OLD.tenant_id END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.tenant_id END)
  ), false);
  RETURN NULL;
END
$$;
CREATE TRIGGER follow AFTER INSERT OR UPDATE OR DELETE ON lumentra.phone_numbers
  FOR EACH ROW EXECUTE FUNCTION lumentra.after_phone_number();

CREATE FUNCTION lumentra.after_reseller() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  PERFORM lumentra.note_tenant_changes(
    array(SELECT id FROM lumentra.tenants WHERE reseller_id = NEW.id ORDER BY id), false);
  RETURN NULL;
END
$$;
CREATE TRIGGER follow AFTER UPDATE ON lumentra.resellers
  FOR EACH ROW WHEN (OLD.suspended IS DISTINCT FROM NEW.suspended) EXECUTE FUNCTION lumentra.after_reseller();

-- Deletions are kept a week; a watcher with an older number starts from nothing.
CREATE FUNCTION lumentra.forget_deletions(before timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  newest bigint;
BEGIN
  WITH gone AS (
    DELETE FROM lumentra.tenant_changes WHERE deleted AND changed_at < before RETURNING change_number
  ) SELECT max(change_number) INTO newest FROM gone;
  UPDATE lumentra.tenant_change_counter SET forgotten_change = newest WHERE newest > forgotten_change;
END
$$;

-- Whether an id may be given to a tenant of this reseller. SECURITY DEFINER: the row may be another reseller's.
CREATE FUNCTION lumentra.tenant_id_is_free(wanted text, for_reseller text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT NOT EXISTS (SELECT FROM lumentra.tenants WHERE id = wanted)
    AND NOT EXISTS (SELECT FROM lumentra.deleted_tenants WHERE tenant_id = wanted AND reseller_id <> for_reseller)
$$;

-- The way in: a key is looked up before anybody knows whose it is.
CREATE FUNCTION lumentra.api_keys_by_prefix(wanted text)
RETURNS TABLE (id text, reseller_id text, name text, prefix text, hash bytea, scopes text[], created_at timestamptz,
  expires_at timestamptz, last_used_at timestamptz, revoked_at timestamptz, reseller_suspended boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT k.id, k.reseller_id, k.name, k.prefix, k.hash, k.scopes, k.created_at, k.expires_at, k.last_used_at,
    k.revoked_at, coalesce(r.suspended, false)
  FROM lumentra.api_keys k LEFT JOIN lumentra.resellers r ON r.id = k.reseller_id
  WHERE k.prefix = wanted
$$;

ALTER TABLE lumentra.resellers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON lumentra.resellers
  USING ((SELECT lumentra.scope_is_all())) WITH CHECK ((SELECT lumentra.scope_is_all()));
CREATE POLICY own ON lumentra.resellers FOR SELECT USING (id = (SELECT lumentra.scope_reseller()));
CREATE POLICY own_update ON lumentra.resellers FOR UPDATE
  USING (id = (SELECT lumentra.scope_reseller())) WITH CHECK (id = (SELECT lumentra.scope_reseller()));
CREATE POLICY owner ON lumentra.resellers TO CURRENT_USER USING (true) WITH CHECK (true);
-- A tenant's transaction may know whether its reseller is suspended.
CREATE POLICY of_tenant ON lumentra.resellers FOR SELECT USING (
  id = (SELECT t.reseller_id FROM lumentra.tenants t WHERE t.id = (SELECT lumentra.scope_tenant())));

ALTER TABLE lumentra.api_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON lumentra.api_keys TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY manage ON lumentra.api_keys
  USING ((SELECT lumentra.scope_is_all()) OR reseller_id = (SELECT lumentra.scope_reseller()))
  WITH CHECK ((SELECT lumentra.scope_is_all()) OR reseller_id = (SELECT lumentra.scope_reseller()));

ALTER TABLE lumentra.tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON lumentra.tenants TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY manage ON lumentra.tenants
  USING ((SELECT lumentra.scope_is_all()) OR reseller_id = (SELECT lumentra.scope_reseller()))
  WITH CHECK ((SELECT lumentra.scope_is_all()) OR reseller_id = (SELECT lumentra.scope_reseller()));
CREATE POLICY own ON lumentra.tenants FOR SELECT USING (id = (SELECT lumentra.scope_tenant()));

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['tenant_versions', 'deleted_tenants', 'phone_numbers', 'tenant_secrets', 'tenant_changes']
  LOOP
    EXECUTE format('ALTER TABLE lumentra.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY owner ON lumentra.%I TO CURRENT_USER USING (true) WITH CHECK (true)', name);
    EXECUTE format('CREATE POLICY manage ON lumentra.%I
      USING ((SELECT lumentra.scope_is_all()) OR reseller_id = (SELECT lumentra.scope_reseller()))
      WITH CHECK ((SELECT lumentra.scope_is_all()) OR reseller_id = (SELECT lumentra.scope_reseller()))', name);
    EXECUTE format('CREATE POLICY own ON lumentra.%I FOR SELECT
      USING (tenant_id = (SELECT lumentra.scope_tenant()))', name);
  END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON lumentra.resellers, lumentra.tenants, lumentra.phone_numbers,
  lumentra.tenant_secrets TO lumentra_app;
GRANT SELECT, INSERT, UPDATE ON lumentra.api_keys TO lumentra_app;
GRANT SELECT ON lumentra.tenant_versions, lumentra.deleted_tenants, lumentra.tenant_changes,
  lumentra.tenant_change_counter TO lumentra_app;
REVOKE EXECUTE ON FUNCTION lumentra.forget_deletions, lumentra.tenant_id_is_free, lumentra.api_keys_by_prefix
  FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lumentra.forget_deletions, lumentra.tenant_id_is_free, lumentra.api_keys_by_prefix
  TO lumentra_app;

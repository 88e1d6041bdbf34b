-- The login role of the control plane, and what a transaction may see.
--
-- lumentra_app owns nothing and cannot get around row-level security. It gets its password from `lumentra migrate`.
-- Each transaction says who asks by three settings, local to it: lumentra.scope (operator, system, reseller or
-- tenant), lumentra.reseller_id, lumentra.tenant_id; and lumentra.actor for the audit log. None set: nothing is shown.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'lumentra_app') THEN
    CREATE ROLE lumentra_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT;
  END IF;
EXCEPTION
  -- Roles belong to the whole server: a second database of it was migrated at the same moment.
  WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

GRANT USAGE ON SCHEMA lumentra TO lumentra_app;

-- Policies call these as (SELECT …), so that they run once for a statement and not once for a row. An equality
-- with one of them can use an index: text equality is leakproof.
CREATE FUNCTION lumentra.scope_is_all() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  RETURN coalesce(current_setting('lumentra.scope', true) IN ('operator', 'system'), false);

CREATE FUNCTION lumentra.scope_is_system() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  RETURN coalesce(current_setting('lumentra.scope', true) = 'system', false);

CREATE FUNCTION lumentra.scope_reseller() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  RETURN CASE WHEN current_setting('lumentra.scope', true) = 'reseller'
    THEN nullif(current_setting('lumentra.reseller_id', true), '') END;

CREATE FUNCTION lumentra.scope_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  RETURN CASE WHEN current_setting('lumentra.scope', true) = 'tenant'
    THEN nullif(current_setting('lumentra.tenant_id', true), '') END;

-- Instants that go into page keys are whole milliseconds: a JavaScript Date holds no more.
CREATE FUNCTION lumentra.now_ms() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
  RETURN date_trunc('milliseconds', now());

CREATE FUNCTION lumentra.new_etag() RETURNS text LANGUAGE sql VOLATILE
  RETURN left(replace(gen_random_uuid()::text, '-', ''), 16);

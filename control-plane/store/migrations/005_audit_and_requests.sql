-- Who changed what, written by triggers in the transaction of the change; and answers kept for repeated requests.

CREATE TABLE lumentra.audit_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL CHECK (actor <> ''),
  action text NOT NULL CHECK (action IN ('create', 'update', 'delete')),
  resource_kind text COLLATE "C" NOT NULL,
  resource_id text COLLATE "C" NOT NULL,
  -- Empty: nobody's.
  reseller_id text COLLATE "C" NOT NULL,
  tenant_id text COLLATE "C" NOT NULL,
  changes jsonb NOT NULL
);
CREATE INDEX audit_log_by_reseller ON lumentra.audit_log (reseller_id, id);
CREATE INDEX audit_log_by_tenant ON lumentra.audit_log (tenant_id, id);
CREATE INDEX audit_log_by_resource ON lumentra.audit_log (resource_kind, resource_id, id);

-- Append-only: there is no policy for UPDATE and DELETE, so under FORCE not even the owner can.
ALTER TABLE lumentra.audit_log ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY append ON lumentra.audit_log FOR INSERT TO CURRENT_USER WITH CHECK (true);
CREATE POLICY owner ON lumentra.audit_log FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY read ON lumentra.audit_log FOR SELECT USING (
  (SELECT lumentra.scope_is_all()) OR reseller_id = (SELECT lumentra.scope_reseller())
  OR tenant_id = (SELECT lumentra.scope_tenant()));
GRANT SELECT ON lumentra.audit_log TO lumentra_app;

-- SECURITY DEFINER: the login role may not write the log. A change that nobody signs is refused.
CREATE FUNCTION lumentra.write_audit(action text, kind text, id text, reseller text, tenant text, changes jsonb)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  who text := nullif(current_setting('lumentra.actor', true), '');
BEGIN
  IF who IS NULL THEN
    RAISE EXCEPTION 'a change needs an actor (setting lumentra.actor)' USING ERRCODE = 'insufficient_privilege';
  END IF;
  INSERT INTO lumentra.audit_log (actor, action, resource_kind, resource_id, reseller_id, tenant_id, changes)
    VALUES (who, action, kind, id, coalesce(reseller, ''), coalesce(tenant, ''), changes);
END
$$;
REVOKE EXECUTE ON FUNCTION lumentra.write_audit FROM PUBLIC;

-- For what is not a row here (a node's drain, a call that is hung up); never of a kind that the triggers write, and by
-- a reseller for itself alone.
CREATE FUNCTION lumentra.note_audit(action text, kind text, id text, reseller text, tenant text, changes jsonb)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  IF NOT (lumentra.scope_is_all() OR (reseller = lumentra.scope_reseller()) IS TRUE)
    OR kind IN ('reseller', 'api_key', 'tenant', 'phone_number', 'tenant_secret')
  THEN
    RAISE EXCEPTION 'not to be noted: %', kind USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM lumentra.write_audit(action, kind, id, reseller, tenant, changes);
END
$$;
REVOKE EXECUTE ON FUNCTION lumentra.note_audit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lumentra.note_audit TO lumentra_app;

-- The columns of a row that the log shows: no hash, no ciphertext, nothing that changes by itself. A configuration is
-- shown by its fields.
CREATE FUNCTION lumentra.audited(data jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
  SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM (
    SELECT key, value FROM jsonb_each(data)
    WHERE key NOT IN ('hash', 'ciphertext', 'key_id', 'etag', 'created_at', 'updated_at', 'last_used_at', 'config')
    UNION ALL
    SELECT 'config.' || key, value FROM jsonb_each(CASE WHEN data ? 'config' THEN data -> 'config' ELSE '{}' END)
  ) AS shown
$$;

CREATE FUNCTION lumentra.audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  kind text := TG_ARGV[0];
  before jsonb := CASE WHEN TG_OP = 'INSERT' THEN '{}' ELSE lumentra.audited(to_jsonb(OLD)) END;
  after jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{}' ELSE lumentra.audited(to_jsonb(NEW)) END;
  row_now jsonb := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
  changes jsonb;
BEGIN
  SELECT jsonb_object_agg(key, jsonb_build_object('from', b.value, 'to', a.value)) INTO changes
    FROM jsonb_each(before) b FULL JOIN jsonb_each(after) a USING (key)
    WHERE b.value IS DISTINCT FROM a.value;
  -- Nothing that the log shows has changed: a key's last use, a secret encrypted again.
  IF changes IS NULL THEN
    RETURN NULL;
  END IF;
  PERFORM lumentra.write_audit(
    CASE TG_OP WHEN 'INSERT' THEN 'create' WHEN 'UPDATE' THEN 'update' ELSE 'delete' END,
    kind,
    CASE kind WHEN 'phone_number' THEN row_now ->> 'number'
      WHEN 'tenant_secret' THEN (row_now ->> 'tenant_id') || '/' || (row_now ->> 'name')
      ELSE row_now ->> 'id' END,
    CASE kind WHEN 'reseller' THEN row_now ->> 'id' ELSE row_now ->> 'reseller_id' END,
    CASE kind WHEN 'tenant' THEN row_now ->> 'id' ELSE row_now ->> 'tenant_id' END,
    changes);
  RETURN NULL;
END
$$;

CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON lumentra.resellers
  FOR EACH ROW EXECUTE FUNCTION lumentra.audit('reseller');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON lumentra.api_keys
  FOR EACH ROW EXECUTE FUNCTION lumentra.audit('api_key');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON lumentra.tenants
  FOR EACH ROW EXECUTE FUNCTION lumentra.audit('tenant');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON lumentra.phone_numbers
  FOR EACH ROW EXECUTE FUNCTION lumentra.audit('phone_number');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON lumentra.tenant_secrets
  FOR EACH ROW EXECUTE FUNCTION lumentra.audit('tenant_secret');

-- Answers by who asked and the id they gave, for a day. Encrypted as secrets are: an answer may hold anything.
CREATE TABLE lumentra.requests (
  principal text COLLATE "C" NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  fingerprint text NOT NULL,
  key_id text NOT NULL,
  answer bytea NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (principal, request_id)
);
CREATE INDEX requests_by_age ON lumentra.requests (at);
-- Whose they are is the store's to say; without any scope there is nothing to be seen here either.
ALTER TABLE lumentra.requests ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON lumentra.requests TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY own ON lumentra.requests
  USING ((SELECT lumentra.scope_is_system()) OR principal = (SELECT nullif(current_setting('lumentra.principal', true), '')))
  WITH CHECK (principal = (SELECT nullif(current_setting('lumentra.principal', true), '')));
GRANT SELECT, INSERT, UPDATE, DELETE ON lumentra.requests TO lumentra_app;

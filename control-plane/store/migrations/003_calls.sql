-- Calls and their journals, partitioned by the month in which the call began.
--
-- A call's partition is found by its id through call_ids, the one table of the three that is not partitioned: a
-- primary key over partitions must hold the partition key. Both partitioned tables are cut by the same instant, so a
-- whole call lies in one partition of each.

CREATE TABLE lumentra.call_ids (
  id text COLLATE "C" PRIMARY KEY,
  started_at timestamptz NOT NULL,
  tenant_id text COLLATE "C" NOT NULL,
  reseller_id text COLLATE "C" NOT NULL
);

CREATE TABLE lumentra.calls (
  id text COLLATE "C" NOT NULL,
  started_at timestamptz NOT NULL,
  tenant_id text COLLATE "C" NOT NULL,
  reseller_id text COLLATE "C" NOT NULL,
  state text NOT NULL CHECK (state IN ('live', 'suspended', 'ended')),
  carrier text NOT NULL,
  carrier_call_id text NOT NULL,
  pii_from text NOT NULL,
  pii_to text NOT NULL,
  node_id text NOT NULL,
  epoch bigint NOT NULL,
  next_sequence int NOT NULL,
  ended_at timestamptz,
  outcome text,
  caller_turns int NOT NULL DEFAULT 0,
  resumes int NOT NULL DEFAULT 0,
  -- Of each answered turn, in order.
  voice_to_voice_ms real[] NOT NULL DEFAULT '{}',
  suspended_at timestamptz,
  -- Suspended or ended by us because nobody renewed its lease, and not by its own journal.
  lost boolean NOT NULL DEFAULT false,
  -- callEnded is in the journal: nothing more comes.
  closed boolean NOT NULL DEFAULT false,
  -- Whose minutes it costs, as its tenant was configured when it began.
  providers text[] NOT NULL,
  -- What usage_days holds of it: {"day", "seconds", "costs"}; null until it ended.
  counted jsonb,
  PRIMARY KEY (id, started_at)
) PARTITION BY RANGE (started_at);
CREATE INDEX calls_by_start ON lumentra.calls (started_at, id);
CREATE INDEX calls_by_tenant ON lumentra.calls (tenant_id, started_at, id);
CREATE INDEX calls_by_reseller ON lumentra.calls (reseller_id, started_at, id);
-- Small at all times: what is going on now.
CREATE INDEX calls_going_on ON lumentra.calls (started_at, id) WHERE state <> 'ended';

CREATE TABLE lumentra.journal_events (
  call_id text COLLATE "C" NOT NULL,
  call_started_at timestamptz NOT NULL,
  sequence int NOT NULL,
  tenant_id text COLLATE "C" NOT NULL,
  reseller_id text COLLATE "C" NOT NULL,
  epoch bigint NOT NULL,
  kind text NOT NULL,
  at_ms double precision NOT NULL,
  at_unix_ms double precision NOT NULL,
  -- The fact without what callers say or dial, and that.
  data jsonb NOT NULL,
  pii jsonb,
  -- What was said or heard, lower case, of the events that have it. Searched by LIKE within a call that was found by
  -- tenant and time. Neither pg_trgm nor tsvector: their operators are not leakproof, so under row-level security no
  -- plan may ask their index before the policy, and an index that is only written costs every append.
  words text,
  PRIMARY KEY (call_id, sequence, call_started_at)
) PARTITION BY RANGE (call_started_at);
CREATE INDEX journal_events_with_words ON lumentra.journal_events (call_id) WHERE words IS NOT NULL;

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['call_ids', 'calls', 'journal_events'] LOOP
    EXECUTE format('ALTER TABLE lumentra.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY owner ON lumentra.%I TO CURRENT_USER USING (true) WITH CHECK (true)', name);
    EXECUTE format('CREATE POLICY write ON lumentra.%I
      USING ((SELECT lumentra.scope_is_system())) WITH CHECK ((SELECT lumentra.scope_is_system()))', name);
    EXECUTE format('CREATE POLICY read ON lumentra.%I FOR SELECT USING (
      (SELECT lumentra.scope_is_all()) OR reseller_id = (SELECT lumentra.scope_reseller())
      OR tenant_id = (SELECT lumentra.scope_tenant()))', name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON lumentra.%I TO lumentra_app', name);
  END LOOP;
END
$$;

-- The partitions of a month, made when missing. SECURITY DEFINER: the login role makes no tables. Made beside and
-- then attached, which takes no lock that a reader or writer would wait for. The login role gets no right on a
-- partition: it reaches the rows through the parent and its policies alone.
CREATE FUNCTION lumentra.ensure_call_partitions(instant timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  first timestamp := date_trunc('month', instant AT TIME ZONE 'UTC');
  parent text;
  part text;
BEGIN
  IF instant NOT BETWEEN now() - interval '11 years' AND now() + interval '3 months' THEN
    RAISE EXCEPTION 'no partitions for %', instant USING ERRCODE = 'invalid_parameter_value';
  END IF;
  FOREACH parent IN ARRAY ARRAY['calls', 'journal_events'] LOOP
    part := parent || to_char(first, '_YYYY_MM');
    CONTINUE WHEN to_regclass('lumentra.' || part) IS NOT NULL;
    PERFORM pg_advisory_xact_lock(hashtextextended('lumentra partitions', 0));
    -- Not to_regclass again: it answers from a cache, and waiting for an advisory lock does not refresh that.
    CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = 'lumentra'::regnamespace);
    -- Rows of calls are updated with each batch: room in the page keeps that out of the indexes.
    EXECUTE format('CREATE TABLE lumentra.%I (LIKE lumentra.%I INCLUDING ALL) WITH (fillfactor = %s)',
      part, parent, CASE parent WHEN 'calls' THEN 70 ELSE 100 END);
    EXECUTE format('ALTER TABLE lumentra.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE lumentra.%I ATTACH PARTITION lumentra.%I FOR VALUES FROM (%L) TO (%L)',
      parent, part, first AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC');
  END LOOP;
END
$$;

-- Drops partitions of past months that retention has emptied; how many. It asks the parents: asked directly,
-- a partition shows nothing to anybody.
CREATE FUNCTION lumentra.drop_empty_call_partitions() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  part text;
  first timestamptz;
  dropped int := 0;
BEGIN
  FOR part IN
    SELECT substr(c.relname, length('calls_') + 1) FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'lumentra.calls'::regclass AND c.relname ~ '^calls_\d{4}_\d{2}$'
  LOOP
    first := to_date(part, 'YYYY_MM')::timestamp AT TIME ZONE 'UTC';
    CONTINUE WHEN first > now() - interval '2 months';
    -- Nothing can be added between the look and the drop.
    EXECUTE format('LOCK TABLE lumentra.%I, lumentra.%I IN ACCESS EXCLUSIVE MODE', 'calls_' || part, 'journal_events_' || part);
    CONTINUE WHEN EXISTS (SELECT FROM lumentra.calls
        WHERE started_at >= first AND started_at < (first AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC')
      OR EXISTS (SELECT FROM lumentra.journal_events
        WHERE call_started_at >= first
          AND call_started_at < (first AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
    EXECUTE format('DROP TABLE lumentra.%I', 'calls_' || part);
    EXECUTE format('DROP TABLE IF EXISTS lumentra.%I', 'journal_events_' || part);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END
$$;

REVOKE EXECUTE ON FUNCTION lumentra.ensure_call_partitions, lumentra.drop_empty_call_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lumentra.ensure_call_partitions, lumentra.drop_empty_call_partitions TO lumentra_app;

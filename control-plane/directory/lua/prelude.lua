-- Stands before every script: the time, the generation, and how a call's record is read, counted and ended.
--
-- KEYS[1]  the generation, `{prefix}:generation`. All other keys begin as it does and so share its hash tag: one slot
--          of a cluster, one atomic step. They are made from arguments and records, so they are not declared; while a
--          cluster moves the slot away a script fails whole, before it has written, and is tried again by its caller.
-- ARGV[1]  '' for the server's own time; in tests, unix ms that stand in for it
-- ARGV[2]  id of the generation to make when there is none
-- ARGV[3]  rebuildMs   ARGV[4] outageMs, 0: off   ARGV[5] callKeptMs   ARGV[6] endedKeptMs   ARGV[7] nodeKeptMs
-- From ARGV[8] on the script's own: A1, A2, … in its header.
-- Result   an array; its first element is the id of the generation in force, the rest is the script's own.
--
-- generation           hash    id, until (nothing is granted before), swept (when expired leases were last taken out)
-- nodes:<shard>        zset    node id by the expiry of its lease; in a few shards, so that listing all is several short
--                              scripts, with placements in between, and not a long one
-- node:<id>            hash    registration, report (opaque JSON), incarnation, capacity, open (ready and not stopping),
--                              draining, gone, expiresAt, registeredAt, reportedAt
-- call:<id>            hash    a call's record; state is held (overdue when its time is up), taken or ended
-- carrier:<c>:<id>     string  call id of a carrier's call
-- leases, node-calls:<id>, tenant-calls:<id>, reseller-calls:<id>
--                      zset    call id by expiry: what expired stops counting without anybody doing anything
local PREFIX = string.sub(KEYS[1], 1, -11)
local CALL_KEPT, ENDED_KEPT, NODE_KEPT = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local LEASES = PREFIX .. 'leases'

local now
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
else
  now = tonumber(ARGV[1])
end

local function A(index)
  return ARGV[7 + index]
end

local function int(number)
  return string.format('%.0f', number)
end

-- The generation. A server that forgot has none; one that nobody swept for a time knows leases that nobody could
-- renew, and asks again in the same way. Whoever notices first makes the next generation.
local generation, rebuildUntil, sweptAt = unpack(redis.call('HMGET', KEYS[1], 'id', 'until', 'swept'))
rebuildUntil = tonumber(rebuildUntil or 0)
local outage = tonumber(ARGV[4])
if not generation or (sweptAt and outage > 0 and now - tonumber(sweptAt) > outage) then
  generation = ARGV[2]
  rebuildUntil = now + tonumber(ARGV[3])
  redis.call('HSET', KEYS[1], 'id', generation, 'until', int(rebuildUntil))
  redis.call('HDEL', KEYS[1], 'swept')
  redis.call('PUBLISH', PREFIX .. 'rebuild', generation)
end
local rebuilding = now < rebuildUntil

local function carrierKey(carrier, carrierCall)
  return PREFIX .. 'carrier:' .. carrier .. ':' .. carrierCall
end

-- The record of a call, nil when there is none (any more).
local function loadCall(id)
  local f = redis.call('HMGET', PREFIX .. 'call:' .. id, 'state', 'epoch', 'node', 'tenant', 'reseller', 'carrier',
    'carrierCall', 'live', 'resumed', 'from', 'to', 'keptUntil')
  if not f[1] then
    return nil
  end
  local call = { id = id, state = f[1], epoch = tonumber(f[2]), node = f[3], tenant = f[4], reseller = f[5],
    carrier = f[6], carrierCall = f[7], live = f[8], resumed = f[9], from = f[10], to = f[11], expiresAt = 0 }
  if call.state == 'held' then
    call.expiresAt = tonumber(redis.call('ZSCORE', LEASES, id) or 0)
    if call.expiresAt + CALL_KEPT <= now then
      return nil
    end
    if call.expiresAt <= now then
      call.state = 'overdue'
    end
  elseif tonumber(f[12]) <= now then
    return nil
  end
  return call
end

-- The record of a carrier's call. A record made anew under the old id, of another carrier call, is not meant.
local function loadCarrierCall(carrier, carrierCall)
  local id = carrierCall ~= '' and redis.call('GET', carrierKey(carrier, carrierCall))
  local call = id and loadCall(id)
  if call and call.carrier == carrier and call.carrierCall == carrierCall then
    return call
  end
  return nil
end

local function countCall(call, expiresAt)
  call.expiresAt = expiresAt
  local score = int(expiresAt)
  redis.call('ZADD', LEASES, score, call.id)
  redis.call('ZADD', PREFIX .. 'node-calls:' .. call.node, score, call.id)
  redis.call('ZADD', PREFIX .. 'tenant-calls:' .. call.tenant, score, call.id)
  redis.call('ZADD', PREFIX .. 'reseller-calls:' .. call.reseller, score, call.id)
end

local function uncountCall(call)
  redis.call('ZREM', LEASES, call.id)
  redis.call('ZREM', PREFIX .. 'node-calls:' .. call.node, call.id)
  redis.call('ZREM', PREFIX .. 'tenant-calls:' .. call.tenant, call.id)
  redis.call('ZREM', PREFIX .. 'reseller-calls:' .. call.reseller, call.id)
end

local function keepCall(call, forMs)
  redis.call('HSET', PREFIX .. 'call:' .. call.id, 'keptUntil', int(now + forMs))
  redis.call('PEXPIRE', PREFIX .. 'call:' .. call.id, int(forMs))
  if call.carrierCall ~= '' then
    redis.call('PEXPIRE', carrierKey(call.carrier, call.carrierCall), int(forMs))
  end
end

-- The same owner goes on: whatever the record was, it is held again and counts.
local function renewCall(call, expiresAt)
  call.state = 'held'
  redis.call('HSET', PREFIX .. 'call:' .. call.id, 'state', 'held', 'live', call.live)
  countCall(call, expiresAt)
  keepCall(call, expiresAt - now + CALL_KEPT)
end

-- Writes the whole record as held and counts it. What it counted before must have been uncounted.
local function holdCall(call, expiresAt)
  call.state = 'held'
  redis.call('HSET', PREFIX .. 'call:' .. call.id, 'state', 'held', 'epoch', int(call.epoch), 'node', call.node,
    'tenant', call.tenant, 'reseller', call.reseller, 'carrier', call.carrier, 'carrierCall', call.carrierCall,
    'live', call.live, 'resumed', call.resumed, 'from', call.from, 'to', call.to)
  if call.carrierCall ~= '' then
    redis.call('SET', carrierKey(call.carrier, call.carrierCall), call.id)
  end
  countCall(call, expiresAt)
  keepCall(call, expiresAt - now + CALL_KEPT)
end

-- state: 'taken' (it can be resumed or claimed again) or 'ended'. Personal data of an ended call goes at once.
local function putAwayCall(call, state)
  uncountCall(call)
  redis.call('HSET', PREFIX .. 'call:' .. call.id, 'state', state)
  if state == 'ended' then
    redis.call('HSET', PREFIX .. 'call:' .. call.id, 'from', '', 'to', '')
  end
  keepCall(call, ENDED_KEPT)
end

-- Appends the 12 strings that make a Lease.
local function addLease(result, call)
  for _, value in ipairs({ call.id, int(call.epoch), call.node, call.tenant, call.reseller, call.carrier,
    call.carrierCall, call.live, call.resumed, int(call.expiresAt), call.from, call.to }) do
    result[#result + 1] = value
  end
  return result
end

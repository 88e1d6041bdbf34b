-- The nodes of one shard with the calls counted on each: about 5 us a node. All shards are asked at once, in one round
-- trip.
--
-- A1 shard
-- Result: generation, then 7 for each node: registration, report (JSON), draining, registeredAt, reportedAt, alive, calls
local shard = PREFIX .. 'nodes:' .. A(1)
local result = { generation }
for _, id in ipairs(redis.call('ZRANGE', shard, 0, -1)) do
  local key = PREFIX .. 'node:' .. id
  local registration, report, draining, registeredAt, reportedAt, expiresAt = unpack(
    redis.call('HMGET', key, 'registration', 'report', 'draining', 'registeredAt', 'reportedAt', 'expiresAt'))
  if not registration or tonumber(expiresAt) + NODE_KEPT <= now then
    redis.call('ZREM', shard, id)
    redis.call('DEL', key)
  else
    local at = #result
    result[at + 1], result[at + 2], result[at + 3] = registration, report, draining
    result[at + 4], result[at + 5] = registeredAt, reportedAt
    result[at + 6] = tonumber(expiresAt) > now and '1' or '0'
    result[at + 7] = redis.call('ZCOUNT', PREFIX .. 'node-calls:' .. id, '(' .. int(now), '+inf')
  end
end
return result

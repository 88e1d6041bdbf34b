-- Takes out leases whose time ran out: whoever gets one is the only one to get it.
--
-- A1 how many at most
-- Result: generation, then 12 for each lease, the longest expired first; none while rebuilding
local result = { generation }
redis.call('HSET', KEYS[1], 'swept', int(now))
if rebuilding then
  return result
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', int(now), 'LIMIT', 0, A(1))) do
  local call = loadCall(id)
  if call then
    addLease(result, call)
    putAwayCall(call, 'taken')
  else
    redis.call('ZREM', LEASES, id)
  end
end
return result

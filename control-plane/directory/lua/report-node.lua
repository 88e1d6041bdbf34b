-- What a node says of itself, once a second.
--
-- A1 node id  A2 incarnation  A3 report (JSON)  A4 '1' when it takes calls (ready and not stopping)  A5 leaseMs  A6 shard
-- Result: generation, 'ok' | 'replaced' | 'unknown'
local key = PREFIX .. 'node:' .. A(1)
local incarnation, gone, expiresAt = unpack(redis.call('HMGET', key, 'incarnation', 'gone', 'expiresAt'))
if not incarnation or gone == '1' or tonumber(expiresAt) + NODE_KEPT <= now then
  return { generation, 'unknown' }
end
if incarnation ~= A(2) then
  return { generation, 'replaced' }
end
local leaseMs = tonumber(A(5))
redis.call('HSET', key, 'report', A(3), 'open', A(4), 'reportedAt', int(now), 'expiresAt', int(now + leaseMs))
redis.call('PEXPIRE', key, int(leaseMs + NODE_KEPT))
redis.call('ZADD', PREFIX .. 'nodes:' .. A(6), int(now + leaseMs), A(1))
return { generation, 'ok' }

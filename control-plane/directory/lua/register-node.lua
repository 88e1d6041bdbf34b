-- A node is there (again).
--
-- A1 node id  A2 incarnation  A3 capacity in calls  A4 registration (JSON)  A5 leaseMs  A6 report of a node without one (JSON)
-- A7 shard  A8 report now (JSON), or '' for none  A9 '1' when by that it takes calls
-- Result: generation, draining ('1' or '0')
--
-- Without a report the same incarnation keeps its last one; a drain is kept whoever registers.
local key = PREFIX .. 'node:' .. A(1)
local incarnation, report, open, draining, registeredAt, knownUntil =
  unpack(redis.call('HMGET', key, 'incarnation', 'report', 'open', 'draining', 'registeredAt', 'expiresAt'))
if knownUntil and tonumber(knownUntil) + NODE_KEPT <= now then
  incarnation, draining = false, false
end
if incarnation ~= A(2) then
  report, open, registeredAt = A(6), '0', int(now)
end
if A(8) ~= '' then
  report, open = A(8), A(9)
end
local leaseMs = tonumber(A(5))
redis.call('HSET', key, 'incarnation', A(2), 'capacity', A(3), 'registration', A(4), 'report', report, 'open', open,
  'draining', draining or '0', 'gone', '0', 'registeredAt', registeredAt, 'reportedAt', int(now),
  'expiresAt', int(now + leaseMs))
redis.call('PEXPIRE', key, int(leaseMs + NODE_KEPT))
redis.call('ZADD', PREFIX .. 'nodes:' .. A(7), int(now + leaseMs), A(1))
return { generation, draining or '0' }

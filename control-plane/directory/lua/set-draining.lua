-- An operator drains a node, or ends that.
--
-- A1 node id  A2 '1' or '0'
-- Result: generation, '1', or '0' when there is no such node
local key = PREFIX .. 'node:' .. A(1)
local gone, expiresAt = unpack(redis.call('HMGET', key, 'gone', 'expiresAt'))
if gone ~= '0' or tonumber(expiresAt) + NODE_KEPT <= now then
  return { generation, '0' }
end
redis.call('HSET', key, 'draining', A(2))
return { generation, '1' }

-- A node said goodbye. Its record stays for a day, unlisted, for the drain in it.
--
-- A1 node id  A2 incarnation  A3 shard
-- Result: generation
local key = PREFIX .. 'node:' .. A(1)
local incarnation, gone = unpack(redis.call('HMGET', key, 'incarnation', 'gone'))
if incarnation == A(2) and gone == '0' then
  redis.call('HSET', key, 'gone', '1', 'expiresAt', int(now))
  redis.call('PEXPIRE', key, int(NODE_KEPT))
  redis.call('ZREM', PREFIX .. 'nodes:' .. A(3), A(1))
end
return { generation }

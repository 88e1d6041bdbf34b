-- Gives back everything a call counts for.
--
-- A1 call id  A2 epoch
-- Result: generation, '1', or '0' when there is no lease or another epoch is in force
local call = loadCall(A(1))
if not call then
  -- A claim that is on its way must not bring it back.
  local key = PREFIX .. 'call:' .. A(1)
  redis.call('DEL', key)
  redis.call('HSET', key, 'state', 'ended', 'epoch', A(2), 'node', '', 'tenant', '', 'reseller', '', 'carrier', '',
    'carrierCall', '', 'live', '0', 'resumed', '0', 'from', '', 'to', '', 'keptUntil', int(now + ENDED_KEPT))
  redis.call('PEXPIRE', key, int(ENDED_KEPT))
  return { generation, '0' }
end
if call.state == 'ended' or call.epoch ~= tonumber(A(2)) then
  return { generation, '0' }
end
local counted = call.state ~= 'taken'
putAwayCall(call, 'ended')
return { generation, counted and '1' or '0' }

-- Counts and grants a slot in one step (D2), or says why not.
--
-- A1 call id, used when the call is new  A2 carrier  A3 carrier's call id  A4 tenant  A5 reseller  A6 tenant's cap
-- A7 reseller's cap  A8 how many at the head are compared by load  A9 reservationMs  A10 '1': resume
-- A11 the highest epoch known to the caller  A12 from  A13 to  A14 with A10: resume only after this epoch, or 0
-- A15… node ids, in order of preference
-- Result: generation, then one of
--   'reserved' or 'existing', lease (12)    'refused', 'tenantCap' or 'resellerCap'    'full'    'ended', call id
--   'rebuilding'
if rebuilding then
  return { generation, 'rebuilding' }
end
local resume = A(10) == '1'
local afterEpoch = tonumber(A(14))

local call = loadCarrierCall(A(2), A(3)) or loadCall(A(1))
if call and call.state == 'ended' then
  return { generation, 'ended', call.id }
end
-- The same redirect came before, and was answered with a newer epoch.
local wasResumed = call and afterEpoch > 0 and call.epoch > afterEpoch
if call and call.state == 'held' and (not resume or wasResumed) then
  return addLease({ generation, 'existing' }, call)
end

-- How many count in a set. What expired goes from it here too, so that it stays small without a sweeper.
local function count(key)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', int(now))
  return redis.call('ZCARD', key)
end

if not resume then
  if count(PREFIX .. 'tenant-calls:' .. A(4)) >= tonumber(A(6)) then
    return { generation, 'refused', 'tenantCap' }
  end
  if count(PREFIX .. 'reseller-calls:' .. A(5)) >= tonumber(A(7)) then
    return { generation, 'refused', 'resellerCap' }
  end
end

local FIRST_NODE = 15
local head = FIRST_NODE + math.max(tonumber(A(8)), 1)
local best, bestLoad = nil, math.huge
for index = FIRST_NODE, #ARGV - 7 do
  if index >= head and best then
    break
  end
  local id = A(index)
  local capacity, open, draining, gone, expiresAt =
    unpack(redis.call('HMGET', PREFIX .. 'node:' .. id, 'capacity', 'open', 'draining', 'gone', 'expiresAt'))
  if open == '1' and draining == '0' and gone == '0' and tonumber(expiresAt) > now then
    capacity = tonumber(capacity)
    local calls = count(PREFIX .. 'node-calls:' .. id)
    -- A call that stays on its node needs no second slot there.
    if call and call.state == 'held' and call.node == id then
      calls = calls - 1
    end
    if calls < capacity and calls / capacity < bestLoad then
      best, bestLoad = id, calls / capacity
    end
  end
end
if not best then
  return { generation, 'full' }
end

local epoch = math.max(now, tonumber(A(11)) + 1)
local resumed = resume and '1' or '0'
if call then
  uncountCall(call)
  epoch = math.max(epoch, call.epoch + 1)
  if call.resumed == '1' or call.live == '1' then
    resumed = '1'
  end
  if call.carrierCall == '' then
    call.carrierCall = A(3)
  end
  if call.from == '' then
    call.from = A(12)
  end
  if call.to == '' then
    call.to = A(13)
  end
else
  call = { id = A(1), tenant = A(4), reseller = A(5), carrier = A(2), carrierCall = A(3), from = A(12), to = A(13) }
end
call.epoch, call.node, call.live, call.resumed = epoch, best, '0', resumed
holdCall(call, now + tonumber(A(9)))
return addLease({ generation, 'reserved' }, call)

-- Renews what a node holds and adopts what is unknown here; works while rebuilding, for that is what it is for.
--
-- A1 node id  A2 leaseMs  then 7 for each claim: call id, epoch, tenant, reseller, carrier, carrier's call id, live
-- Result: generation, then for each claim '' (held) or the epoch it was lost to
--
-- Renewals are what Redis does most (every live call, every second or two), so they are one HMGET each and a few
-- ZADDs for all together; everything else takes the slow path.
local node, leaseMs = A(1), tonumber(A(2))
local expiresAt = int(now + leaseMs)
local result = { generation }
local renewals = {}

local function renew(key, id)
  local list = renewals[key]
  if not list then
    list = { 'ZADD', key }
    renewals[key] = list
  end
  list[#list + 1] = expiresAt
  list[#list + 1] = id
end

local function writeRenewals()
  for _, command in pairs(renewals) do
    redis.call(unpack(command))
  end
  renewals = {}
end

-- What is not a plain renewal. Returns the epoch it was lost to, or ''.
local function claimSlowly(id, epoch, tenant, reseller, carrier, carrierCall, live)
  local call = loadCall(id)
  if call then
    if epoch == call.epoch and node == call.node and call.state ~= 'ended' then
      local until_ = now + leaseMs
      if call.live ~= '1' and live ~= '1' then
        -- A reservation is not made shorter by the node that waits for its media.
        until_ = math.max(until_, call.expiresAt)
      else
        call.live = '1'
      end
      renewCall(call, until_)
      return ''
    end
    if epoch <= call.epoch then
      return int(call.epoch)
    end
  end
  -- The same carrier call under another id: it was placed anew while nobody knew of this one. One of them stays: the
  -- one with media, which a reservation whose answer came too late for its webhook has not; of two with media the newer.
  -- Before either has any nobody can say which one the carrier was told of: neither is lost, and the first is counted.
  local other = loadCarrierCall(carrier, carrierCall)
  if other and other.id ~= id and (other.state == 'held' or other.state == 'overdue') then
    local isReservedOnly = other.live ~= '1'
    if isReservedOnly and live ~= '1' and other.state == 'held' then
      return ''
    end
    if other.epoch >= epoch and not isReservedOnly then
      return int(other.epoch)
    end
    putAwayCall(other, 'ended')
  end
  if call then
    uncountCall(call)
  end
  holdCall({ id = id, epoch = epoch, node = node, tenant = tenant, reseller = reseller, carrier = carrier,
    carrierCall = carrierCall, live = live, resumed = call and '1' or '0', from = call and call.from or '',
    to = call and call.to or '' }, now + leaseMs)
  return ''
end

for index = 3, #ARGV - 7, 7 do
  local id, epoch = A(index), tonumber(A(index + 1))
  local state, heldEpoch, heldNode, live, keptUntil, tenant, reseller = unpack(redis.call('HMGET',
    PREFIX .. 'call:' .. id, 'state', 'epoch', 'node', 'live', 'keptUntil', 'tenant', 'reseller'))
  if state == 'held' and heldNode == node and tonumber(heldEpoch) == epoch and live == '1' then
    renew(LEASES, id)
    renew(PREFIX .. 'node-calls:' .. node, id)
    renew(PREFIX .. 'tenant-calls:' .. tenant, id)
    renew(PREFIX .. 'reseller-calls:' .. reseller, id)
    if tonumber(keptUntil) - now < leaseMs + CALL_KEPT / 2 then
      keepCall({ id = id, carrier = A(index + 4), carrierCall = A(index + 5) }, leaseMs + CALL_KEPT)
    end
    result[#result + 1] = ''
  else
    -- It may take away a call that was just renewed, and that must not be counted again afterwards.
    writeRenewals()
    result[#result + 1] = claimSlowly(id, epoch, A(index + 2), A(index + 3), A(index + 4), A(index + 5), A(index + 6))
  end
end
writeRenewals()
return result

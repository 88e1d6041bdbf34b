-- Media arrived: a reservation becomes a lease.
--
-- A1 call id  A2 epoch, 0: the one in force  A3 node id  A4 leaseMs
-- Result: generation, then 'held', lease (12) | 'lost' | 'unknown' | 'rebuilding'
if rebuilding then
  return { generation, 'rebuilding' }
end
local call = loadCall(A(1))
if not call or call.state == 'taken' or call.state == 'ended' then
  return { generation, 'unknown' }
end
if call.node ~= A(3) or (A(2) ~= '0' and tonumber(A(2)) ~= call.epoch) then
  return { generation, 'lost' }
end
-- A reservation that ran out has given its room away.
if call.state == 'overdue' and call.live ~= '1' then
  return { generation, 'unknown' }
end
call.live = '1'
renewCall(call, now + tonumber(A(4)))
return addLease({ generation, 'held' }, call)

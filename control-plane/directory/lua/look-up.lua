-- A call's lease, expired ones too until they are taken out.
--
-- A1 call id
-- Result: generation, then the lease (12), or nothing
local call = loadCall(A(1))
if not call or call.state == 'taken' or call.state == 'ended' then
  return { generation }
end
return addLease({ generation }, call)

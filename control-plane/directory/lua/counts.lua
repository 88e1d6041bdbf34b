-- How many calls a tenant and a reseller have.
--
-- A1 tenant  A2 reseller
-- Result: generation, tenant's calls, reseller's calls
local from = '(' .. int(now)
return {
  generation,
  redis.call('ZCOUNT', PREFIX .. 'tenant-calls:' .. A(1), from, '+inf'),
  redis.call('ZCOUNT', PREFIX .. 'reseller-calls:' .. A(2), from, '+inf'),
}

-- Makes sure that there is a generation.
--
-- KEYS, ARGV  as in prelude.lua; no others
-- Result      generation
return { generation }

-- SPDX-License-Identifier: MIT
-- foreign COUNT: entries behind the last one that our append wrote.
-- Guarantees: nobody but us ever counts as the head: HEAD ('' = ours) is what stands in its place, with the
-- first COUNT entries there; there may be none (XSETID, or an entry that came and went).
local ours = redis.call('HGET', meta, 'head')
local now = head()
if not ours or not above(id_of(now), id_of(ours)) then
    return { 'OK', '', {} }
end
return { 'OK', now, redis.call('XRANGE', stream, '(' .. ours, '+', 'COUNT', ARGV[1]) }

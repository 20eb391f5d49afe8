-- SPDX-License-Identifier: MIT
-- evict GROUP ID...: removes those entries behind our head, and when none is left sets stream and group back to it.
-- Guarantees: nothing that we appended is touched. A foreigner's own deletions are not forgotten over it: what
-- cannot be told any more counts as one (see doubt).
local ours = redis.call('HGET', meta, 'head')
if not ours then
    return { 'UNPREPARED' }
end
for i = 2, #ARGV do
    if above(id_of(ARGV[i]), id_of(ours)) then
        redis.call('XDEL', stream, ARGV[i])
        redis.call('XACK', stream, ARGV[1], ARGV[i])
    end
end
if head() == ours or #redis.call('XRANGE', stream, '(' .. ours, '+', 'COUNT', 1) > 0 then
    return { 'OK' }
end
local info = stream_info()
local deleted = id_of(info['max-deleted-entry-id'])
if ours == '0-0' then
    redis.call('XSETID', stream, ours)
else
    redis.call('XSETID', stream, ours, 'ENTRIESADDED', info['entries-added'], 'MAXDELETEDID',
        above(deleted, id_of(ours)) and ours or info['max-deleted-entry-id'])
end
local last = delivered(ARGV[1])
if last and above(id_of(last), id_of(ours)) then
    redis.call('XGROUP', 'SETID', stream, ARGV[1], ours)
end
return { 'OK' }

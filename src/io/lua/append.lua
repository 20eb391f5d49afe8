-- SPDX-License-Identifier: MIT
-- append EXPECTED-HEAD FIRST-ORDINAL EPOCH N-EVENTS (ID BYTES)...: compare-and-append.
-- Guarantees: all packs or none, and only if head, next ordinal and epoch are what the caller last saw
-- (MOVED otherwise, with what they are). Redis refuses the whole script when it is over maxmemory, and
-- the caller checked that ids ascend, so no XADD here can fail after one that was done. A stream that
-- does not exist has the head 0-0. The new head is noted beside the data, for whoever must know that it is ours.
local expected, first_ordinal, epoch, n_events = unpack(ARGV, 1, 4)
local m = redis.call('HMGET', meta, 'next_ordinal', 'next_byte', 'epoch')
if not m[1] then
    return { 'UNPREPARED' }
end
local now = head()
if now ~= expected or m[1] ~= first_ordinal or m[3] ~= epoch then
    return { 'MOVED', now, m[1], m[3] }
end
local n_bytes = 0
for i = 5, #ARGV, 2 do
    redis.call('XADD', stream, ARGV[i], 'p', ARGV[i + 1])
    n_bytes = n_bytes + #ARGV[i + 1]
end
redis.call('HSET', meta, 'next_ordinal', num(tonumber(m[1]) + tonumber(n_events)),
    'next_byte', num(tonumber(m[2]) + n_bytes), 'head', ARGV[#ARGV - 1])
return { 'OK' }

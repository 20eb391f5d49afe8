-- SPDX-License-Identifier: MIT
-- append EXPECTED-HEAD FIRST-ORDINAL EPOCH N-EVENTS N-BYTES LAST-ID: the gate of a compare-and-append.
-- Runs as the first command of a MULTI (io/stream_append.c): when head, next ordinal and epoch are what the caller
-- last saw, the stream gets its second name, under which alone the XADDs that follow look for it, until a RENAMENX
-- gives the first one back. The packs themselves do not come here: Lua would hash every byte of them.
-- Guarantees: whatever goes wrong here, the stream keeps its name and nothing is added to it. All packs or none: the
-- caller checked that ids ascend from the head, so no XADD can fail after one that was done. The new head is noted
-- beside the data, for whoever must know that it is ours.
local expected, first_ordinal, epoch, n_events, n_bytes, last = unpack(ARGV)
local behind = stream .. ':append'

-- The same as head(), without a pack that XINFO STREAM would bring: a group is made there and goes again.
local function head_of_group()
    if redis.call('EXISTS', stream) == 0 then
        return '0-0'
    end
    redis.call('XGROUP', 'CREATE', stream, behind, '$')
    local now = delivered(behind)
    redis.call('XGROUP', 'DESTROY', stream, behind)
    return now
end

local m = redis.call('HMGET', meta, 'next_ordinal', 'next_byte', 'epoch')
if not m[1] then
    return { 'UNPREPARED' }
end
local now = head_of_group()
if now ~= expected or m[1] ~= first_ordinal or m[3] ~= epoch then
    return { 'MOVED', now, m[1], m[3] }
end
if redis.call('EXISTS', behind) == 1 then
    return { 'BARRED' }
end
redis.call('HSET', meta, 'next_ordinal', num(tonumber(m[1]) + tonumber(n_events)),
    'next_byte', num(tonumber(m[2]) + tonumber(n_bytes)), 'head', last)
redis.call('RENAMENX', stream, behind) -- the very last: an error before it opens nothing
return { 'OK' }

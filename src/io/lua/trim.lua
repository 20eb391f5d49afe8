-- SPDX-License-Identifier: MIT
-- trim GROUP WATERMARK ORDINAL BYTE REPLAY-EVENTS REPLAY-BYTES MAX-ENTRIES: the only deletion there is.
-- Guarantees: records the watermark that PostgreSQL holds, then deletes from the front what is at or
-- below it and older than the replay buffer (both counted back from ORDINAL and BYTE, the watermark's).
-- Whatever the caller believes, no entry that is pending or undelivered at this instant is deleted,
-- nor the newest one. Returns how many were deleted.
local group, mark = ARGV[1], ARGV[2]
local ordinal, byte = tonumber(ARGV[3]), tonumber(ARGV[4])
local keep_events, keep_bytes, max_entries = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local m = redis.call('HMGET', meta, 'next_ordinal', 'w_epoch', 'w_seq')
if not m[1] then
    return { 'UNPREPARED' }
end
local pending = redis.call('XPENDING', stream, group)
local oldest = pending[1] > 0 and id_of(pending[2])
local limit, last = id_of(mark), id_of(delivered(group))
if m[2] .. '-' .. m[3] ~= mark then
    redis.call('HSET', meta, 'w_epoch', num(limit.epoch), 'w_seq', num(limit.seq))
end
if above(limit, last) then
    limit = last
end
local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
if not newest then
    return { 'OK', 0 }
end

local function removable(entry)
    local id = id_of(entry[1])
    if entry[1] == newest[1] or above(id, limit) or (oldest and not above(oldest, id)) then
        return false
    end
    local p = prefix(entry)
    return not p or ordinal - (p.ordinal + p.n_events) >= keep_events
        or byte - (p.byte + p.n_bytes) >= keep_bytes
end

-- The first look is at one entry: mostly there is nothing to do, and an entry is some 20 kB.
local gone, n, from, step, kept = nil, 0, '-', 1, nil
while not kept do
    for _, entry in ipairs(redis.call('XRANGE', stream, from, '+', 'COUNT', step)) do
        if n >= max_entries or not removable(entry) then
            kept = entry[1]
            break
        end
        gone, n = entry[1], n + 1
    end
    from, step = '(' .. (gone or '0-0'), 64
end
if not gone then
    return { 'OK', 0 }
end
local trimmed = redis.call('XTRIM', stream, 'MINID', '=', kept)
local id = id_of(gone)
redis.call('HSET', meta, 'trim_epoch', num(id.epoch), 'trim_seq', num(id.seq))
return { 'OK', trimmed }

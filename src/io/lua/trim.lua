-- SPDX-License-Identifier: MIT
-- trim GROUP WATERMARK ORDINAL BYTE REPLAY-EVENTS REPLAY-BYTES MAX-EVENTS: the only deletion there is.
-- Guarantees: records the watermark that PostgreSQL holds, then deletes from the front what is at or
-- below it and older than the replay buffer (both counted back from ORDINAL and BYTE, the watermark's).
-- Whatever the caller believes, no entry that is pending or undelivered at this instant is deleted,
-- nor the newest one. Goes at most about MAX-EVENTS at once. Returns how many entries were deleted.
local group, mark = ARGV[1], ARGV[2]
local ordinal, byte = tonumber(ARGV[3]), tonumber(ARGV[4])
local keep_events, keep_bytes, max_events = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local m = redis.call('HMGET', meta, 'next_ordinal', 'w_epoch', 'w_seq')
if not m[1] then
    return { 'UNPREPARED' }
end
local pending = redis.call('XPENDING', stream, group)
local oldest = pending[1] > 0 and id_of(pending[2]) or nil
local limit, last = id_of(mark), id_of(delivered(group))
if m[2] .. '-' .. m[3] ~= mark then
    redis.call('HSET', meta, 'w_epoch', num(limit.epoch), 'w_seq', num(limit.seq))
end
if above(limit, last) then
    limit = last
end
local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
if not newest then
    return { 'OK', 0 }
end

-- Whatever is at or above this id stays.
local bound = { epoch = limit.epoch, seq = limit.seq + 1 }
for _, id in ipairs({ id_of(newest[1]), oldest }) do
    if above(bound, id) then
        bound = id
    end
end

-- An entry that is not ours goes with the pack behind it, or else as the watermark allows.
local through
local function removable(entry)
    local id = id_of(entry[1])
    if not above(bound, id) then
        return false
    end
    local p = prefix(entry) or pack_from('(' .. entry[1])
    return not p or p.ordinal < through
        and (ordinal - (p.ordinal + p.n_events) >= keep_events or byte - (p.byte + p.n_bytes) >= keep_bytes)
end

-- What may go is a run at the front, so its end is found by halving: an entry is some 20 kB, and each one
-- looked at is copied, hence as few as possible. Mostly one look says that there is nothing to do.
local p = prefix(first) or pack_from('(' .. first[1])
through = (p and p.ordinal or 0) + max_events
if not removable(first) then
    return { 'OK', 0 }
end
local gone = id_of(first[1])
while gone.epoch < bound.epoch do
    local border = num(gone.epoch + 1) .. '-0'
    local entry = redis.call('XRANGE', stream, border, '+', 'COUNT', 1)[1]
    if removable(entry) then
        gone = id_of(entry[1])
    else
        bound = id_of(redis.call('XREVRANGE', stream, '(' .. border, '-', 'COUNT', 1)[1][1])
        bound.seq = bound.seq + 1
    end
end
local kept = bound.seq
while kept - gone.seq > 1 do
    local middle = math.floor((gone.seq + kept) / 2)
    local entry = redis.call('XRANGE', stream, num(gone.epoch) .. '-' .. num(middle), '+', 'COUNT', 1)[1]
    if removable(entry) then
        gone = id_of(entry[1])
    else
        kept = middle
    end
end
local trimmed = redis.call('XTRIM', stream, 'MINID', '=', num(gone.epoch) .. '-' .. num(gone.seq + 1))
redis.call('HSET', meta, 'trim_epoch', num(gone.epoch), 'trim_seq', num(gone.seq))
return { 'OK', trimmed }

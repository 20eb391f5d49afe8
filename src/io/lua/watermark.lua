-- SPDX-License-Identifier: MIT
-- watermark GROUP: up to where everything is acked, and what a foreigner deleted before it was.
-- Guarantees: the id returned is a position that existed: the previous head of the oldest pending entry
-- (from its prefix), or the last delivered id if nothing is pending, or if delivery was set back to before that
-- entry: what lies between is to be delivered again and may be nowhere. It is never an id that was not ours
-- (an epoch never opened); if it cannot be told, the recorded watermark comes back with ordinal 0.
-- LOST-AFTER and LOST-THROUGH ('' = none): entries in that range were deleted before they were acked;
-- as long as one of them is pending the watermark does not move. DOUBT: 1 if single entries were deleted since
-- the chain was last walked; then it must be, before this watermark is written down.
local group = ARGV[1]
local m = redis.call('HMGET', meta, 'next_ordinal', 'next_byte', 'epoch', 'generation', 'w_epoch', 'w_seq',
    'want_host', 'want_start', 'head', 'doubt')
if not m[1] then
    return { 'UNPREPARED' }
end
local recorded = { epoch = tonumber(m[5]), seq = tonumber(m[6]) }
local pending = redis.call('XPENDING', stream, group)
local last = delivered(group)
local at = id_of(last)
if m[9] and above(at, id_of(m[9])) then
    at = id_of(m[9]) -- a foreign entry was delivered
    last = m[9]
end
local doubt = m[10]
if not doubt and head() ~= '0-0' then
    local deleted = stream_info()['max-deleted-entry-id']
    doubt = deleted ~= '0-0' and deleted ~= '0-1' and '1'
end

local function answer(id, ordinal, byte, after, through)
    return { 'OK', id_text(id), ordinal, byte, m[4], m[7] or '', m[8] or '',
        after and id_text(after) or '', through and id_text(through) or '', doubt or '' }
end

-- Nothing at or below `floor` is in the stream any more (our own trim never goes above the watermark).
local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
local floor = id_of(head())
if first then
    local p = prefix(first)
    floor = p and p.prev or { epoch = 0, seq = 0 }
end

local oldest = pending[1] > 0 and pending[2]
local entry = oldest and redis.call('XRANGE', stream, oldest, oldest)[1]
if entry then
    local p = prefix(entry)
    if not p then
        return answer(recorded, 0, 0)
    end
    if not above(p.prev, at) then
        return answer(p.prev, p.ordinal, p.byte)
    end
elseif oldest then
    local after, through = recorded, id_of(oldest)
    local before = redis.call('XREVRANGE', stream, '(' .. oldest, '-', 'COUNT', 1)[1]
    if before and above(id_of(before[1]), after) then
        after = id_of(before[1])
    end
    if above(floor, through) then -- all of the front; what was never delivered is told below, next time
        through = above(floor, at) and at or floor
    end
    return answer(recorded, 0, 0, after, through)
end

if at.epoch > tonumber(m[3]) then
    return answer(recorded, 0, 0)
end
local following = pack_from('(' .. last)
local ordinal = following and following.ordinal or tonumber(m[1])
local byte = following and following.byte or tonumber(m[2])
local known = above(at, recorded) and at or recorded
if above(floor, known) and floor.epoch <= tonumber(m[3]) then
    return answer(at, ordinal, byte, known, floor)
end
return answer(at, ordinal, byte)

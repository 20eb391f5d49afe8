-- SPDX-License-Identifier: MIT
-- prepare GROUP WATERMARK EPOCH HOST START PG: makes Redis agree with what PostgreSQL holds.
-- Guarantees: one instant; a second call with the same arguments writes nothing. The group is made or set
-- back at the watermark, never at `$`; everything after the watermark that the stream still holds will
-- be delivered (again). Where that is not enough, nothing is written and EPOCH asks for a new epoch that
-- starts at the watermark; it must be above the second value returned, the newest epoch known here.
local group, mark, epoch, host, start, pg = unpack(ARGV)
local at = id_of(mark)
epoch = tonumber(epoch)

local m = redis.call('HMGET', meta, 'next_ordinal', 'epoch', 'host', 'start', 'pg', 'w_epoch', 'w_seq',
    'generation', 'head')
local known = m[1] and true or false
local exists = redis.call('EXISTS', stream) == 1
local head_id = id_of(head())
local first = exists and redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
local last = exists and delivered(group)

local top = at.epoch
if known then
    top = math.max(top, tonumber(m[2]))
elseif exists then
    top = math.max(top, head_id.epoch)
end

-- PostgreSQL is another one, or an older state of the same; or we cannot know.
local went_back = exists and (not known or m[5] ~= pg
    or above({ epoch = tonumber(m[6]), seq = tonumber(m[7]) }, at))

-- The oldest position from which the stream can still replay; nil if that cannot be told.
local floor = head_id
if first then
    local p = prefix(first)
    floor = p and p.prev
end
local held = floor and not above(floor, at)

-- True if reading the source under this epoch delivers everything after the watermark.
local covered = mark == '0-0' or start == num(at.seq)

local need_epoch = epoch < top
    or (known and epoch == tonumber(m[2]) and host ~= m[3])
    or (went_back and not held and not (covered and epoch > top))
    or (not exists and at.epoch < epoch and not covered)
if need_epoch then
    return { 'OK', 'EPOCH', num(top) }
end

-- What is not held comes again from the source: then begin at the first entry that is there.
local from = (went_back and not held and floor) and id_text(floor) or mark
local result = 'SAME'
if not exists then
    redis.call('XGROUP', 'CREATE', stream, group, mark, 'MKSTREAM')
    result = 'NEW'
elseif not last then
    redis.call('XGROUP', 'CREATE', stream, group, from)
    result = 'NEW'
elseif went_back then
    redis.call('XGROUP', 'SETID', stream, group, from)
    result = known and 'REWOUND' or 'NEW'
end
if above(at, head_id) then -- made just now, or Redis lost its tail: all up to here is in PostgreSQL
    redis.call('XSETID', stream, mark)
    result = result == 'SAME' and 'NEW' or result
end

if not known then
    local ordinal, byte = 0, 0
    local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
    local p = newest and prefix(newest)
    if p then
        ordinal, byte = p.ordinal + p.n_events, p.byte + p.n_bytes
    end
    redis.call('HSET', meta, 'next_ordinal', num(ordinal), 'next_byte', num(byte),
        'trim_epoch', '0', 'trim_seq', '0')
    result = result == 'SAME' and 'NEW' or result
end
if result ~= 'SAME' then
    redis.call('HSET', meta, 'generation', new_generation(m[8]), 'w_epoch', num(at.epoch),
        'w_seq', num(at.seq), 'pg', pg)
end
-- A head above the noted one is a foreigner's: evict sees to that.
local now = head()
if not m[9] or not above(id_of(now), id_of(m[9])) or id_text(at) == now then
    if m[9] ~= now then
        redis.call('HSET', meta, 'head', now)
    end
end
if not known or epoch ~= tonumber(m[2]) or start ~= m[4] then
    redis.call('HSET', meta, 'epoch', num(epoch), 'host', host, 'start', start)
    redis.call('HDEL', meta, 'want_host', 'want_start')
end
return { 'OK', result, num(top) }

-- SPDX-License-Identifier: MIT
-- common: stands before every script; what they all know of ids, the head, the group and a pack.
-- Guarantees: nothing here writes. Numbers are doubles, exact below 2^53, which every seq (protocol),
-- ordinal and byte count is; tostring() would round from 1e14 on, so text is made by num() only.
local stream, meta = KEYS[1], KEYS[2]

local function num(n)
    return string.format('%.0f', n)
end

local function id_of(text)
    local epoch, seq = string.match(text, '^(%d+)-(%d+)$')
    return { epoch = tonumber(epoch), seq = tonumber(seq) }
end

local function id_text(id)
    return num(id.epoch) .. '-' .. num(id.seq)
end

local function above(a, b)
    return a.epoch > b.epoch or (a.epoch == b.epoch and a.seq > b.seq)
end

-- Fields of XINFO STREAM. The stream must exist. (FULL with one entry is the form that carries the fewest packs,
-- and every byte that comes into Lua is hashed there.)
local function stream_info()
    local info, field = redis.call('XINFO', 'STREAM', stream, 'FULL', 'COUNT', 1), {}
    for i = 1, #info, 2 do
        field[info[i]] = info[i + 1]
    end
    return field
end

-- Last id ever generated, as text; it survives trims, but not DEL or FLUSHALL.
local function head()
    if redis.call('EXISTS', stream) == 0 then
        return '0-0'
    end
    return stream_info()['last-generated-id']
end

-- The group's last-delivered id as text; nil if there is no such group. The stream must exist.
local function delivered(group)
    for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
        local field = {}
        for i = 1, #info, 2 do
            field[info[i]] = info[i + 1]
        end
        if field['name'] == group then
            return field['last-delivered-id']
        end
    end
end

-- What the fixed prefix of a pack says (codec/pack.h); nil if the entry is not one of ours.
local function prefix(entry)
    local fields = entry[2]
    if not fields or #fields ~= 2 or fields[1] ~= 'p' or #fields[2] < 88 then
        return nil
    end
    local _, _, prev_epoch, prev_seq, epoch, _, last_seq, ordinal, byte, _, time_us, n_events =
        struct.unpack('<I4I4I8I8I8I8I8I8I8I8I8I4', fields[2])
    if num(epoch) .. '-' .. num(last_seq) ~= entry[1] then
        return nil
    end
    return {
        prev = { epoch = prev_epoch, seq = prev_seq },
        ordinal = ordinal, byte = byte, time_us = time_us, n_events = n_events, n_bytes = #fields[2],
    }
end

-- Prefix of the first pack from `from` on, past at most 15 entries that are not ours; nil if none.
local function pack_from(from)
    for _, count in ipairs({ 1, 16 }) do
        local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', count)
        for _, entry in ipairs(entries) do
            local p = prefix(entry)
            if p then
                return p
            end
        end
        if #entries < count then
            return nil
        end
    end
end

-- A generation must never come twice, not even after FLUSHALL; only equality is ever asked.
local function new_generation(old)
    local now = redis.call('TIME')
    return num(math.max(tonumber(old or 0) + 1, tonumber(now[1]) * 1000000 + tonumber(now[2])))
end

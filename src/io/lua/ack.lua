-- SPDX-License-Identifier: MIT
-- ack GROUP CONSUMER GENERATION MIN-ID MAX-ID ID...: XACK with the fence that XACK has not.
-- Guarantees: only entries pending for this very consumer are acked, and only under the generation that
-- the caller read them with; so nobody acks what was meanwhile given to another. Returns how many.
local group, consumer, generation, min, max = unpack(ARGV, 1, 5)
local now = redis.call('HGET', meta, 'generation')
if not now then
    return { 'UNPREPARED' }
end
if now ~= generation then
    return { 'OK', 0 }
end
local owned = {}
for _, row in ipairs(redis.call('XPENDING', stream, group, min, max, 1000000, consumer)) do
    owned[row[1]] = true
end
local acked, chunk = 0, {}
for i = 6, #ARGV do
    if owned[ARGV[i]] then
        chunk[#chunk + 1] = ARGV[i]
    end
    if #chunk == 1000 or (i == #ARGV and #chunk > 0) then -- unpack() has a limit of about 8000
        acked = acked + redis.call('XACK', stream, group, unpack(chunk))
        chunk = {}
    end
end
return { 'OK', acked }

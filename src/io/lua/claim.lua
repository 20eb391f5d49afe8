-- SPDX-License-Identifier: MIT
-- claim GROUP FROM CONSUMER MIN-IDLE-MS COUNT: takes over pending entries of one named consumer, or of all ('').
-- Guarantees: an entry that is no longer in the stream is left pending where it is: XCLAIM and XAUTOCLAIM would
-- forget it, the keeper's watermark records it as a gap first.
local group, from, consumer, idle, count = unpack(ARGV)
local ids = {}
local search = { stream, group, 'IDLE', idle, '-', '+', count, from ~= '' and from or nil }
for _, row in ipairs(redis.call('XPENDING', unpack(search))) do
    if #redis.call('XRANGE', stream, row[1], row[1]) > 0 then
        ids[#ids + 1] = row[1]
    end
end
if #ids == 0 then
    return { 'OK', {} }
end
return { 'OK', redis.call('XCLAIM', stream, group, consumer, idle, unpack(ids)) }

-- SPDX-License-Identifier: MIT
-- claim GROUP FROM CONSUMER MIN-IDLE-MS COUNT: takes over pending entries of one named consumer.
-- Guarantees: an entry that is no longer in the stream is left pending where it is: XCLAIM would silently
-- forget it, the keeper's watermark records it as a gap first.
local group, from, consumer, idle, count = unpack(ARGV)
local ids = {}
for _, row in ipairs(redis.call('XPENDING', stream, group, 'IDLE', idle, '-', '+', count, from)) do
    if #redis.call('XRANGE', stream, row[1], row[1]) > 0 then
        ids[#ids + 1] = row[1]
    end
end
if #ids == 0 then
    return { 'OK', {} }
end
return { 'OK', redis.call('XCLAIM', stream, group, consumer, idle, unpack(ids)) }

-- SPDX-License-Identifier: MIT
-- renew GROUP CONSUMER MIN-ID MAX-ID ID...: resets the idle time of entries that this consumer works on.
-- Guarantees: what meanwhile belongs to another stays there, and what is no longer in the stream stays pending:
-- XCLAIM would take the one and forget the other.
local group, consumer, min, max = unpack(ARGV, 1, 4)
local owned = {}
for _, row in ipairs(redis.call('XPENDING', stream, group, min, max, 1000000, consumer)) do
    owned[row[1]] = true
end
for i = 5, #ARGV do
    if owned[ARGV[i]] and #redis.call('XRANGE', stream, ARGV[i], ARGV[i]) > 0 then
        redis.call('XCLAIM', stream, group, consumer, 0, ARGV[i], 'JUSTID')
    end
end
return { 'OK' }

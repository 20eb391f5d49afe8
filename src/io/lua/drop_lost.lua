-- SPDX-License-Identifier: MIT
-- drop_lost GROUP THROUGH: forgets pending entries up to THROUGH that are no longer in the stream.
-- Guarantees: an entry that exists is never acked here. At most 1000 a call; returns how many.
local group, through = unpack(ARGV)
local dropped = 0
for _, row in ipairs(redis.call('XPENDING', stream, group, '-', through, 1000)) do
    if #redis.call('XRANGE', stream, row[1], row[1]) == 0 then
        dropped = dropped + redis.call('XACK', stream, group, row[1])
    end
end
return { 'OK', dropped }

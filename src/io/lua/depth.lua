-- SPDX-License-Identifier: MIT
-- depth GROUP: events and pack bytes from the oldest entry not yet acked (or not yet delivered) on.
-- Guarantees: exact for the contiguous part, by subtraction of ordinals; Redis's own lag is not used,
-- it is wrong after any trim. Also the current epoch and generation: a new one (rewind, a Redis that was
-- emptied) must not wait for the next append to be noticed; and the source time of that oldest entry's last event (0 if there is none). NOGROUP if the group is gone.
local m = redis.call('HMGET', meta, 'next_ordinal', 'next_byte', 'epoch', 'generation')
if not m[1] then
    return { 'UNPREPARED' }
end
local pending = redis.call('XPENDING', stream, ARGV[1])
local oldest = pack_from(pending[1] > 0 and pending[2] or '(' .. delivered(ARGV[1]))
if not oldest then
    return { 'OK', 0, 0, tonumber(m[3]), 0, m[4] }
end
return { 'OK', tonumber(m[1]) - oldest.ordinal, tonumber(m[2]) - oldest.byte, tonumber(m[3]), oldest.time_us, m[4] }

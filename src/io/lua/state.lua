-- SPDX-License-Identifier: MIT
-- state: what a reader must know before it derives its position.
-- Guarantees: head and marks are of one instant. UNPREPARED without the meta hash; FOREIGN if the head is not the
-- one we wrote last: derived from one above, a position would skip what the source has before it; one below means
-- that somebody deleted the stream, and a position derived from it would know nothing of the watermark.
local m = redis.call('HMGET', meta, 'next_ordinal', 'next_byte', 'epoch', 'generation',
    'w_epoch', 'w_seq', 'host', 'start', 'head')
if not m[1] then
    return { 'UNPREPARED' }
end
local now = head()
if m[9] and now ~= m[9] then
    return { 'FOREIGN', now }
end
return { 'OK', now, m[5] .. '-' .. m[6], m[1], m[2], m[3], m[4], m[7], m[8] }

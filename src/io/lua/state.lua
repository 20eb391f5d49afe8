-- SPDX-License-Identifier: MIT
-- state: what a reader must know before it derives its position.
-- Guarantees: head and marks are of one instant. UNPREPARED without the meta hash.
local m = redis.call('HMGET', meta, 'next_ordinal', 'next_byte', 'epoch', 'generation',
    'w_epoch', 'w_seq', 'host', 'start')
if not m[1] then
    return { 'UNPREPARED' }
end
return { 'OK', head(), m[5] .. '-' .. m[6], m[1], m[2], m[3], m[4], m[7], m[8] }

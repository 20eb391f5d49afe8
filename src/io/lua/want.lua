-- SPDX-License-Identifier: MIT
-- want HOST START: leaves the wish for a new epoch where the keeper sees it at its next tick.
-- Guarantees: never makes a meta hash; without one there is nothing to want yet (UNPREPARED).
if redis.call('HEXISTS', meta, 'next_ordinal') == 0 then
    return { 'UNPREPARED' }
end
redis.call('HSET', meta, 'want_host', ARGV[1], 'want_start', ARGV[2])
return { 'OK' }

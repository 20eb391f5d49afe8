-- SPDX-License-Identifier: MIT
-- replay GROUP FROM: delivers everything after FROM once more ('' = all that the stream still holds).
-- Guarantees: nothing is delivered twice at a time: XGROUP SETID takes entries over from whoever has them pending,
-- and a new generation voids the acks that are on their way. TOO_OLD, AHEAD: nothing was done; the second value is
-- from where it can begin, or how far delivery is.
local group, from = unpack(ARGV)
local generation = redis.call('HGET', meta, 'generation')
if not generation then
    return { 'UNPREPARED' }
end
local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
local floor = first and prefix(first) and prefix(first).prev or id_of(head())
local last = delivered(group)
if from == '' then
    from = id_text(floor)
end
if above(floor, id_of(from)) then
    return { 'OK', 'TOO_OLD', id_text(floor) }
end
if not above(id_of(last), id_of(from)) then
    return { 'OK', 'AHEAD', last }
end
redis.call('XGROUP', 'SETID', stream, group, from)
redis.call('HSET', meta, 'generation', new_generation(generation))
return { 'OK', 'DONE', from }

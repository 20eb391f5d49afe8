-- SPDX-License-Identifier: MIT
-- doubt 1|0: somebody deleted single entries; the chain of packs has to be walked. 0: it was.
-- Guarantees: the doubt stays until it is taken back, whoever dies; deletions after this call are seen as new
-- ones. (Redis remembers the highest id that XDEL ever took; 0-1, which no pack has, stands for none.)
if ARGV[1] == '0' then
    redis.call('HDEL', meta, 'doubt')
    return { 'OK' }
end
redis.call('HSET', meta, 'doubt', '1')
local last = head()
if last ~= '0-0' then
    redis.call('XSETID', stream, last, 'ENTRIESADDED', stream_info()['entries-added'], 'MAXDELETEDID', '0-1')
end
return { 'OK' }

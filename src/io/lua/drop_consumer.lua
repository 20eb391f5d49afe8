-- SPDX-License-Identifier: MIT
-- drop_consumer GROUP NAME: deletes a consumer that has nothing pending.
-- Guarantees: XGROUP DELCONSUMER would lose its pending entries; here they are counted at the same instant.
for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', stream, ARGV[1])) do
    local field = {}
    for i = 1, #info, 2 do
        field[info[i]] = info[i + 1]
    end
    if field['name'] == ARGV[2] and field['pending'] == 0 then
        redis.call('XGROUP', 'DELCONSUMER', stream, ARGV[1], ARGV[2])
    end
end
return { 'OK' }

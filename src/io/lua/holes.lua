-- SPDX-License-Identifier: MIT
-- holes AFTER COUNT: one step of a walk along the chain of packs, from the entry AFTER ('' = the first) on.
-- Guarantees: LAST is where the next step goes on ('' = this was the end); each pair of ids is a range (from,
-- through] whose entries were appended, and were deleted although an older one is still there. What is missing
-- at the front is not told here (see watermark).
local before = ARGV[1] ~= '' and ARGV[1]
local entries = redis.call('XRANGE', stream, before and '(' .. before or '-', '+', 'COUNT', ARGV[2])
local holes = {}

local function check(through)
    if before and above(through, id_of(before)) then
        holes[#holes + 1] = before
        holes[#holes + 1] = id_text(through)
    end
end

for _, entry in ipairs(entries) do
    local p = prefix(entry)
    if p then
        check(p.prev)
    end
    before = entry[1]
end
if #entries == tonumber(ARGV[2]) then
    return { 'OK', before, holes }
end
local ours = redis.call('HGET', meta, 'head')
if ours then
    check(id_of(ours))
end
return { 'OK', '', holes }

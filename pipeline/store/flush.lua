-- One call of a flush: applies all of its ops, or writes nothing. Uses base, string, table and math only.
--
-- KEYS[1]   the partition's marker: "flush calls keys|marker", or absent
-- KEYS[2..] one key per op; all carry one hash tag, so that marker and customers ride one replication stream and any replica is a prefix
-- ARGV      base marker · next marker, '' unless this is the last call · id of the flush · index of the call · then per key an op:
--             G lsn                             reads the stored LSN of a head, for the chunks behind it
--             C value                           SET of a chunk, unless the head is of a larger LSN
--             S lsn value                       SET of a head, unless it is of a larger LSN
--             D lsn from length header tail     SETRANGE of a head, unless it is of a larger LSN; it must be of LSN from and that length
--             X                                 DEL of a chunk, if the head is of the entry's LSN by now
--           an LSN is 8 bytes big endian
-- Returns   {'OK', marker} applied, now or before · {'BASE', marker} another marker is stored · {'CHAIN', marker} another flush came
--           between, or the call before this one is lost · {'FULL', marker, i, …} the deltas of KEYS[i], … do not fit, nothing was written
local stored = redis.call('GET', KEYS[1])
local flush, calls, keys, marker = '', 0, 0, ''
if stored then
  flush, calls, keys, marker = string.match(stored, '^(%S+) (%d+) (%d+)|(.*)$')
  if not flush then
    return redis.error_reply('ERR stored marker is of another version: ' .. stored)
  end
  calls, keys = tonumber(calls), tonumber(keys)
end
local base, target, mine, index = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if flush == mine and calls > index then -- this very call, sent again
  return {'OK', marker}
end
if marker ~= base then
  return {'BASE', marker}
end
if index > 0 and (flush ~= mine or calls ~= index) then
  return {'CHAIN', marker}
end

-- later: a > b, for LSNs or '' for none. Halves of 4 bytes are exact as numbers, whole LSNs are only below 2^53; string comparison goes
-- by the server's locale.
local function later(a, b)
  if a == '' or a == b then return false end
  local a1, a2, a3, a4, a5, a6, a7, a8 = string.byte(a, 1, 8)
  local b1, b2, b3, b4, b5, b6, b7, b8 = string.byte(b, 1, 8)
  local x, y = ((a1 * 256 + a2) * 256 + a3) * 256 + a4, ((b1 * 256 + b2) * 256 + b3) * 256 + b4
  if x ~= y then return x > y end
  return ((a5 * 256 + a6) * 256 + a7) * 256 + a8 > ((b5 * 256 + b6) * 256 + b7) * 256 + b8
end

-- First everything is decided from what was stored before this call, then everything is written.
local todo, full, at, lsn, arg = {}, {'FULL', marker}, '', '', 5
for i = 2, #KEYS do
  local op, write = ARGV[arg], false
  if op == 'G' or op == 'S' or op == 'D' then
    at, lsn = redis.call('GETRANGE', KEYS[i], 0, 7), ARGV[arg + 1]
    if at ~= '' and #at < 8 then
      return redis.error_reply('ERR a stored customer of ' .. #at .. ' bytes has no LSN: ' .. KEYS[i])
    end
  end
  if op == 'G' then
    arg = arg + 2
  elseif op == 'C' then
    write = not later(at, lsn)
    todo[#todo + 1] = write and {op, i, arg + 1} or nil
    arg = arg + 2
  elseif op == 'S' then
    write = not later(at, lsn)
    todo[#todo + 1] = write and {op, i, arg + 2, at == ''} or nil
    at = write and lsn or at
    arg = arg + 3
  elseif op == 'D' then
    if not later(at, lsn) then
      if at == ARGV[arg + 2] and redis.call('STRLEN', KEYS[i]) == tonumber(ARGV[arg + 3]) then
        todo[#todo + 1] = {op, i, arg + 3}
        at = lsn
      else
        full[#full + 1] = i
      end
    end
    arg = arg + 6
  elseif op == 'X' then
    todo[#todo + 1] = at == lsn and {op, i} or nil
    arg = arg + 1
  else
    return redis.error_reply('ERR unknown op of a flush: ' .. tostring(op))
  end
end
if #full > 2 then
  return full
end
for _, t in ipairs(todo) do
  local op, key = t[1], KEYS[t[2]]
  if op == 'S' then
    redis.call('SET', key, ARGV[t[3]])
    keys = keys + (t[4] and 1 or 0)
  elseif op == 'D' then
    redis.call('SETRANGE', key, 0, ARGV[t[3] + 1])
    redis.call('SETRANGE', key, ARGV[t[3]], ARGV[t[3] + 2])
  elseif op == 'C' then
    keys = keys + 1 - redis.call('EXISTS', key)
    redis.call('SET', key, ARGV[t[3]])
  else
    keys = keys - redis.call('DEL', key)
  end
end
if target ~= '' then
  marker = target
end
redis.call('SET', KEYS[1], mine .. ' ' .. (index + 1) .. ' ' .. string.format('%.0f', keys) .. '|' .. marker)
return {'OK', marker}

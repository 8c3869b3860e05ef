"""Owns the registry's transitions as Lua scripts: each runs on one key, atomically, and answers a word.

The entry is a hash {state, store, handle, epoch}. ARGV[1] is always the lease in milliseconds.
"""

OPEN = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 'duplicate' end
redis.call('HSET', KEYS[1], 'state', 'open')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 'ok'
"""

# The report of a claim may have come before the one of its grant.
GRANT = """
local state, epoch = unpack(redis.call('HMGET', KEYS[1], 'state', 'epoch'))
if not state then return 'missing' end
if state ~= 'claimed' or epoch ~= ARGV[4] then state = 'granted' end
redis.call('HSET', KEYS[1], 'state', state, 'store', ARGV[2], 'handle', ARGV[3], 'epoch', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 'ok'
"""

CLAIM = """
local state, epoch = unpack(redis.call('HMGET', KEYS[1], 'state', 'epoch'))
if not state then return 'missing' end
if state == 'claimed' then return 'claimed' end
if epoch and epoch ~= ARGV[2] then return 'other_epoch' end
redis.call('HSET', KEYS[1], 'state', 'claimed', 'epoch', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 'ok'
"""

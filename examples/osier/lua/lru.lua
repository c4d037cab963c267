-- A least-recently-used cache with two million entries.
local Lru = {}
Lru.__index = Lru

function Lru:unlink(e)
    if e.newer == nil then self.newest = e.older else e.newer.older = e.older end
    if e.older == nil then self.oldest = e.newer else e.older.newer = e.newer end
end

function Lru:push(e)
    e.newer = nil
    e.older = self.newest
    if self.newest then self.newest.newer = e else self.oldest = e end
    self.newest = e
end

function Lru:get(key)
    local e = self.map[key]
    if e == nil then return nil end
    if e ~= self.newest then self:unlink(e); self:push(e) end
    return e.value
end

function Lru:put(key, value)
    local e = self.map[key]
    if e then e.value = value; self:get(key); return end
    if self.len == self.capacity then
        local old = self.oldest
        self:unlink(old)
        self.map[old.key] = nil
        self.evicted = self.evicted + 1
        self.len = self.len - 1
    end
    e = {key = key, value = value}
    self.map[key] = e
    self.len = self.len + 1
    self:push(e)
end

local size = tonumber(arg[1]) or 2000000
local cache = setmetatable({capacity = size, map = {}, evicted = 0, len = 0}, Lru)
for i = 0, size - 1 do cache:put(i, i * 2) end
print(cache.len .. " " .. cache.evicted)
for i = 0, size - 1, 2 do cache:get(i) end
for i = 0, size // 4 - 1 do cache:put(size + i, i) end
print(cache.len .. " " .. cache.evicted)
local even, odd = 0, 0
for i = 0, size // 2 - 1 do
    if cache.map[i] then if i % 2 == 0 then even = even + 1 else odd = odd + 1 end end
end
print(even .. " " .. odd)

local hits, state = 0, 1
for i = 0, size // 4 - 1 do
    state = state * 16807 % 2147483647
    local key = state % (size * 2)
    if cache:get(key) ~= nil then hits = hits + 1 else cache:put(key, i) end
end
print(cache.len .. " " .. tostring(hits > 0) .. " " .. tostring(cache.oldest.older == nil) .. " " ..
      tostring(cache.newest.newer == nil))
print(hits + cache.evicted)

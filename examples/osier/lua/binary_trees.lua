-- Many binary trees, most of them short-lived.
local Tree = {}
Tree.__index = Tree

local function new(left, right) return setmetatable({left = left, right = right}, Tree) end

function Tree:check()
    if self.left == nil then return 1 end
    return 1 + self.left:check() + self.right:check()
end

local function build(depth)
    if depth == 0 then return new(nil, nil) end
    return new(build(depth - 1), build(depth - 1))
end

local least, most = 4, tonumber(arg[1]) or 14
print("stretch tree of depth " .. most + 1 .. "\t check: " .. build(most + 1):check())
local long_lived = build(most)
for depth = least, most, 2 do
    local iterations, check = 1 << (most - depth + least), 0
    for i = 1, iterations do check = check + build(depth):check() end
    print(iterations .. "\t trees of depth " .. depth .. "\t check: " .. check)
end
print("long lived tree of depth " .. most .. "\t check: " .. long_lived:check())

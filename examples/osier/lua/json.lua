-- A JSON parser and printer. Objects keep their members' order.
local null = setmetatable({}, {__name = "null"})
local Array, Object = {}, {}

local Parser = {}
Parser.__index = Parser

function Parser:fail(what) error({message = what .. " at byte " .. self.at - 1}) end

function Parser:peek() return self.text:sub(self.at, self.at) end

function Parser:skip_space()
    local text, at, n = self.text, self.at, #self.text
    while at <= n and text:byte(at) <= 32 do at = at + 1 end
    self.at = at
end

function Parser:expect(ch)
    if self:peek() ~= ch then self:fail("expected '" .. ch .. "'") end
    self.at = self.at + 1
end

function Parser:value()
    self:skip_space()
    local ch = self:peek()
    if ch == "{" then return self:object() end
    if ch == "[" then return self:array() end
    if ch == '"' then return self:string() end
    if ch == "t" then return self:word("true", true) end
    if ch == "f" then return self:word("false", false) end
    if ch == "n" then return self:word("null", null) end
    return self:number()
end

function Parser:word(text, value)
    if self.text:sub(self.at, self.at + #text - 1) ~= text then self:fail("unknown word") end
    self.at = self.at + #text
    return value
end

function Parser:number()
    local start = self.at
    while self:peek() ~= "" and ("+-0123456789.eE"):find(self:peek(), 1, true) do self.at = self.at + 1 end
    local number = tonumber(self.text:sub(start, self.at - 1))
    if not number then self:fail("unexpected character") end
    return number
end

function Parser:string()
    self:expect('"')
    local out, start = {}, self.at
    while true do
        local ch = self:peek()
        if ch == "" then self:fail("a string is not closed") end
        if ch == '"' then break end
        self.at = self.at + 1
        if ch == "\\" then
            out[#out + 1] = self.text:sub(start, self.at - 2)
            out[#out + 1] = self:escape()
            start = self.at
        end
    end
    out[#out + 1] = self.text:sub(start, self.at - 1)
    self.at = self.at + 1
    return table.concat(out)
end

local escapes = {n = "\n", t = "\t", r = "\r", b = "\b", f = "\f", ['"'] = '"', ["\\"] = "\\", ["/"] = "/"}

function Parser:escape()
    local ch = self:peek()
    self.at = self.at + 1
    if ch == "u" then
        local code = tonumber(self.text:sub(self.at, self.at + 3), 16)
        if not code then self:fail("not a hexadecimal digit") end
        self.at = self.at + 4
        return utf8.char(code)
    end
    if escapes[ch] then return escapes[ch] end
    self:fail("unknown escape")
end

function Parser:array()
    local items = setmetatable({}, Array)
    self:expect("[")
    self:skip_space()
    if self:peek() == "]" then self.at = self.at + 1; return items end
    while true do
        items[#items + 1] = self:value()
        self:skip_space()
        if self:peek() == "]" then self.at = self.at + 1; return items end
        self:expect(",")
    end
end

local function set(object, key, value)
    if object.map[key] == nil then object.keys[#object.keys + 1] = key end
    object.map[key] = value
end

local function new_object() return setmetatable({keys = {}, map = {}}, Object) end

function Parser:object()
    local members = new_object()
    self:expect("{")
    self:skip_space()
    if self:peek() == "}" then self.at = self.at + 1; return members end
    while true do
        self:skip_space()
        local key = self:string()
        self:skip_space()
        self:expect(":")
        set(members, key, self:value())
        self:skip_space()
        if self:peek() == "}" then self.at = self.at + 1; return members end
        self:expect(",")
    end
end

local function parse(text)
    local parser = setmetatable({text = text, at = 1}, Parser)
    local value = parser:value()
    parser:skip_space()
    if parser.at <= #text then parser:fail("text after the value") end
    return value
end

local function quote(text)
    local s = text:gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("\n", "\\n"):gsub("\t", "\\t")
    return '"' .. s .. '"'
end

local print_value

local function print_all(out, items, open, close, indent, step)
    out[#out + 1] = open
    local list = getmetatable(items) == Object and items.keys or items
    for i, key in ipairs(list) do
        local item = key
        if i > 1 then out[#out + 1] = step and "," or ", " end
        if step then out[#out + 1] = "\n"; out[#out + 1] = indent; out[#out + 1] = step end
        if list ~= items then
            out[#out + 1] = quote(key)
            out[#out + 1] = ": "
            item = items.map[key]
        end
        print_value(out, item, step and indent .. step or "", step)
    end
    if step and #list > 0 then out[#out + 1] = "\n"; out[#out + 1] = indent end
    out[#out + 1] = close
end

function print_value(out, value, indent, step)
    if value == null then out[#out + 1] = "null"
    elseif type(value) == "string" then out[#out + 1] = quote(value)
    elseif type(value) == "boolean" then out[#out + 1] = tostring(value)
    elseif type(value) == "number" then out[#out + 1] = string.format("%.14g", value)
    elseif getmetatable(value) == Array then print_all(out, value, "[", "]", indent, step)
    else print_all(out, value, "{", "}", indent, step) end
end

local function stringify(value, step)
    local out = {}
    print_value(out, value, "", step)
    return table.concat(out)
end

local sample = [==[{"name": "gc\u00e9\n", "list": [1, 2.5, -3e2, true, false, null, []],
  "nested": {"empty": {}, "deep": [[["x"]]], "quote": "\"\\\/"}}]==]
local value = parse(sample)
print(stringify(value))
print(stringify(value, "  "))
print(stringify(parse(stringify(value, "  "))) == stringify(value))

for _, bad in ipairs {"", "[1,", '{"a" 1}', "[1] x", '"open', "[tru]", '"\\q"', "{1: 2}"} do
    local ok, e = pcall(parse, bad)
    print("JsonError: " .. e.message)
end

local function array(items) return setmetatable(items, Array) end
local function object(members)
    local o = new_object()
    for i = 1, #members, 2 do set(o, members[i], members[i + 1]) end
    return o
end

local function document(n)
    local items = array {}
    for i = 0, n - 1 do
        items[#items + 1] = object {"id", i, "name", "item " .. i, "tags", array {"a" .. i % 7, "b" .. i % 11},
            "price", i * 0.25, "stock", object {"here", i % 3 == 0, "there", null}}
    end
    return object {"items", items, "count", n}
end

local text, total = stringify(document(2000)), 0
for round = 1, tonumber(arg[1]) or 5 do
    local copy = parse(text)
    for _, item in ipairs(copy.map.items) do total = total + item.map.price end
    text = stringify(copy)
end
print(#text .. " " .. string.format("%.14g", total))

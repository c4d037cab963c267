-- A ray tracer: spheres and a plane, reflections and shadows.
local Vector = {}
Vector.__index = Vector

local function vector(x, y, z) return setmetatable({x = x, y = y, z = z}, Vector) end

function Vector.__add(a, b) return vector(a.x + b.x, a.y + b.y, a.z + b.z) end
function Vector.__sub(a, b) return vector(a.x - b.x, a.y - b.y, a.z - b.z) end
function Vector.__mul(a, k) return vector(a.x * k, a.y * k, a.z * k) end
function Vector:dot(o) return self.x * o.x + self.y * o.y + self.z * o.z end
function Vector:length() return math.sqrt(self:dot(self)) end
function Vector:unit() return self * (1 / self:length()) end
function Vector:reflect(normal) return self - normal * (2 * self:dot(normal)) end

local Ray = {}
Ray.__index = Ray

local function new_ray(from, along) return setmetatable({from = from, along = along}, Ray) end

function Ray:at(distance) return self.from + self.along * distance end

local Sphere = {}
Sphere.__index = Sphere

local function sphere(center, radius, colour, mirror)
    return setmetatable({center = center, radius = radius, colour = colour, mirror = mirror}, Sphere)
end

function Sphere:hit(ray)
    local to = self.center - ray.from
    local along = to:dot(ray.along)
    local under = along * along - to:dot(to) + self.radius * self.radius
    if under < 0 then return nil end
    local root = math.sqrt(under)
    if along - root > 0.001 then return along - root end
    return along + root > 0.001 and along + root or nil
end
function Sphere:normal(point) return (point - self.center):unit() end
function Sphere:colour_at(point) return self.colour end

local Floor = {}
Floor.__index = Floor

function Floor:hit(ray)
    if math.abs(ray.along.y) < 0.0001 then return nil end
    local distance = (self.y - ray.from.y) / ray.along.y
    return distance > 0.001 and distance or nil
end
function Floor:normal(point) return vector(0, 1, 0) end
function Floor:colour_at(point)
    local odd = (math.floor(point.x) + math.floor(point.z)) % 2 == 0
    return odd and vector(0.9, 0.9, 0.9) or vector(0.2, 0.2, 0.3)
end

local Scene = {}
Scene.__index = Scene

local function new_scene()
    return setmetatable({
        light = vector(5, 8, -6),
        things = {
            setmetatable({y = -1, mirror = 0.1}, Floor),
            sphere(vector(0, 0, 3), 1, vector(1, 0.3, 0.2), 0.3),
            sphere(vector(1.6, -0.4, 2.2), 0.6, vector(0.2, 0.8, 0.3), 0.2),
            sphere(vector(-1.7, -0.2, 2.6), 0.8, vector(0.3, 0.4, 1), 0.5)
        }
    }, Scene)
end

function Scene:nearest(ray)
    local best, distance = nil, math.huge
    for _, thing in ipairs(self.things) do
        local d = thing:hit(ray)
        if d and d < distance then distance = d; best = thing end
    end
    return best and {best, distance}
end

function Scene:trace(ray, depth)
    local found = self:nearest(ray)
    if not found then return vector(0.5, 0.7, 1) * (0.5 + math.max(ray.along.y, 0) * 0.5) end
    local thing, point = found[1], ray:at(found[2])
    local normal, to_light = thing:normal(point), (self.light - point):unit()
    local shade = 0.15
    if not self:nearest(new_ray(point, to_light)) then
        shade = shade + math.max(normal:dot(to_light), 0) * 0.85
    end
    local colour = thing:colour_at(point) * shade
    if depth == 0 or thing.mirror == 0 then return colour end
    local mirrored = self:trace(new_ray(point, ray.along:reflect(normal):unit()), depth - 1)
    return colour * (1 - thing.mirror) + mirrored * thing.mirror
end

local function render(width, height)
    local scene, eye, sum, picture = new_scene(), vector(0, 0.3, -3), 0, {}
    for y = 0, height - 1 do
        local row = {}
        for x = 0, width - 1 do
            local to = vector((x - width / 2) / width * 2, (height / 2 - y) / width * 2, 1.6)
            local colour = scene:trace(new_ray(eye, to:unit()), 3)
            local light = (colour.x + colour.y + colour.z) / 3
            sum = sum + math.floor(light * 255)
            row[#row + 1] = light
        end
        picture[#picture + 1] = row
    end
    return picture, sum
end

local letters = " .:-=+*#%@"
for _, row in ipairs((render(60, 24))) do
    local line = {}
    for i, light in ipairs(row) do
        local n = math.min(math.floor(light * 9.99), 9) + 1
        line[i] = letters:sub(n, n)
    end
    print(table.concat(line))
end
local width = tonumber(arg[1]) or 160
local _, sum = render(width, width * 5 // 8)
print(sum)

-- Martin Richards' operating system simulation.
local IDLE, WORKER, HANDLER_A, HANDLER_B, DEVICE_A, DEVICE_B = 0, 1, 2, 3, 4, 5
local KIND_DEV, KIND_WORK = 0, 1
local HELD, SUSPENDED, RUNNABLE = 4, 2, 1

local Packet = {}
Packet.__index = Packet
local function packet(link, id, kind)
    return setmetatable({link = link, id = id, kind = kind, a1 = 0, a2 = {0, 0, 0, 0}}, Packet)
end
function Packet:append_to(queue)
    self.link = nil
    if not queue then return self end
    local next = queue
    while next.link do next = next.link end
    next.link = self
    return queue
end

local Tcb = {}
Tcb.__index = Tcb
local function tcb(link, id, priority, queue, task)
    return setmetatable({link = link, id = id, priority = priority, queue = queue, task = task,
                         state = queue and SUSPENDED | RUNNABLE or SUSPENDED}, Tcb)
end
function Tcb:is_held_or_suspended() return self.state & HELD ~= 0 or self.state == SUSPENDED end
function Tcb:run()
    local p
    if self.state == SUSPENDED | RUNNABLE then
        p = self.queue
        self.queue = p.link
        self.state = self.queue == nil and 0 or RUNNABLE
    end
    return self.task:run(p)
end
function Tcb:check_priority(task, p)
    if not self.queue then
        self.queue = p
        self.state = self.state | RUNNABLE
        if self.priority > task.priority then return self end
    else
        self.queue = p:append_to(self.queue)
    end
    return task
end

local Scheduler = {}
Scheduler.__index = Scheduler
function Scheduler:add(id, priority, queue, task)
    self.current = tcb(self.list, id, priority, queue, task)
    self.list = self.current
    self.blocks[id] = self.current
end
function Scheduler:add_running(id, priority, queue, task)
    self:add(id, priority, queue, task)
    self.current.state = 0
end
function Scheduler:schedule()
    self.current = self.list
    while self.current do
        if self.current:is_held_or_suspended() then
            self.current = self.current.link
        else
            self.current_id = self.current.id
            self.current = self.current:run()
        end
    end
end
function Scheduler:release(id)
    local t = self.blocks[id]
    t.state = t.state & ~HELD
    return t.priority > self.current.priority and t or self.current
end
function Scheduler:hold()
    self.hold_count = self.hold_count + 1
    self.current.state = self.current.state | HELD
    return self.current.link
end
function Scheduler:suspend()
    self.current.state = self.current.state | SUSPENDED
    return self.current
end
function Scheduler:queue(p)
    local t = self.blocks[p.id]
    self.queue_count = self.queue_count + 1
    p.link = nil
    p.id = self.current_id
    return t:check_priority(self.current, p)
end

local IdleTask = {}
IdleTask.__index = IdleTask
function IdleTask:run()
    self.count = self.count - 1
    if self.count == 0 then return self.scheduler:hold() end
    if self.v1 & 1 == 0 then
        self.v1 = self.v1 >> 1
        return self.scheduler:release(DEVICE_A)
    end
    self.v1 = (self.v1 >> 1) ~ 0xD008
    return self.scheduler:release(DEVICE_B)
end

local DeviceTask = {}
DeviceTask.__index = DeviceTask
function DeviceTask:run(p)
    if p then
        self.v1 = p
        return self.scheduler:hold()
    end
    if not self.v1 then return self.scheduler:suspend() end
    local v = self.v1
    self.v1 = nil
    return self.scheduler:queue(v)
end

local WorkerTask = {}
WorkerTask.__index = WorkerTask
function WorkerTask:run(p)
    if not p then return self.scheduler:suspend() end
    self.v1 = self.v1 == HANDLER_A and HANDLER_B or HANDLER_A
    p.id = self.v1
    p.a1 = 0
    for i = 1, 4 do
        self.v2 = self.v2 + 1
        if self.v2 > 26 then self.v2 = 1 end
        p.a2[i] = self.v2
    end
    return self.scheduler:queue(p)
end

local HandlerTask = {}
HandlerTask.__index = HandlerTask
function HandlerTask:run(p)
    if p then
        if p.kind == KIND_WORK then self.v1 = p:append_to(self.v1) else self.v2 = p:append_to(self.v2) end
    end
    if self.v1 then
        local count = self.v1.a1
        if count < 4 then
            if self.v2 then
                local v = self.v2
                self.v2 = v.link
                v.a1 = self.v1.a2[count + 1]
                self.v1.a1 = count + 1
                return self.scheduler:queue(v)
            end
        else
            local v = self.v1
            self.v1 = v.link
            return self.scheduler:queue(v)
        end
    end
    return self.scheduler:suspend()
end

local function packets(id, kind) return packet(packet(packet(nil, id, kind), id, kind), id, kind) end
local function task(class, fields) return setmetatable(fields, class) end

local function run()
    local s = setmetatable({queue_count = 0, hold_count = 0, blocks = {}}, Scheduler)
    s:add_running(IDLE, 0, nil, task(IdleTask, {scheduler = s, v1 = 1, count = 10000}))
    s:add(WORKER, 1000, packet(packet(nil, WORKER, KIND_WORK), WORKER, KIND_WORK),
          task(WorkerTask, {scheduler = s, v1 = HANDLER_A, v2 = 0}))
    s:add(HANDLER_A, 2000, packets(DEVICE_A, KIND_DEV), task(HandlerTask, {scheduler = s}))
    s:add(HANDLER_B, 3000, packets(DEVICE_B, KIND_DEV), task(HandlerTask, {scheduler = s}))
    s:add(DEVICE_A, 4000, nil, task(DeviceTask, {scheduler = s}))
    s:add(DEVICE_B, 5000, nil, task(DeviceTask, {scheduler = s}))
    s:schedule()
    return s.queue_count, s.hold_count
end

local queue_count, hold_count
for i = 1, tonumber(arg[1]) or 10 do queue_count, hold_count = run() end
print("queue count " .. queue_count .. ", hold count " .. hold_count)
print(queue_count == 23246 and hold_count == 9297)

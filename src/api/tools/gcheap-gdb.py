# Commands of GDB for heaps of gcheap, in a running program and in a core file. They read memory and
# call nothing of the program's. The library must have been compiled with -g, as it is by default.
# SPDX-License-Identifier: MIT
import os
import time

import gdb

WORD = gdb.lookup_type("void").pointer().sizeof


class Wrong(gdb.GdbError):
    """A mistake of the user's, told in one line."""


def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def words_of(data):
    return memoryview(data).cast("Q" if WORD == 8 else "I")


def read_word(address):
    return words_of(read(address, WORD))[0]


def bit(data, i):
    """Bit i of a map, whose words are in the order of the host."""
    return words_of(data)[i // (8 * WORD)] >> i % (8 * WORD) & 1


def text(pointer):
    return pointer.string() if int(pointer) else ""


def enum_name(kind, number, prefix):
    return str(gdb.Value(number).cast(gdb.lookup_type(f"enum {kind}"))).rpartition(prefix)[2].lower()


# ---- Arenas, spans, objects --------------------------------------------------------------------


class Arena:
    def __init__(self, value):
        self.value, self.base = value, int(value["base"])
        kind = value.type
        self.pages = kind["page_tag"].type.range()[1] + 1
        self.size = (kind["alloc"].type.range()[1] + 1) * 8 * WORD * WORD
        self.page = self.size // self.pages
        self.maps = {}
        self.spans = words_of(self._field("spans"))
        self.in_use = self._field("page_in_use")

    def _field(self, name):
        field = self.value[name]
        return read(int(field.address), field.type.sizeof)

    def map(self, name):
        if name not in self.maps:
            self.maps[name] = self._field(name)
        return self.maps[name]

    def bit(self, name, address):
        return bit(self.map(name), (address - self.base) // WORD)


def type_at(address):
    return gdb.Value(address).cast(gdb.lookup_type("struct gc_type").pointer())


def types_of(type_, element):
    """(kind, type, element) of an object that carries its types (tagged.h)."""
    if not int(element):
        return "typed", type_, None
    return ("array", type_, None) if int(type_) == int(element) else ("flex", type_, element)


class Span:
    """A span as it was when the program stopped."""

    def __init__(self, heap, value):
        self.heap, self.base, self.pages = heap, int(value["base"]), int(value["npages"])
        self.bytes = self.pages * heap.page
        self.cell = int(value["size"]) or self.bytes
        self.large = int(value["size"]) == 0
        spanclass = int(value["spanclass"])
        self.traced = spanclass >= heap.first_traced
        self.references = self.traced or spanclass % 2 == 0
        self.large_type, self.large_element = value["large_type"], value["large_element"]
        self.limit = int(value["scan_limit"])  # of a large one's references

    def start_of(self, address):
        return self.base + (address - self.base) // self.cell * self.cell

    def objects(self):
        count = 1 if self.large else self.bytes // self.cell
        cells = (self.base + i * self.cell for i in range(count))
        return [cell for cell in cells if self.heap.lives(cell)]


class Heap:
    def __init__(self, value):
        self.value, self.address = value, int(value.address)
        self.arenas = self._arenas()
        self.page = next(iter(self.arenas.values())).page if self.arenas else 0
        self.format = [int(value["options"]["format"][name]) for name in ("mask", "match", "payload")]
        centrals = value["centrals"].type.range()[1] + 1
        self.first_traced = centrals // 3 * 2
        self.free = self._free_cells()
        self.by_base = {}
        self.holders = None
        sites = value["sites"]
        self.sites = sites["all"] if int(sites) else None

    def _arenas(self):
        arenas, at = {}, self.value["mem"]["arenas"]["newest"]
        while int(at):
            arena = Arena(at.dereference())
            arenas[arena.base // arena.size] = arena
            at = at["older"]
        return arenas

    def _free_cells(self):
        """The rests of the Ps' runs: cells that are taken, but not handed out."""
        free, procs = set(), self.value["procs"]
        for i in range(int(procs["count"])):
            cache = procs["all"][i]["cache"]
            for k in range(int(cache["nopen"])):
                run = cache["runs"][int(cache["open"][k])]
                if int(run["size"]):
                    free.update(range(int(run["cursor"]), int(run["limit"]), int(run["size"])))
        return free

    def arena_of(self, address):
        for arena in self.arenas.values():
            return self.arenas.get(address // arena.size)
        return None

    def span_of(self, address):
        arena = self.arena_of(address)
        pointer = arena.spans[(address - arena.base) // self.page] if arena else 0
        if not pointer:
            return None
        if pointer not in self.by_base:
            kind = gdb.lookup_type("struct gc_span").pointer()
            self.by_base[pointer] = Span(self, gdb.Value(pointer).cast(kind).dereference())
        span = self.by_base[pointer]
        first = self.arena_of(span.base)
        inside = span.base <= address < span.base + span.bytes
        return span if inside and bit(first.in_use, (span.base - first.base) // self.page) else None

    def all_spans(self):
        for number in sorted(self.arenas):
            arena = self.arenas[number]
            for i in range(arena.pages):
                if bit(arena.in_use, i):
                    yield self.span_of(arena.base + i * self.page)

    def lives(self, cell):
        arena = self.arena_of(cell)
        if cell in self.free or not arena.bit("alloc", cell):
            return False
        notes = arena.value["notes"]
        return not int(notes) or not self._note_bit(notes, cell, arena)

    @staticmethod
    def _note_bit(notes, cell, arena):
        i = (cell - arena.base) // WORD
        return int(notes["dead"][i // (8 * WORD)]) >> i % (8 * WORD) & 1

    def address_of(self, word):
        """The address that a slot's word means in the heap's value format; 0: none."""
        mask, match, payload = self.format
        if mask == 0:
            return word
        if word & mask == match:
            return word & payload
        return 0 if word & 7 else word

    def object_of(self, address):
        """The start of the object that contains the address; 0: there is none."""
        span = self.span_of(address)
        start = span.start_of(address) if span else 0
        return start if start and self.lives(start) else 0

    def site(self, cell):
        arena = self.arena_of(cell)
        notes = arena.value["notes"]
        if self.sites is None or not int(notes):
            return None
        i = (cell - arena.base) // WORD
        number = int(notes["site"][i])
        return (self.sites[number], int(notes["cycle"][i])) if number else None

    def type_of(self, cell):
        """(kind, type, element): what is known of the object's type. Kinds are those of site.h."""
        site, span = self.site(cell), self.span_of(cell)
        if site:
            of = site[0]["of"]
            if int(of["type"]):
                return enum_name("site_kind", int(of["kind"]), "SITE_"), of["type"], of["element"]
        if span.large and int(span.large_type):
            return types_of(span.large_type, span.large_element)
        if span.traced:
            end = cell + span.cell
            header = read_word(end - WORD)
            type_, kind = type_at(header & ~3), header & 3  # HEADER_ARRAY, HEADER_FLEX
            return types_of(type_, type_ if kind == 1 else type_at(read_word(end - 2 * WORD) if kind else 0))
        return None

    def name_of(self, cell):
        known = self.type_of(cell)
        if known:
            kind, type_, element = known
            name = text(type_["name"]) or "type without a name"
            if kind == "array":
                return f"array of {name}"
            return f"{name} with elements {text(element['name'])}" if kind == "flex" else name
        span = self.span_of(cell)
        size = "large object" if span.large else f"object of {span.cell} bytes"
        return size + ("" if span.references else " without references")

    def field_of(self, cell, offset):
        known = self.type_of(cell)
        if known and known[0] in ("typed", "flex"):
            name = field_names(known[1]).get(offset)
            if name:
                return f".{name}"
        if known and known[0] in ("array", "flex"):
            head, element = layout(known)
            size = int(element["size"])
            if size and offset >= head:
                index, rest = divmod(offset - head, size)
                name = field_names(element).get(rest)
                return f"[{index}]" + (f".{name}" if name else f" + {rest}" if rest else "")
        return f" + {offset}"

    def edges_of(self, cell):
        """[(offset, object), ...]: the references of an object that its heap bits name."""
        span = self.span_of(cell)
        if not span.references:
            return []
        end = span.limit if span.large else cell + span.cell
        return self._edges(cell, words_of(read(cell, end - cell)))

    def _edges(self, base, words):
        found, plain = [], self.format[0] == 0
        low = min(self.arenas) * next(iter(self.arenas.values())).size
        for i, word in enumerate(words):
            if plain and word < low:
                continue
            target = self.object_of(self.address_of(word))
            if target and self.arena_of(base + i * WORD).bit("heap", base + i * WORD):
                found.append((i * WORD, target))
        return found

    def holders_of(self, cell):
        """[(object, offset), ...]: what refers to the object. All objects are read at the first call."""
        if self.holders is None:
            self.holders = {}
            for span in self.all_spans():
                if span.references:
                    self._add_holders(span)
        return self.holders.get(cell, [])

    def _add_holders(self, span):
        end = span.limit if span.large else span.base + span.bytes
        for offset, target in self._edges(span.base, words_of(read(span.base, end - span.base))):
            holder = span.start_of(span.base + offset)
            if self.lives(holder):
                self.holders.setdefault(target, []).append((holder, span.base + offset - holder))


def layout(known):
    """(bytes before the elements, the elements' type) of an array or a flexible object."""
    kind, type_, element = known
    if kind == "array":
        return 0, type_
    align = int(element["align"]) or WORD
    return (int(type_["size"]) + align - 1) // align * align, element


def field_names(type_):
    """{offset: name} of a struct gc_type's references; without names: {}."""
    if "fields" not in [field.name for field in type_.dereference().type.fields()]:
        return {}
    names = [name for name in text(type_["fields"]).split(";") if name]
    return {int(type_["field_words"][i]) * WORD: name for i, name in enumerate(names)}


# ---- Roots -------------------------------------------------------------------------------------


def thread_label(thread):
    number, name = int(thread["os_id"]), thread["name"].string()
    return f"thread {number}" + (f" {name}" if name else "")


def linked(first, link):
    while int(first):
        yield first
        first = first[link]


class Stacks:
    """The functions of the program's threads, by the addresses of their frames."""

    def __init__(self):
        self.frames = {}

    def find(self, os_id, address):
        """GDB's frames in which the address lies, innermost first: a function and those inlined in it."""
        if os_id not in self.frames:
            self.frames[os_id] = self._frames(os_id)
        for low, high, frames in self.frames[os_id]:
            if low <= address < high:
                return frames
        return []

    @staticmethod
    def _frames(os_id):
        found = []
        for thread in gdb.selected_inferior().threads():
            if thread.ptid[1] == os_id:
                thread.switch()
                frame = gdb.newest_frame()
                while frame:
                    older, low = frame.older(), int(frame.read_register("sp"))
                    high = int(older.read_register("sp")) if older else low + OUTERMOST
                    inlined = found.pop()[2] if found and found[-1][1] == found[-1][0] else []
                    found.append((low, high, inlined + [frame]))
                    frame = older
        return found

    def describe(self, os_id, address):
        """ "list in build()", or the function alone, or nothing."""
        frames = [frame for frame in self.find(os_id, address) if frame.name()]
        for frame in frames:
            local = local_at(frame, address)
            if local:
                return f"{local} in {frame.name()}()"
        return f"in {frames[0].name()}()" if frames else ""


OUTERMOST = 1 << 16  # bytes of a frame whose end is not known


def local_at(frame, address):
    try:
        block = frame.block()
    except RuntimeError:
        return None
    while block and not block.is_global and not block.is_static:
        for symbol in block:
            if (symbol.is_variable or symbol.is_argument) and holds(symbol, frame, address):
                return symbol.name
        block = None if block.function else block.superblock
    return None


def holds(symbol, frame, address):
    try:
        value = symbol.value(frame)
        return not value.is_optimized_out and value.address is not None and int(value.address) == address
    except (gdb.error, RuntimeError, ValueError):
        return False


def chain_slots(frame):
    """The slots of a chain of GC_FRAMEs (see gcheap.h), innermost first."""
    seen = set()
    while int(frame) and int(frame) not in seen:
        seen.add(int(frame))
        at = int(frame) + WORD
        first = read_word(at)
        if first % 4 == 2:
            base = read_word(at + WORD)
            yield from ((int(frame), base + i * WORD) for i in range(first // 4))
        else:
            for i in range(32):
                slot = read_word(at + i * WORD)
                yield int(frame), slot & ~1
                if slot & 1:
                    break
        frame = frame["prev"]


def set_slots(rootset):
    for i in range(int(rootset["ranges"]["n"])):
        item = rootset["ranges"]["items"][i]
        end = item["top"].dereference() if int(item["top"]) else item["end"]
        yield from ((int(item["base"]), at) for at in range(int(item["base"]), int(end), WORD))


def set_roots(rootset, label, suspended):
    """The slots of a root set. The frames of one that runs hang on its thread."""
    for _, slot in chain_slots(rootset["frames"]) if suspended else ():
        yield f"GC_FRAME of {label}", slot
    for base, slot in set_slots(rootset):
        yield f"[{(slot - base) // WORD}] of the range at {base:#x} of {label}", slot


def symbol_at(address):
    words = gdb.execute(f"info symbol {address:#x}", to_string=True)
    return None if words.startswith("No symbol") else words.split(" in section")[0]


def thread_roots(heap, stacks):
    for thread in linked(heap.value["mutators"]["list"], "next"):
        label, os_id = thread_label(thread), int(thread["os_id"])
        for frame, slot in chain_slots(thread["fast"]["frames"]):
            place = stacks.describe(os_id, slot) or stacks.describe(os_id, frame)
            yield f"GC_FRAME of {label}" + (f": {place}" if place else ""), slot
        yield from set_roots(thread["roots"], label, int(thread["fiber"]) != 0)
        if int(thread["fiber"]):
            yield from set_roots(thread["fiber"]["roots"], label, False)


def suspended(fibers):
    for fiber in linked(fibers, "next"):
        if enum_name("fiber_state", int(fiber["state"]), "FIBER_") == "suspended":
            yield fiber


def fiber_roots(heap):
    """What fibers with owners hold counts as roots, unless the owner was found dead."""
    for fiber in suspended(heap.value["fibers"]):
        yield from set_roots(fiber["roots"], f"fiber {int(fiber):#x}", True)
    for fiber in suspended(heap.value["owned_fibers"]):
        owner = int(fiber["owner"]["weak"]["object"])
        if owner:
            label = f"fiber {int(fiber):#x}, which lives as long as {owner:#x}"
            yield from set_roots(fiber["roots"], label, True)


def heap_roots(heap):
    table = heap.value["roots"]["globals"]
    chunk = 256
    for i in range(int(table["count"])):
        place = table["chunks"][i // chunk][i % chunk]
        base, n = int(place["base"]), int(place["n"])
        name = symbol_at(base) or f"{base:#x}"
        for k in range(n):
            yield f"global {name}" + (f" [{k}]" if n > 1 else ""), base + k * WORD
    for block in linked(heap.value["roots"]["handles"]["blocks"], "next"):
        slots = block["slots"]
        base = int(slots.address)
        for i in range(slots.type.range()[1] + 1):
            yield f"handle {base + i * WORD:#x}", base + i * WORD


def roots_of(heap):
    """[(label, object), ...]. What root callbacks and trace functions visit is not seen, as they
    would have to be called, nor are C stacks that are scanned."""
    stacks, found = Stacks(), []
    thread, frame = gdb.selected_thread(), None
    try:
        frame = gdb.selected_frame()
    except gdb.error:
        pass
    try:
        for source in (thread_roots(heap, stacks), fiber_roots(heap), heap_roots(heap)):
            for label, slot in source:
                target = heap.object_of(heap.address_of(read_word(slot)))
                if target:
                    found.append((label, target))
    finally:
        if thread:
            thread.switch()
        if frame and frame.is_valid():
            frame.select()
    return found


# ---- Heaps -------------------------------------------------------------------------------------


def heap_values():
    for symbol in gdb.lookup_static_symbols("heaps"):
        if "list" in [field.name for field in symbol.type.fields()]:
            return list(linked(symbol.value()["list"], "next_heap"))
    raise Wrong("gcheap: there is no library with debug information in this program")


cache = {}


def forget(_event=None):
    cache.clear()


for event in (gdb.events.cont, gdb.events.exited, gdb.events.new_objfile, gdb.events.memory_changed):
    event.connect(forget)


def heaps():
    if "heaps" not in cache:
        cache["heaps"] = [Heap(value.dereference()) for value in heap_values()]
    if not cache["heaps"]:
        raise Wrong("gcheap: the program has no heap now")
    return cache["heaps"]


def located(argument):
    """(heap, object) for an expression of the program's language."""
    if not argument.strip():
        raise Wrong("gcheap: which address?")
    address = int(gdb.parse_and_eval(argument).cast(gdb.lookup_type("unsigned long")))
    for heap in heaps():
        cell = heap.object_of(address)
        if cell:
            return heap, cell
        if heap.span_of(address):
            raise Wrong(f"gcheap: {address:#x} lies in a heap, in a free cell")
    raise Wrong(f"gcheap: {address:#x} lies in no object of a heap")


def cell_text(heap, cell):
    return f"{heap.name_of(cell)} at {cell:#x}"


# ---- Commands ----------------------------------------------------------------------------------


class Prefix(gdb.Command):
    """Look at the heaps of a program that uses gcheap."""

    def __init__(self):
        super().__init__("gcheap", gdb.COMMAND_DATA, prefix=True)


Prefix()


def command(name):
    """Makes a command "gcheap NAME" of a function; its comment is the help."""

    def make(fn):
        class One(gdb.Command):
            __doc__ = fn.__doc__

            def __init__(self):
                super().__init__(f"gcheap {name}", gdb.COMMAND_DATA)

            def invoke(self, argument, from_tty):
                self.dont_repeat()
                try:
                    fn(argument)
                except gdb.MemoryError as error:
                    raise Wrong(f"gcheap: {error}") from None

        One()
        return fn

    return make


@command("heaps")
def show_heaps(_argument):
    """All heaps of the program."""
    for heap in heaps():
        used = int(heap.value["mem"]["counts"]["pages_inuse"]) * heap.page
        print(f"heap {heap.address:#x}: {used >> 10} KB in spans, {len(heap.arenas)} arenas, "
              f"{int(heap.value['mutators']['count'])} threads, {cycle_text(heap)}")  # fmt: skip


def cycle_text(heap):
    cycle = heap.value["cycle"]
    step = enum_name("step", int(cycle["step"]), "STEP_").upper()
    return f"cycle {int(heap.value['cycle_number'])}, step {step}"


@command("cycle")
def show_cycle(_argument):
    """Where the collector is: the cycle, its step, and for which thread it waits."""
    for heap in heaps():
        mutators, cycle = heap.value["mutators"], heap.value["cycle"]
        phase = enum_name("thread_phase", int(mutators["phase"]), "PHASE_")
        print(f"heap {heap.address:#x}: {cycle_text(heap)}, phase {phase}; "
              f"{int(cycle['flipped'])} cycles are complete")  # fmt: skip
        if int(mutators["held"]):
            print("  all threads are held")
        if int(mutators["collector_waits"]) and int(mutators["awaited"]):
            print(f"  the collector waits for {thread_label(mutators['awaited'])}")
        if int(cycle["left"]):
            print("  the cycle was left by its driver, and the next one goes on with it")


@command("threads")
def show_threads(_argument):
    """The threads that are attached to a heap: state, phase, last call."""
    numbers = {thread.ptid[1]: thread.num for thread in gdb.selected_inferior().threads()}
    for heap in heaps():
        print(f"heap {heap.address:#x}")
        for thread in linked(heap.value["mutators"]["list"], "next"):
            state = enum_name("thread_state", int(thread["st"]) & 3, "THREAD_")
            phase = enum_name("thread_phase", int(thread["phase"]), "PHASE_")
            number = numbers.get(int(thread["os_id"]), "?")
            frames = len({frame for frame, _ in chain_slots(thread["fast"]["frames"])})
            print(f"  {thread_label(thread)} (GDB's {number}): {state}, phase {phase}, {frames} GC_FRAMEs, "
                  f"last call {text(thread['last_call']) or 'none'}")  # fmt: skip


@command("object")
def show_object(argument):
    """An object: its type, its fields, what it refers to. The argument is an address in it."""
    heap, cell = located(argument)
    span, site = heap.span_of(cell), heap.site(cell)
    print(f"{cell_text(heap, cell)}: {span.cell} bytes")
    if site and int(site[0]["thread"]):
        print(f"  allocated by thread {int(site[0]['thread'])}, in cycle {site[1]}")
        for i in range(3):
            pc = int(site[0]["place"]["pc"][i])
            if pc and symbol_at(pc):
                print(f"    in {symbol_at(pc)}")
    known = heap.type_of(cell)
    if known and known[0] == "typed":
        show_struct(text(known[1]["name"]), cell)
    for offset, target in heap.edges_of(cell):
        print(f"  {heap.field_of(cell, offset).strip()} -> {cell_text(heap, target)}")


def show_struct(name, cell):
    """The object as the program's own type of this name, if it has one."""
    try:
        kind = gdb.lookup_type(name)
    except gdb.error:
        return
    value = gdb.Value(cell).cast(kind.pointer()).dereference()
    print("  " + value.format_string(max_elements=20).replace("\n", "\n  "))


@command("who")
def show_who(argument):
    """What refers to an object: other objects, and roots."""
    heap, cell = located(argument)
    print(cell_text(heap, cell))
    for label, target in roots_of(heap):
        if target == cell:
            print(f"  {label}")
    for holder, offset in heap.holders_of(cell):
        print(f"  {cell_text(heap, holder)}{heap.field_of(holder, offset)}")


@command("path")
def show_path(argument):
    """A shortest path from a root to an object."""
    heap, cell = located(argument)
    labels = {}
    for label, target in roots_of(heap):
        labels.setdefault(target, label)
    below, level = {cell: None}, [cell]
    while level and not any(node in labels for node in level):
        above = []
        for node in level:
            for holder, offset in heap.holders_of(node):
                if holder not in below:
                    below[holder] = (offset, node)
                    above.append(holder)
        level = above
    top = next((node for node in level if node in labels), None)
    if top is None:
        print(f"{cell_text(heap, cell)}: no root that GDB sees reaches it")
        return
    print(labels[top])
    while below[top]:
        offset, node = below[top]
        print(f"  {cell_text(heap, top)}{heap.field_of(top, offset)}")
        top = node
    print(f"  {cell_text(heap, top)}")


@command("roots")
def show_roots(_argument):
    """All roots that hold an object."""
    for heap in heaps():
        for label, target in roots_of(heap):
            print(f"{label} -> {cell_text(heap, target)}")


@command("census")
def show_census(_argument):
    """Objects and bytes by type."""
    counts = {}
    for heap in heaps():
        for span in heap.all_spans():
            for cell in span.objects():
                name = heap.name_of(cell)
                objects, size = counts.get(name, (0, 0))
                counts[name] = (objects + 1, size + span.cell)
    for name, (objects, size) in sorted(counts.items(), key=lambda item: -item[1][1]):
        print(f"{objects:10} {size:12}  {name}")


# ---- Dumps: docs/heap-dump.md describes the format ---------------------------------------------


class DumpFile:
    def __init__(self, heap, file):
        self.heap, self.file, self.types = heap, file, {}
        self.objects = self.edges = 0

    def line(self, *words):
        print(*(f"{word:x}" if isinstance(word, int) else word for word in words), file=self.file)

    def write(self):
        heap, roots = self.heap, roots_of(self.heap)
        self.line("gcheap heap dump 1")
        figures = {"word": WORD, "page": heap.page, "pid": gdb.selected_inferior().pid, "time": int(time.time()),
                   "cycles": int(heap.value["cycle"]["flipped"]),
                   "heap_inuse": int(heap.value["mem"]["counts"]["pages_inuse"]) * heap.page,
                   "threads": int(heap.value["mutators"]["count"])}  # fmt: skip
        for name, number in figures.items():
            self.line("=", name, str(number))
        for arena in heap.arenas.values():
            self.line("A", arena.base, arena.size)
        for label, target in roots:
            self.line("R", target, label)
        for span in heap.all_spans():
            self.write_span(span)
        self.line("Z", self.objects, self.edges, len(roots))

    def write_span(self, span):
        objects = span.objects()
        numbers = [self.type_number(cell) for cell in objects]
        if objects:
            self.line("S", span.base, span.pages, span.cell, "p" if span.references else "b")
        for cell, number in zip(objects, numbers):
            edges = self.heap.edges_of(cell)
            site = self.heap.site(cell)
            kind = f"{number:x}/{site[1]:x}" if site and int(site[0]["thread"]) else number
            self.line((cell - span.base) // span.cell, kind, *(word for edge in edges for word in edge))
            self.edges += len(edges)
        self.objects += len(objects)

    def type_number(self, cell):
        known = self.heap.type_of(cell)
        if not known:
            return 0
        name = self.heap.name_of(cell)
        if name not in self.types:
            number = self.types[name] = len(self.types) + 1
            head, element = layout(known) if known[0] in ("array", "flex") else (int(known[1]["size"]), None)
            self.line("T", number, head, int(element["size"]) if element else 0, name)
            for letter, type_ in (("F", known[1] if known[0] != "array" else None), ("E", element)):
                for offset, field in field_names(type_).items() if type_ else ():
                    self.line(letter, number, offset, field)
        return self.types[name]


@command("dump")
def write_dump(argument):
    """Write a heap dump for gcheap-heap: gcheap dump FILE. Of a program with several heaps, of the first one."""
    path = argument.strip()
    if not path:
        raise Wrong("gcheap: dump to which file?")
    part = path + ".part"
    try:
        with open(part, "w", encoding="utf-8") as file:
            DumpFile(heaps()[0], file).write()
        os.replace(part, path)
    except OSError as error:
        raise Wrong(f"gcheap: {path}: {error.strerror}") from None

#!/usr/bin/env python3
# The algorithms of src/api/tools/gcheap-heap, on small random graphs: dominators, retained sizes and shortest
# paths are what their definitions say. Also on a long list, and on files that are no dumps.
#   test/heap-graphs.py FOLDER      writes its dumps there; says what is wrong, and fails then
import gzip
import importlib.machinery
import importlib.util
import os
import random
import sys
import xml.dom.minidom

folder = sys.argv[1]
loader = importlib.machinery.SourceFileLoader("gcheap_heap", "src/api/tools/gcheap-heap")
sys.dont_write_bytecode = True
tool = importlib.util.module_from_spec(importlib.util.spec_from_loader("gcheap_heap", loader))
loader.exec_module(tool)


def write_dump(name, edges, roots, open=open):
    """A dump whose objects are 1 … n, of 16 * number bytes each in a span of its own."""
    path = os.path.join(folder, name)
    total = sum(len(targets) for targets in edges.values())
    with open(path, "wt") as file:
        print("gcheap heap dump 1\n= word 8\n= page 8192\n= pid 1\n= cycles 1", file=file)
        for node in roots:
            print(f"R {node * 8192:x} root {node}", file=file)
        print("T 1 10 0 struct node\nF 1 0 next", file=file)
        for node, targets in sorted(edges.items()):
            words = " ".join(f"{8 * i:x} {target * 8192:x}" for i, target in enumerate(targets))
            print(f"S {node * 8192:x} 1 {16 * node:x} p\n0 1 {words}".rstrip(), file=file)
        print(f"Z {len(edges):x} {total:x} {len(roots):x}", file=file)
    return path


def reached(edges, roots, without=None):
    seen, waiting = set(), [node for node in roots if node != without]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += [target for target in edges[node] if target != without]
    return seen


def distance(edges, roots, node):
    steps, level, seen = 1, set(roots), set(roots)
    while node not in level:
        level = {target for at in level for target in edges[at]} - seen
        seen |= level
        steps += 1
    return steps


def check_graph(seed):
    rnd = random.Random(seed)
    n = rnd.randint(1, 25)
    nodes = range(1, n + 1)
    edges = {node: [rnd.choice(nodes) for _ in range(rnd.choice((0, 1, 1, 2, 4)))] for node in nodes}
    roots = [rnd.choice(nodes) for _ in range(rnd.randint(0, 3))]
    dump = tool.Dump(write_dump("graph", edges, roots))
    tree, paths = tool.Dominators(dump), tool.Paths(dump)
    alive = reached(edges, roots)
    kept = {node: alive - reached(edges, roots, node) for node in alive}
    for node in nodes:
        at = f"seed {seed}, node {node}"
        assert tree.reaches(node) == (node in alive), at
        if node not in alive:
            assert paths.to(node) is None, at
            continue
        assert tree.retained[node] == sum(16 * other for other in kept[node]), at
        over = [other for other in alive if other != node and node in kept[other]]
        nearest = min(over, key=lambda other: len(kept[other]), default=0)
        assert tree.parent[node] == nearest, at
        assert set(tool.dominators_of(tree, node)) == set(over), at
        steps = paths.to(node)
        assert len(steps) == distance(edges, roots, node), at
        walked = [dump.target[edge] for _, edge in steps]
        assert walked[-1] == node and all(edge in dump.edges(holder) for holder, edge in steps), at
        assert {holder for holder, _ in tool.referrers(dump, node) if holder} == {
            other for other in nodes if node in edges[other]
        }, at
    whole = sum(16 * node for node in alive)
    assert tree.retained[tool.ROOT] == whole
    assert tool.retained_by_type(dump, tree).get("struct node", 0) == whole


def check_list(n):
    """Nothing calls itself for each object of a list."""
    edges = {i: [i + 1, i - 1] for i in range(2, n)}
    edges[1], edges[n] = [2], [n - 1]
    dump = tool.Dump(write_dump("list", edges, [1]))
    tree, paths = tool.Dominators(dump), tool.Paths(dump)
    assert tree.retained[1] == 16 * n * (n + 1) // 2 and tree.parent[n] == n - 1
    kind, steps = paths.kinds()
    assert tool.kind_text(kind[n], steps) == "root 1 -> struct node.next", tool.kind_text(kind[n], steps)
    lines = paths.lines(n)
    assert len(lines) == 5 and "more of these" in lines[2], lines


def wrong(path):
    try:
        tool.Dump(path)
    except tool.Wrong as error:
        return str(error)
    return "nothing"


def check_files():
    path = write_dump("good", {1: [2], 2: []}, [1])
    with open(path) as file:
        lines = file.readlines()

    def told(changed, words):
        with open(os.path.join(folder, "bad"), "w") as file:
            file.writelines(changed)
        message = wrong(os.path.join(folder, "bad"))
        assert words in message, f"{message!r}, not {words!r}"

    told([], "not a heap dump")
    told(["hello\n"], "not a heap dump")
    told(["gcheap heap dump 2\n"] + lines[1:], "version 2; this program reads version 1")
    told(lines[:-1], "its last line is missing")
    told(lines[:-2] + ["Z 1 1 1\n"], "leads to no object (0x4000)")
    told(lines[:-1] + ["Z 3 1 1\n"], "instead of (3, 2, 1)")
    told([line.replace("4000", "8000") if line[0] != "S" else line for line in lines], "leads to no object")
    told(lines[:6] + ["? what\n"] + lines[6:], "bad:7: not a line")
    assert "No such file" in wrong(os.path.join(folder, "none"))
    packed = write_dump("packed.gz", {1: [2], 2: []}, [1], gzip.open)
    assert tool.Dump(packed).address == tool.Dump(path).address
    with open(packed, "rb") as file:
        half = file.read()[:-20]
    with open(packed, "wb") as file:
        file.write(half)
    assert "not a line" in wrong(packed)


def check_pictures():
    """Each picture is XML, also of an empty heap, and all of the treemap's area is used."""
    for edges in ({}, {1: []}, {i: [] for i in range(1, 200)}):
        dump = tool.Dump(write_dump("picture", edges, [1] if edges else []))
        for picture in tool.PICTURES.values():
            xml.dom.minidom.parseString(tool.standalone(picture(dump)))
        page = tool.report([dump, dump], 5)
        assert "http" not in page.replace("http://www.w3.org/2000/svg", ""), "the report loads nothing"
    boxes = tool.squares([9, 5, 4, 1, 1], 0, 0, 40, 10)
    areas = [round(w * h) for _, _, w, h in boxes]
    assert areas == [180, 100, 80, 20, 20], areas
    assert all(0 <= x and x + w < 40.001 and 0 <= y and y + h < 10.001 for x, y, w, h in boxes)


for seed in range(400):
    check_graph(seed)
check_list(100000)
check_files()
check_pictures()

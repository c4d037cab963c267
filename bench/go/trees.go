package main

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

type node struct {
	left, right *node
	value       uint64
}

func newTree(depth int) *node {
	if depth == 0 {
		return &node{value: 1}
	}
	return &node{newTree(depth - 1), newTree(depth - 1), 1}
}

func (n *node) count() uint64 {
	if n.left == nil {
		return n.value
	}
	return n.value + n.left.count() + n.right.count()
}

// ---- tree ----

func runTree() {
	threads := parameter("threads", 1)
	longDepth := parameter("depth", 18)
	t0, cpu0 := nowNs(), cpuSeconds()
	newTree(longDepth + 1).count()
	longLived := newTree(longDepth)
	var nodes uint64
	inThreads(threads, func(_ *team, index int) {
		count := uint64(0)
		for depth := 4; depth <= longDepth-2; depth += 4 {
			for i := index; i < 1<<uint(longDepth-depth+4); i += threads {
				count += newTree(depth).count()
			}
		}
		atomic.AddUint64(&nodes, count)
	})
	total := nodes + longLived.count()
	result("time", since(t0), "s")
	result("cpu", cpuSeconds()-cpu0, "s")
	check(total)
}

// ---- mark ----

func randomCycle(n int, r *random) []uint32 {
	next := make([]uint32, n)
	for i := range next {
		next[i] = uint32(i)
	}
	for i := n - 1; i > 0; i-- {
		j := r.below(i)
		next[i], next[j] = next[j], next[i]
	}
	return next
}

func newGraph(n int) *node {
	all := make([]*node, n)
	for i := range all {
		all[i] = &node{value: 1}
	}
	r := random{42}
	next := randomCycle(n, &r)
	for i, from := range all {
		from.left = all[next[i]]
		from.right = all[r.below(n)]
	}
	return all[0]
}

func countGraph(start *node) (count uint64) {
	for n := start; ; {
		count += n.value
		if n = n.left; n == start {
			return
		}
	}
}

func timeCollections(n int, objects uint64) {
	wall, cpu := make([]float64, n), make([]float64, n)
	for i := range wall {
		t0, cpu0 := nowNs(), cpuSeconds()
		runtime.GC()
		cpu[i] = (cpuSeconds() - cpu0) * 1e9 / float64(objects)
		wall[i] = since(t0) * 1e9 / float64(objects)
	}
	result("time", median(wall), "ns/object")
	result("cpu", median(cpu), "ns/object")
}

func runMark() {
	var root *node
	var objects, count uint64
	graph := parameter("graph", 0) != 0
	if graph {
		size := parameter("nodes", 4*1000*1000)
		root, objects = newGraph(size), uint64(size)
	} else {
		depth := parameter("depth", 22)
		root, objects = newTree(depth), 2<<uint(depth)-1
	}
	runtime.GC()
	timeCollections(parameter("collections", 5), objects)
	if graph {
		count = countGraph(root)
	} else {
		count = root.count()
	}
	check(count)
}

// ---- growth ----

type item struct {
	left, right *item
	data        [6]uint64
}

func newItems(n int) *item {
	if n == 0 {
		return nil
	}
	return &item{left: newItems((n - 1) / 2), right: newItems(n - 1 - (n-1)/2)}
}

func (n *item) count() uint64 {
	if n == nil {
		return 0
	}
	return n.left.count() + n.right.count() + 1
}

func allocate(kept *[64]*item, n int) {
	for i := 0; i < n; i++ {
		kept[i%64] = new(item)
	}
}

func timeAllocation(n, passes int) {
	var kept [64]*item
	t0 := nowNs()
	allocate(&kept, n)
	result("alloc_first", since(t0)*1e9/float64(n), "ns/object")
	if passes > 1 {
		wall := make([]float64, passes-1)
		cpu0 := cpuSeconds()
		for i := range wall {
			t0 := nowNs()
			allocate(&kept, n)
			wall[i] = since(t0) * 1e9 / float64(n)
		}
		result("alloc", median(wall), "ns/object")
		result("alloc_cpu", (cpuSeconds()-cpu0)*1e9/float64(n*len(wall)), "ns/object")
	}
	runtime.KeepAlive(kept[0])
}

func runGrowth() {
	n, passes := parameter("live", 100<<20)/64, parameter("passes", 9)
	t0 := nowNs()
	root := newItems(n)
	result("build", since(t0)*1e9/float64(n), "ns/object")
	runtime.GC()
	wall := make([]float64, 3)
	for i := range wall {
		t0 := nowNs()
		runtime.GC()
		wall[i] = since(t0) * 1e9 / float64(n)
	}
	result("mark", median(wall), "ns/object")
	timeAllocation(n, passes)
	check(root.count())
}

// ---- tiny ----

type cell struct {
	next, row *cell
	data      [6]uint64
}

func newRows(n int) (rows *cell) {
	const perRow = 256
	var row *cell
	for i := 0; i < n; i++ {
		if i%perRow == 0 {
			row = nil
		}
		row = &cell{next: row}
		if i%perRow == perRow-1 {
			rows = &cell{next: rows, row: row}
		}
	}
	return
}

func runTiny() {
	rows := newRows(parameter("live", 4<<20) / 64)
	us := make([]float64, parameter("collections", 200))
	for i := 0; i < 10; i++ {
		runtime.GC()
	}
	for i := range us {
		t0 := nowNs()
		runtime.GC()
		us[i] = since(t0) * 1e6
	}
	result("time", median(us), "us")
	result("p99", us[len(us)*99/100], "us")
	count := uint64(0)
	for r := rows; r != nil; r = r.next {
		for c := r.row; c != nil; c = c.next {
			count++
		}
	}
	check(count)
}

// ---- gcbench ----

type leafy struct {
	left, right *leafy
	i, j        int32
}

func (n *leafy) populate(depth int) {
	if depth <= 0 {
		return
	}
	n.left, n.right = new(leafy), new(leafy)
	n.left.populate(depth - 1)
	n.right.populate(depth - 1)
}

func bottomUp(depth int) *leafy {
	if depth <= 0 {
		return new(leafy)
	}
	return &leafy{left: bottomUp(depth - 1), right: bottomUp(depth - 1)}
}

func (n *leafy) count() uint64 {
	if n == nil {
		return 0
	}
	return n.left.count() + n.right.count() + 1
}

// Looks at a tree for the last time.
func drop(n *leafy) uint64 { return uint64(n.i + 1) }

func treeSize(depth int) int { return 2<<uint(depth) - 1 }

func gcBenchOnce() (count uint64) {
	const stretch, longLived, array = 18, 16, 500000
	count += drop(bottomUp(stretch))
	tree, doubles := new(leafy), make([]float64, array)
	tree.populate(longLived)
	for i := 1; i < array/2; i++ {
		doubles[i] = 1 / float64(i)
	}
	for depth := 4; depth <= 16; depth += 2 {
		for i := 0; i < 2*treeSize(stretch)/treeSize(depth); i++ {
			top := new(leafy)
			top.populate(depth)
			count += drop(top)
			count += drop(bottomUp(depth))
		}
	}
	return count + tree.count() + uint64(doubles[1000]*1000+0.5)
}

func runGCBench() {
	repeat, count := parameter("repeat", 3), uint64(0)
	t0 := nowNs()
	for i := 0; i < repeat; i++ {
		count += gcBenchOnce()
	}
	result("time", since(t0), "s")
	check(count)
}

// ---- holes ----

type hollow struct {
	left, right *hollow
	i, depth    int32
}

const lengthCount, longLivedDepth = 256, 16

var lengths [lengthCount]int

func makeLengths() {
	r := random{7}
	for i := range lengths {
		for r.below(1000) >= 150 && lengths[i] < 255 {
			lengths[i]++
		}
	}
}

type maker struct {
	hole  int
	count uint64
	last  []uint64 // so that holes are allocated in the heap
}

func (m *maker) makeHole() {
	n := lengths[m.hole%lengthCount]
	m.hole++
	if n > 0 {
		m.last = make([]uint64, n+1)
		m.last[0] = uint64(n)
	}
}

func (m *maker) node(depth int) *hollow {
	m.count++
	return &hollow{depth: int32(depth)}
}

func (m *maker) populate(depth int, n *hollow) {
	if depth <= 0 {
		return
	}
	m.makeHole()
	left := m.node(depth - 1)
	m.makeHole()
	right := m.node(depth - 1)
	n.left, n.right = left, right
	m.populate(depth-1, left)
	m.populate(depth-1, right)
}

func (m *maker) bottomUp(depth int) *hollow {
	if depth <= 0 {
		return m.node(0)
	}
	left, right := m.bottomUp(depth-1), m.bottomUp(depth-1)
	m.makeHole()
	n := m.node(depth)
	n.left, n.right = left, right
	return n
}

func (m *maker) makeTrees(depth int) {
	n := 2 * (2<<18 - 1) / (2<<uint(depth) - 1)
	for i := 0; i < n; i++ {
		m.populate(depth, m.node(depth))
	}
	for i := 0; i < n; i++ {
		m.bottomUp(depth)
	}
}

func runHoles() {
	threads := parameter("threads", 1)
	debug.SetGCPercent(parameter("percent", 100))
	makeLengths()
	sums := make([]uint64, threads)
	cpu0 := cpuSeconds()
	seconds := inThreads(threads, func(_ *team, index int) {
		m := &maker{}
		tree := m.node(longLivedDepth)
		m.populate(longLivedDepth, tree)
		doubles := make([]float64, 500000)
		for i := 1; i < len(doubles)/2; i++ {
			doubles[i] = 1 / float64(i)
		}
		for depth := 4; depth <= 16; depth += 2 {
			m.makeTrees(depth)
		}
		sums[index] = m.count + uint64(tree.right.depth) + uint64(doubles[1000]*1000+0.5)
	})
	result("time", seconds, "s")
	result("cpu", cpuSeconds()-cpu0, "s")
	total := uint64(0)
	for _, s := range sums {
		total += s
	}
	check(total)
}

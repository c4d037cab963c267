package main

import (
	"runtime"
	"unsafe"
)

// ---- graphs: the shapes of ../work/graphs.c ----

type shape struct {
	make  func(n int) any
	check func(root any, n int) uint64
}

var shapes = map[string]shape{
	"tree": {makeTree, checkTree}, "list": {makeList, checkList},
	"shuffled": {makeShuffled, checkList}, "random": {makeRandom, checkList},
	"table": {makeTable, checkTable}, "strings": {makeStrings, checkStrings},
	"arrays": {makeArrays, checkArrays}, "mixed": {makeMixed, checkMixed},
	"wide": {makeWide, checkWide}, "boxed": {makeBoxed, checkBoxed},
}

func makeTree(n int) any {
	depth := 0
	for 4<<uint(depth)-1 <= n {
		depth++
	}
	return newTree(depth)
}

func checkTree(root any, n int) uint64 { return root.(*node).count() }

func makeList(n int) any {
	var list *node
	for i := 0; i < n; i++ {
		list = &node{left: list, value: 1}
	}
	return list
}

func checkList(root any, n int) (count uint64) {
	at := root.(*node)
	for i := 0; i < n && at != nil; i++ {
		count += at.value
		at = at.left
	}
	return
}

func newLeaves(n int) []*node {
	all := make([]*node, n)
	for i := range all {
		all[i] = &node{value: 1}
	}
	return all
}

func linkNodes(all []*node, both bool) {
	r := random{42}
	next := randomCycle(len(all), &r)
	for i, at := range all {
		at.left = all[next[i]]
		if both {
			at.right = all[r.below(len(all))]
		}
	}
}

func makeShuffled(n int) any {
	all := newLeaves(n)
	linkNodes(all, false)
	return all[0]
}

func makeRandom(n int) any {
	all := newLeaves(n)
	linkNodes(all, true)
	return all[0]
}

func makeTable(n int) any {
	all := newLeaves(n)
	linkNodes(all, true)
	return all
}

func checkTable(root any, n int) uint64 { return checkList(root.([]*node)[0], n) }

const (
	perBucket               = 2
	stringMin, stringSpread = 16, 32
)

type entry3 struct {
	next       *entry3
	key, value *byte
	hash       uint64
}

func newKey(r *random) *byte {
	n := stringMin + r.below(stringSpread)
	return &newBlock(n, byte(n))[0]
}

func makeStrings(n int) any {
	r := random{7}
	table := make([]*entry3, n/perBucket)
	for i := 0; i < n; i++ {
		slot := &table[r.below(n/perBucket)]
		key := newKey(&r)
		value := newKey(&r)
		*slot = &entry3{*slot, key, value, 0}
	}
	return table
}

func checkStrings(root any, n int) (sum uint64) {
	for _, e := range root.([]*entry3) {
		for ; e != nil; e = e.next {
			sum += uint64(*e.key) + uint64(*e.value)
		}
	}
	return
}

const rowLength = 100

func makeArrays(n int) any {
	rows := make([][]*[2]uint64, n/rowLength)
	for i := range rows {
		row := make([]*[2]uint64, rowLength)
		for j := range row {
			row[j] = &[2]uint64{uint64(j), uint64(j)}
		}
		rows[i] = row
	}
	return rows
}

func checkArrays(root any, n int) (sum uint64) {
	for _, row := range root.([][]*[2]uint64) {
		for _, number := range row {
			sum += number[0]
		}
	}
	return
}

const kinds, vectorSpread, near = 4, 8, 1000

type mixedPair struct {
	left, right unsafe.Pointer
	value       uint64
}

func makeMixed(n int) any {
	r := random{11}
	all := make([]unsafe.Pointer, n)
	older := func(i int) unsafe.Pointer {
		if i == 0 {
			return nil
		}
		if i < near {
			return all[i-1-r.below(i)]
		}
		return all[i-1-r.below(near)]
	}
	for i := range all {
		switch i % kinds {
		case 0:
			all[i] = unsafe.Pointer(newKey(&r))
		case 1:
			vector := make([]unsafe.Pointer, 1+r.below(vectorSpread))
			for j := range vector {
				vector[j] = older(i)
			}
			all[i] = unsafe.Pointer(&vector[0])
		default:
			fresh := &mixedPair{value: 1}
			fresh.left = older(i)
			fresh.right = older(i)
			all[i] = unsafe.Pointer(fresh)
		}
	}
	return all
}

func checkMixed(root any, n int) (sum uint64) {
	all := root.([]unsafe.Pointer)
	for i := 2; i < n; i += kinds {
		sum += (*mixedPair)(all[i]).value
	}
	return
}

const width = 30

type wide3 [width]*wide3

func makeWide(n int) any {
	r := random{13}
	all := make([]*wide3, n/width)
	for i := range all {
		at := new(wide3)
		for j := range at {
			if i > 0 {
				at[j] = all[r.below(i)]
			}
		}
		all[i] = at
	}
	return all
}

func checkWide(root any, n int) (sum uint64) {
	for _, at := range root.([]*wide3) {
		if at[0] != nil {
			sum++
		}
	}
	return
}

const tableValues, poolSize = 50, 20000

type boxedTables struct {
	pool []*byte
	all  []*[tableValues]*byte
}

func makeBoxed(n int) any {
	r := random{17}
	t := &boxedTables{make([]*byte, poolSize), make([]*[tableValues]*byte, n/tableValues)}
	for i := range t.pool {
		t.pool[i] = newKey(&r)
	}
	for i := range t.all {
		t.all[i] = new([tableValues]*byte)
		for j := range t.all[i] {
			if dice := r.next(); dice%2 != 0 {
				t.all[i][j] = t.pool[(dice>>32)%poolSize]
			}
		}
	}
	return t
}

func checkBoxed(root any, n int) (sum uint64) {
	for _, table := range root.(*boxedTables).all {
		for _, string := range table {
			if string != nil {
				sum += uint64(*string)
			}
		}
	}
	return
}

func runGraphs() {
	s, known := shapes[parameterName("shape", "table")]
	if !known {
		fail("no such shape")
	}
	n := parameter("items", 4*1000*1000)
	collections := parameter("collections", 5)
	parameter("cpus", 2)
	root := s.make(n)
	runtime.GC()
	timeCollections(collections, uint64(n))
	check(s.check(root, n))
}

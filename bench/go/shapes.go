package main

import "unsafe"

// Small objects of variable size; see ../work/shapes.c. An array of n references is the memory of a
// slice. A closure is a struct for its number of references, as the compiler would make.

type closureHead struct {
	kind, arity uint64
	function    *node
}
type (
	closure1 struct {
		closureHead
		captured [1]*node
	}
	closure2 struct {
		closureHead
		captured [2]*node
	}
	closure3 struct {
		closureHead
		captured [3]*node
	}
	closure4 struct {
		closureHead
		captured [4]*node
	}
	closure5 struct {
		closureHead
		captured [5]*node
	}
	closure6 struct {
		closureHead
		captured [6]*node
	}
)

var sizes [window]int

func chooseSizes(most int) {
	r := random{42}
	for i := range sizes {
		sizes[i] = 1 + r.below(most)
	}
}

func newArray(n int, anchor *node) []*node {
	a := make([]*node, n)
	a[n-1] = anchor
	return a
}

func newClosure(n int, anchor *node) *closureHead {
	head := closureHead{kind: uint64(n), function: anchor}
	switch n {
	case 1:
		c := &closure1{closureHead: head}
		c.captured[0] = anchor
		return &c.closureHead
	case 2:
		c := &closure2{closureHead: head}
		c.captured[1] = anchor
		return &c.closureHead
	case 3:
		c := &closure3{closureHead: head}
		c.captured[2] = anchor
		return &c.closureHead
	case 4:
		c := &closure4{closureHead: head}
		c.captured[3] = anchor
		return &c.closureHead
	case 5:
		c := &closure5{closureHead: head}
		c.captured[4] = anchor
		return &c.closureHead
	case 6:
		c := &closure6{closureHead: head}
		c.captured[5] = anchor
		return &c.closureHead
	}
	fail("a closure has 1 to 6 references")
	return nil
}

func newString(n int) []byte {
	s := make([]byte, n)
	s[n-1] = byte(n)
	return s
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func arraysLoop(count int) (intact uint64) {
	var kept [window][]*node
	anchor := newTree(0)
	for i := 0; i < count; i++ {
		kept[i%window] = newArray(sizes[i%window], anchor)
	}
	for i, a := range kept {
		intact += one(a[sizes[i]-1] == anchor)
	}
	return
}

func closuresLoop(count int) (intact uint64) {
	var kept [window]*closureHead
	anchor := newTree(0)
	for i := 0; i < count; i++ {
		kept[i%window] = newClosure(sizes[i%window], anchor)
	}
	for i, c := range kept {
		intact += one(c.kind == uint64(sizes[i]) && c.function == anchor)
	}
	return
}

func stringsLoop(count int) (intact uint64) {
	var kept [window][]byte
	for i := 0; i < count; i++ {
		kept[i%window] = newString(sizes[i%window])
	}
	for i, s := range kept {
		intact += one(s[sizes[i]-1] == byte(sizes[i]))
	}
	return
}

func mixtureLoop(count int) (intact uint64) {
	var closures [window]*closureHead
	var arrays [window][]*node
	var strings [window][]byte
	anchor := newTree(0)
	for i := 0; i < count; i += 3 {
		k := i / 3 % window
		n := sizes[k]
		closures[k] = newClosure(n, anchor)
		arrays[k] = newArray(n, anchor)
		strings[k] = newString(8*n - 3)
	}
	for i := range sizes {
		n := sizes[i]
		intact += one(closures[i].kind == uint64(n) && closures[i].function == anchor)
		intact += one(arrays[i][n-1] == anchor)
		intact += one(strings[i][8*n-4] == byte(8*n-3))
	}
	return
}

func runLoop(loop func(int) uint64, most int) func() {
	return func() {
		count := parameter("count", 20*1000*1000)
		chooseSizes(parameter("most", most))
		loop(count/20 + 3*window)
		t0 := nowNs()
		intact := loop(count)
		result("time", since(t0)*1e9/float64(count), "ns/object")
		check(intact)
	}
}

// ---- A vector that grows ----

func grow(most int, anchor *node) uint64 {
	vector, capacity := make([]*node, 4), 4
	for n := 0; n < most; n++ {
		if n == capacity {
			larger := make([]*node, 2*capacity)
			copy(larger, vector)
			vector = larger
			capacity *= 2
		}
		vector[n] = anchor
	}
	return one(vector[0] == anchor && vector[most-1] == anchor)
}

func runVector() {
	most, count := parameter("most", 100), parameter("count", 400*1000)
	anchor := newTree(0)
	intact := uint64(0)
	for i := 0; i < count/20; i++ {
		grow(most, anchor)
	}
	t0 := nowNs()
	for i := 0; i < count; i++ {
		intact += grow(most, anchor)
	}
	result("time", since(t0)*1e9/float64(count), "ns/vector")
	check(intact)
}

// ---- Activation records ----

var calls uint64

// A slot is one word, as in C; what it holds is known from its place.
func fib(caller unsafe.Pointer, n uint64) uint64 {
	slots := make([]unsafe.Pointer, 2+n%5)
	slots[0] = caller
	argument := newTree(0)
	argument.value = n
	slots[1] = unsafe.Pointer(argument)
	calls++
	sum := n
	if n >= 2 {
		self := unsafe.Pointer(&slots[0])
		sum = fib(self, n-1) + fib(self, n-2)
	}
	return sum + (*node)(slots[1]).value - n
}

func runFib() {
	n := uint64(parameter("n", 32))
	fib(nil, n-5)
	calls = 0
	t0 := nowNs()
	sum := fib(nil, n)
	result("time", since(t0)*1e9/float64(calls), "ns/call")
	check(sum)
}

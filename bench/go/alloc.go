package main

import (
	"encoding/binary"
	"strings"
)

const window = 1024

// 16 bytes of references and the rest, which stands first because Go pads after an empty last field.
type object[R any] struct {
	rest          R
	first, second *object[R]
}

type words interface {
	[2]uint64 | [3]uint64 | [4]uint64 | [8]uint64 | [32]uint64 | [128]uint64
}

func allocPointers[R any](count int) (intact uint64) {
	var kept [window]*object[R]
	anchor := new(object[R])
	for i := 0; i < count; i++ {
		kept[i%window] = &object[R]{first: anchor, second: anchor}
	}
	for _, o := range kept {
		if o != nil && o.first == anchor {
			intact++
		}
	}
	return
}

func allocBytes[W words](count int) (intact uint64) {
	var kept [window]*W
	for i := 0; i < count; i++ {
		o := new(W)
		(*o)[0] = uint64(i%window + 1)
		kept[i%window] = o
	}
	for i, o := range kept {
		if o != nil && (*o)[0] == uint64(i+1) {
			intact++
		}
	}
	return
}

// Bytes that are not zeroed: what a strings.Builder sets aside.
func allocRaw(size, count int) (intact uint64) {
	var kept [window]string
	var word [8]byte
	for i := 0; i < count; i++ {
		var o strings.Builder
		o.Grow(size)
		binary.LittleEndian.PutUint64(word[:], uint64(i%window+1))
		o.Write(word[:])
		kept[i%window] = o.String()
	}
	for i, o := range kept {
		if o != "" && binary.LittleEndian.Uint64([]byte(o)) == uint64(i+1) {
			intact++
		}
	}
	return
}

var allocLoops = map[int][2]func(int) uint64{
	16:   {allocBytes[[2]uint64], allocPointers[[0]byte]},
	24:   {allocBytes[[3]uint64], allocPointers[[8]byte]},
	32:   {allocBytes[[4]uint64], allocPointers[[16]byte]},
	64:   {allocBytes[[8]uint64], allocPointers[[48]byte]},
	256:  {allocBytes[[32]uint64], allocPointers[[240]byte]},
	1024: {allocBytes[[128]uint64], allocPointers[[1008]byte]},
}

func runAlloc() {
	size := parameter("size", 16)
	loops, ok := allocLoops[size]
	if !ok {
		fail("size is one of 16, 24, 32, 64, 256, 1024")
	}
	loop := loops[0]
	pointers, zero := parameter("pointers", 1), parameter("zero", 1)
	if pointers != 0 {
		loop = loops[1]
	} else if zero == 0 {
		loop = func(count int) uint64 { return allocRaw(size, count) }
	}
	count := parameter("count", 20*1000*1000)
	loop(count / 20)
	t0 := nowNs()
	intact := loop(count)
	result("time", since(t0)*1e9/float64(count), "ns/object")
	check(intact)
}

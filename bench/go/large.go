package main

import (
	"encoding/binary"
	"strings"
)

const maxLive = 1024

func nextSize(size, from, to int) int {
	power := 1
	for power*2 <= size {
		power *= 2
	}
	if size+power/4 > to {
		return from
	}
	return size + power/4
}

func meanSize(from, to int) float64 {
	sum, n := from, 1
	for size := nextSize(from, from, to); size != from; size = nextSize(size, from, to) {
		sum += size
		n++
	}
	return float64(sum) / float64(n)
}

func replaceZeroed(count, live, from, to int) (sum uint64) {
	var window [maxLive][]byte
	dice := random{1}
	size := from
	for i := 0; i < count; i++ {
		at := dice.below(live)
		window[at] = nil
		window[at] = make([]byte, size)
		binary.LittleEndian.PutUint64(window[at], uint64(i))
		size = nextSize(size, from, to)
	}
	for _, block := range window {
		if block != nil {
			sum += binary.LittleEndian.Uint64(block)
		}
	}
	return
}

// Bytes that are not zeroed: what a strings.Builder sets aside.
func replaceRaw(count, live, from, to int) (sum uint64) {
	var window [maxLive]string
	var word [8]byte
	dice := random{1}
	size := from
	for i := 0; i < count; i++ {
		at := dice.below(live)
		window[at] = ""
		var block strings.Builder
		block.Grow(size)
		binary.LittleEndian.PutUint64(word[:], uint64(i))
		block.Write(word[:])
		window[at] = block.String()
		size = nextSize(size, from, to)
	}
	for _, block := range window {
		if block != "" {
			sum += binary.LittleEndian.Uint64([]byte(block))
		}
	}
	return
}

func runLarge() {
	from := parameter("from", 64<<10)
	to := parameter("to", from)
	live, count := parameter("live", 1), parameter("count", 20000)
	replace := replaceZeroed
	if parameter("zero", 1) == 0 {
		replace = replaceRaw
	}
	before := residentMiB()
	replace(count/10, live, from, to)
	t0 := nowNs()
	sum := replace(count, live, from, to)
	result("time", since(t0)*1e6/float64(count), "us/block")
	result("peak", procStatus("VmHWM:")-before, "MiB")
	result("live", float64(live)*meanSize(from, to)/(1<<20), "MiB")
	check(sum)
}

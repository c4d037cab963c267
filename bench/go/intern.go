package main

import "unique"

// A letter and eight hexadecimal digits.
func keySet(key []byte, letter byte, number uint32) {
	key[0] = letter
	for i := 8; i > 0; i-- {
		key[i] = "0123456789abcdef"[number&15]
		number >>= 4
	}
}

func timeHits(keys []string, kept []unique.Handle[string], hits int) uint64 {
	r := random{7}
	wrong := uint64(0)
	t0 := nowNs()
	for i := 0; i < hits; i++ {
		which := r.below(len(keys))
		if unique.Make(keys[which]) != kept[which] {
			wrong++
		}
	}
	result("hit", since(t0)*1e9/float64(hits), "ns")
	return wrong
}

func timeMisses(misses int) uint64 {
	var window [4096]unique.Handle[string]
	var sum uint64
	key := make([]byte, 9)
	t0, cpu0 := nowNs(), cpuSeconds()
	for i := 0; i < misses; i++ {
		keySet(key, 'm', uint32(i))
		s := unique.Make(string(key))
		window[i%len(window)] = s
		sum += uint64(s.Value()[8])
	}
	result("miss", since(t0)*1e9/float64(misses), "ns")
	result("miss_cpu", (cpuSeconds()-cpu0)*1e9/float64(misses), "ns")
	return sum
}

func runIntern() {
	names, hits, misses := parameter("names", 5000), parameter("hits", 10000000), parameter("misses", 5000000)
	keys := make([]string, names)
	kept := make([]unique.Handle[string], names)
	key := make([]byte, 9)
	for i := range keys {
		keySet(key, 'n', uint32(i))
		keys[i] = string(key)
		kept[i] = unique.Make(keys[i])
	}
	wrong := timeHits(keys, kept, hits)
	check(timeMisses(misses) + wrong)
}

// The benchmark workloads in Go, one for one those of ../work. A goroutine stands for a thread.
package main

import (
	"fmt"
	"math"
	"math/bits"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var workloads = map[string]func(){
	"alloc": runAlloc, "tree": runTree, "mark": runMark, "latency": runLatency,
	"growth": runGrowth, "tiny": runTiny, "gcbench": runGCBench, "hashmap": runHashmap,
	"holes": runHoles, "editor": runEditor, "broker": runBroker, "fragment": runFragment,
	"giveback": runGiveback, "intern": runIntern, "graphs": runGraphs,
	"arrays": runLoop(arraysLoop, 8), "closures": runLoop(closuresLoop, 4),
	"strings": runLoop(stringsLoop, 15), "mixture": runLoop(mixtureLoop, 6),
	"vector": runVector, "fib": runFib,
	"large": runLarge,
}

var parameters []string // JSON members, as they were asked for

func parameter(key string, fallback int) int {
	value := fallback
	for _, given := range os.Args[3:] {
		if strings.HasPrefix(given, key+"=") {
			value = withSuffix(given[len(key)+1:])
		}
	}
	parameters = append(parameters, fmt.Sprintf("%q:%d", key, value))
	return value
}

func parameterName(key, fallback string) string {
	name := fallback
	for _, given := range os.Args[3:] {
		if strings.HasPrefix(given, key+"=") {
			name = given[len(key)+1:]
		}
	}
	parameters = append(parameters, fmt.Sprintf("%q:%q", key, name))
	return name
}

func withSuffix(text string) int {
	shift := strings.IndexByte("kmg", text[len(text)-1])
	value, err := strconv.Atoi(strings.TrimRight(text, "kmg"))
	if err != nil {
		fail(err.Error())
	}
	return value << (10 * uint(shift+1))
}

func fail(message string) {
	fmt.Fprintf(os.Stderr, "go %s: %s\n", os.Args[2], message)
	os.Exit(3)
}

func resultBegin(metric string) string {
	return fmt.Sprintf(`{"bench":%q,"peer":%q,"params":{%s},"metric":%q,`,
		os.Args[2], os.Args[1], strings.Join(parameters, ","), metric)
}

func result(metric string, value float64, unit string) {
	fmt.Printf("%s\"value\":%.6g,\"unit\":%q,\"rss_mib\":%.1f,\"cpu_s\":%.3f}\n",
		resultBegin(metric), value, unit, procStatus("VmHWM:"), cpuSeconds())
}

func check(value uint64) {
	fmt.Printf("%s\"value\":\"%d\",\"unit\":\"\"}\n", resultBegin("check"), value)
}

func main() {
	if len(os.Args) >= 3 && os.Args[2] == "version" {
		fmt.Println(runtime.Version())
		return
	}
	if len(os.Args) < 3 || workloads[os.Args[2]] == nil {
		fmt.Fprintln(os.Stderr, "usage: go.run PEER version | WORKLOAD [key=value …]")
		os.Exit(2)
	}
	workloads[os.Args[2]]()
	reportCollector()
}

func reportCollector() {
	stats := debug.GCStats{PauseQuantiles: make([]time.Duration, 5)}
	debug.ReadGCStats(&stats)
	result("cycles", float64(stats.NumGC), "")
	result("stall_max", float64(stats.PauseQuantiles[4]), "ns")
}

// In MiB, a line of /proc/self/status.
func procStatus(key string) float64 {
	text, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, key) {
			kib, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
			return kib / 1024
		}
	}
	return 0
}

func residentMiB() float64 { return procStatus("VmRSS:") }

func cpuSeconds() float64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

var epoch = time.Now()

// The monotonic clock only.
func nowNs() uint64 { return uint64(time.Since(epoch)) }

func since(t0 uint64) float64 { return float64(nowNs()-t0) / 1e9 }

func median(values []float64) float64 {
	sort.Float64s(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// splitmix64.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

func (r *random) below(n int) int { return int(((r.next() >> 32) * uint64(n)) >> 32) }

// What fresh blocks are filled with, as if it came from elsewhere.
var data = [8192]byte{1, 2, 3}

// A block of n bytes whose first and last byte are mark. Go makes and fills it in one step.
func newBlock(n int, mark byte) []byte {
	source := data[:n]
	block := make([]byte, len(source))
	copy(block, source)
	block[0], block[n-1] = mark, mark
	return block
}

// A team of goroutines that meet before they start, and again whenever all call meet().
type team struct {
	n, arrived int
	mutex      sync.Mutex
	turn       *sync.Cond
	round      int
	start      uint64
}

func (t *team) meet() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.arrived++; t.arrived == t.n {
		t.arrived = 0
		t.round++
		t.start = nowNs()
		t.turn.Broadcast()
		return
	}
	for round := t.round; round == t.round; {
		t.turn.Wait()
	}
}

// Runs body(i) for i < n at once; seconds from the last meeting to the end of the last one.
func inThreads(n int, body func(t *team, index int)) float64 {
	t := &team{n: n}
	t.turn = sync.NewCond(&t.mutex)
	if n == 1 {
		t.start = nowNs()
		body(t, 0)
		return since(t.start)
	}
	var all sync.WaitGroup
	for i := 0; i < n; i++ {
		all.Add(1)
		go func(index int) {
			defer all.Done()
			t.meet()
			body(t, index)
		}(i)
	}
	all.Wait()
	return since(t.start)
}

type histogram struct {
	count, sum, max uint64
	buckets         [64 * 59]uint64
}

func (h *histogram) add(ns uint64) {
	shift := 0
	if ns >= 64 {
		shift = 57 - bits.LeadingZeros64(ns)
	}
	h.buckets[shift*64+int(ns>>uint(shift))]++
	h.count++
	h.sum += ns
	if ns > h.max {
		h.max = ns
	}
}

func (h *histogram) merge(from *histogram) {
	for i := range h.buckets {
		h.buckets[i] += from.buckets[i]
	}
	h.count += from.count
	h.sum += from.sum
	if from.max > h.max {
		h.max = from.max
	}
}

func bucketTop(i int) float64 {
	shift := 0
	if i >= 128 {
		shift = i/64 - 1
	}
	return float64((uint64(i-shift*64+1) << uint(shift)) - 1)
}

func (h *histogram) percentile(p float64) float64 {
	wanted, seen := float64(h.count)*p, uint64(0)
	for i, n := range h.buckets {
		seen += n
		if seen > 0 && float64(seen) >= wanted {
			return math.Min(bucketTop(i), float64(h.max))
		}
	}
	return float64(h.max)
}

func (h *histogram) result() {
	for _, p := range []struct {
		name  string
		value float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}, {"p99.999", 0.99999}} {
		result(p.name, h.percentile(p.value), "ns")
	}
	result("max", float64(h.max), "ns")
}

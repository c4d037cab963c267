package main

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// ---- latency ----

type note struct {
	body *[256]byte
	id   uint64
}

func newNote(id uint64) *note {
	body := new([256]byte)
	copy(body[:], data[:])
	body[0], body[255] = byte(id), byte(id)
	return &note{body, id}
}

func (n *note) end() uint64 { return n.id + uint64(n.body[0]) + uint64(n.body[255]) }

func replaceNotes(window []*note, operations, index int, h *histogram) (sum uint64) {
	r := random{uint64(index)}
	before := nowNs()
	for i := 0; i < operations; i++ {
		slot := r.below(len(window))
		fresh := newNote(uint64(i))
		sum += window[slot].end()
		window[slot] = fresh
		now := nowNs()
		h.add(now - before)
		before = now
	}
	return
}

func runLatency() {
	live := parameter("live", 1000*1000)
	operations := parameter("operations", 5*1000*1000)
	threads := parameter("threads", 1)
	histograms, sums := make([]histogram, threads), make([]uint64, threads)
	cpu0 := 0.0
	seconds := inThreads(threads, func(t *team, index int) {
		window := make([]*note, live/threads)
		for i := range window {
			window[i] = newNote(uint64(i))
		}
		if threads > 1 {
			t.meet()
		} else {
			t.start = nowNs()
		}
		if index == 0 {
			cpu0 = cpuSeconds()
		}
		sum := replaceNotes(window, operations/threads, index, &histograms[index])
		for _, n := range window {
			sum += n.end()
		}
		sums[index] = sum
	})
	result("time", seconds, "s")
	result("cpu", cpuSeconds()-cpu0, "s")
	total := sums[0]
	for i := 1; i < threads; i++ {
		histograms[0].merge(&histograms[i])
		total += sums[i]
	}
	histograms[0].result()
	check(total)
}

// ---- hashmap ----

const shards, buckets = 64, 8192

type entry struct {
	next       *entry
	value      []byte
	key, stamp uint64
}

type shard struct {
	sync.Mutex
	chains [buckets]*entry
}

type hashmap [shards]shard

func hash(key uint64) uint64 {
	r := random{key}
	return r.next()
}

func newValue(key uint64, r *random) []byte {
	return newBlock(32+r.below(128), byte(key))
}

func (m *hashmap) at(h uint64) *shard { return &m[h%shards] }

func (s *shard) find(key, h uint64) **entry {
	slot := &s.chains[h/shards%buckets]
	for *slot != nil && (*slot).key != key {
		slot = &(*slot).next
	}
	return slot
}

func (m *hashmap) get(key uint64) (found uint64) {
	h := hash(key)
	s := m.at(h)
	s.Lock()
	if e := *s.find(key, h); e != nil {
		found = uint64(e.value[0])
	}
	s.Unlock()
	return
}

func (m *hashmap) put(key uint64, r *random) {
	h, value := hash(key), newValue(key, r)
	s := m.at(h)
	s.Lock()
	e := *s.find(key, h)
	if e != nil {
		e.value = value
		e.stamp++
	}
	s.Unlock()
	if e != nil {
		return
	}
	fresh := &entry{nil, value, key, 0}
	s.Lock()
	*s.find(key, h) = fresh
	s.Unlock()
}

func (m *hashmap) takeOut(key uint64) uint64 {
	h := hash(key)
	s := m.at(h)
	s.Lock()
	slot := s.find(key, h)
	e := *slot
	if e != nil {
		*slot = e.next
	}
	s.Unlock()
	if e == nil {
		return 0
	}
	return 1
}

func (m *hashmap) entries() (count uint64) {
	for i := range m {
		for _, e := range m[i].chains {
			for ; e != nil; e = e.next {
				if e.value[0] == byte(e.key) {
					count++
				}
			}
		}
	}
	return
}

func (m *hashmap) churn(index, threads, own, operations int, r *random) (sum uint64) {
	for i := 0; i < operations; i++ {
		key := uint64(r.below(own)*threads + index)
		switch dice := r.below(10); {
		case dice < 6:
			sum += m.get(key)
		case dice < 8:
			m.put(key, r)
		default:
			sum += m.takeOut(key)
		}
	}
	return
}

func runHashmap() {
	threads := parameter("threads", 2)
	own := parameter("keys", 1000*1000) / threads
	operations := parameter("operations", 4*1000*1000) / threads
	m := new(hashmap)
	var outcome uint64
	seconds := inThreads(threads, func(t *team, index int) {
		r := random{uint64(index)}
		for i := 0; i < own/2; i++ {
			m.put(uint64(2*i*threads+index), &r)
		}
		if threads > 1 {
			t.meet()
		}
		atomic.AddUint64(&outcome, m.churn(index, threads, own, operations, &r))
	})
	result("time", seconds, "s")
	result("resident", residentMiB(), "MiB")
	check(outcome + m.entries())
}

// ---- editor ----

type attribute struct {
	next  *attribute
	value []byte
	key   uint64
}

type element struct {
	children   []*element
	attributes *attribute
	text       []byte
}

type editor struct {
	document *element
	undo     [256]interface{} // texts and elements that were taken out
	undoNext int
	elements int
	dice     random
}

func newText(size int) []byte { return newBlock(size, byte('a'+size%26)) }

func (ed *editor) newElement() *element {
	ed.elements++
	return &element{text: newText(16 + ed.dice.below(184))}
}

func (ed *editor) newSubtree(depth, fanout int) *element {
	e := ed.newElement()
	for i := 0; depth > 0 && i < fanout; i++ {
		e.children = append(e.children, ed.newSubtree(depth-1, fanout))
	}
	return e
}

func (e *element) size() int {
	n := 1
	for _, child := range e.children {
		n += child.size()
	}
	return n
}

func (ed *editor) remember(takenOut interface{}) {
	ed.undo[ed.undoNext%len(ed.undo)] = takenOut
	ed.undoNext++
}

func (ed *editor) somewhere() *element {
	e := ed.document
	for len(e.children) > 0 && ed.dice.below(8) != 0 {
		e = e.children[ed.dice.below(len(e.children))]
	}
	return e
}

func (ed *editor) editText(e *element) {
	old, text := e.text, newText(16+ed.dice.below(184))
	copy(text, old)
	e.text = text
	ed.remember(old)
}

func (ed *editor) setAttribute(e *element) {
	key := uint64(ed.dice.below(4))
	a := e.attributes
	for a != nil && a.key != key {
		a = a.next
	}
	if a == nil {
		a = &attribute{next: e.attributes, key: key}
		e.attributes = a
	}
	old := a.value
	a.value = newText(24)
	ed.remember(old)
}

func (ed *editor) cut(parent *element) {
	last := len(parent.children) - 1
	if last < 0 {
		return
	}
	child := parent.children[last]
	parent.children[last] = nil
	parent.children = parent.children[:last]
	ed.elements -= child.size()
	ed.remember(child)
}

func (e *element) render(depth int) uint64 {
	sum := uint64(e.text[0]) + uint64(len(e.text))
	for a := e.attributes; a != nil; a = a.next {
		sum += uint64(a.value[0])
	}
	if depth > 0 {
		for _, child := range e.children {
			sum += child.render(depth - 1)
		}
	}
	return sum
}

func (ed *editor) edit(wanted int) {
	switch kind := ed.dice.below(10); {
	case kind < 6:
		ed.editText(ed.somewhere())
	case kind < 8:
		ed.setAttribute(ed.somewhere())
	case ed.elements < wanted:
		parent := ed.somewhere()
		parent.children = append(parent.children, ed.newSubtree(1, ed.dice.below(8)))
	default:
		ed.cut(ed.somewhere())
	}
}

func runEditor() {
	depth := parameter("depth", 5)
	edits := parameter("edits", 3*1000*1000)
	ed := &editor{}
	ed.document = ed.newSubtree(depth, 10)
	wanted, t0, seen := ed.elements, nowNs(), uint64(0)
	for i := 0; i < edits; i++ {
		ed.edit(wanted)
		if i%1024 == 0 {
			seen += ed.somewhere().render(2)
		}
	}
	result("time", since(t0), "s")
	result("resident", residentMiB(), "MiB")
	check(seen + uint64(ed.elements))
}

// ---- broker ----

type message struct {
	next *message
	body []byte
	id   uint64
}

type inbox struct {
	mutex           sync.Mutex
	filled, drained *sync.Cond
	head, tail      *message
	count           int
	producers       int
}

const batchSize, backlog, replaySize = 32, 8192, 16384

func newMessage(id uint64, r *random) *message {
	return &message{nil, newBlock(64<<uint(r.below(5)), byte(id)), id}
}

func (m *message) end() uint64 {
	if m.body[0] == byte(m.id) && m.body[len(m.body)-1] == byte(m.id) {
		return 1
	}
	return 0
}

func (in *inbox) deliver(first, last *message) {
	if first == nil {
		return
	}
	in.mutex.Lock()
	for in.count >= backlog {
		in.drained.Wait()
	}
	if in.head != nil {
		in.tail.next = first
	} else {
		in.head = first
	}
	in.tail = last
	in.count += batchSize
	in.filled.Signal()
	in.mutex.Unlock()
}

func (in *inbox) finish() {
	in.mutex.Lock()
	in.producers--
	in.filled.Signal()
	in.mutex.Unlock()
}

func (in *inbox) receive() *message {
	in.mutex.Lock()
	for in.head == nil && in.producers > 0 {
		in.filled.Wait()
	}
	all := in.head
	in.head, in.tail, in.count = nil, nil, 0
	in.drained.Broadcast()
	in.mutex.Unlock()
	return all
}

func produce(inboxes []*inbox, index, messages int) {
	r := random{uint64(index)}
	var first, last *message
	for i := 0; i < messages; i++ {
		m := newMessage(uint64(i), &r)
		if last != nil {
			last.next = m
		} else {
			first = m
		}
		last = m
		if i%batchSize == batchSize-1 {
			inboxes[i/batchSize%len(inboxes)].deliver(first, last)
			first, last = nil, nil
		}
	}
	inboxes[0].deliver(first, last)
	for _, in := range inboxes {
		in.finish()
	}
}

func consume(in *inbox) (intact uint64) {
	replay := make([]*message, replaySize)
	n := 0
	for list := in.receive(); list != nil; list = in.receive() {
		for list != nil {
			m, slot := list, &replay[n%replaySize]
			list = m.next
			if *slot != nil {
				intact += (*slot).end()
			}
			m.next = nil
			*slot = m
			n++
		}
	}
	for _, m := range replay {
		if m != nil {
			intact += m.end()
		}
	}
	return
}

func runBroker() {
	teams := parameter("teams", 2)
	messages := parameter("messages", 3*1000*1000)
	inboxes := make([]*inbox, teams)
	for i := range inboxes {
		in := &inbox{producers: teams}
		in.filled, in.drained = sync.NewCond(&in.mutex), sync.NewCond(&in.mutex)
		inboxes[i] = in
	}
	var received uint64
	seconds := inThreads(2*teams, func(_ *team, index int) {
		if index < teams {
			produce(inboxes, index, messages/teams)
		} else {
			atomic.AddUint64(&received, consume(inboxes[index-teams]))
		}
	})
	result("time", seconds, "s")
	check(received)
}

// ---- fragment ----

type blockTable struct {
	blocks [][]byte
	live   int
	dice   random
}

func (t *blockTable) phase(typical, target int) {
	for allocated := 0; allocated < 2*target; allocated += typical {
		for len(t.blocks) > 0 && t.live+2*typical > target {
			t.remove()
		}
		if len(t.blocks) < cap(t.blocks) {
			size := (typical*3/4 + t.dice.below(typical/2) + 7) / 8 * 8
			t.blocks = append(t.blocks, newBlock(size, 0))
			t.live += size
		}
	}
}

func (t *blockTable) remove() {
	i, last := t.dice.below(len(t.blocks)), len(t.blocks)-1
	t.live -= len(t.blocks[i])
	t.blocks[i] = t.blocks[last]
	t.blocks[last] = nil
	t.blocks = t.blocks[:last]
}

func runFragment() {
	target := parameter("live", 128<<20)
	before, sum, worst := residentMiB(), 0.0, 0.0
	t := &blockTable{blocks: make([][]byte, 0, target/36)}
	residence := func() float64 {
		return 100 * (residentMiB() - before) * (1 << 20) / float64(t.live+8*len(t.blocks))
	}
	t0 := nowNs()
	phases := []int{48, 96, 200, 480, 1100, 2600, 6000, 1400, 300, 64}
	for _, typical := range phases {
		t.phase(typical, target)
		now := residence()
		sum += now
		if now > worst {
			worst = now
		}
	}
	result("time", since(t0), "s")
	result("resident_mean", sum/float64(len(phases)), "%")
	result("resident_worst", worst, "%")
	debug.FreeOSMemory()
	result("resident_released", residence(), "%")
	check(uint64(len(t.blocks) + t.live))
	runtime.KeepAlive(t)
}

// ---- giveback ----

func newBlocks(n int) [][]byte {
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = newBlock(1024, byte(i))
	}
	return blocks
}

// A second in which 6 MiB is allocated and dropped.
func idleSecond() {
	for i := 0; i < 100; i++ {
		runtime.KeepAlive(newBlocks(64))
		time.Sleep(time.Second / 100)
	}
}

func goalMiB() float64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.NextGC) / (1 << 20)
}

func runGiveback() {
	live := parameter("live", 128<<20) / 1024
	most := parameter("peak", 1<<30) / 1024
	limit := parameter("seconds", 30)
	kept := newBlocks(live)
	runtime.KeepAlive(newBlocks(most - live))
	runtime.GC()
	seconds, settled := 0, 0
	now, before := residentMiB()/goalMiB(), 0.0
	for seconds < limit && (settled == 0 || now <= before*0.99) {
		idleSecond()
		seconds++
		before = now
		now = residentMiB() / goalMiB()
		if settled == 0 && now <= 1.2 {
			settled = seconds
		}
	}
	if settled == 0 {
		settled = limit + 1
	}
	result("settled", float64(settled), "s")
	result("residence", now, "")
	result("goal", goalMiB(), "MiB")
	result("resident", residentMiB(), "MiB")
	intact := uint64(0)
	for i, block := range kept {
		if block[1023] == byte(i) {
			intact++
		}
	}
	check(intact)
}

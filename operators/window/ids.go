package window

// idFilter says quickly that a head does not hold an id: open addressing over one byte of each. It may hold ids of rows that are gone,
// never the other way round. Below smallRows there is none: a scan is as fast.
type idFilter struct {
	slots []uint8 // 0 empty; a power of two long
	n     int32
}

const smallRows = 32

func fingerprint(id uint64) uint8 { return uint8(id>>56) | 1 }

func (f *idFilter) add(id uint64, rows []row) {
	switch {
	case len(rows) <= smallRows:
		f.slots, f.n = nil, 0
	case f.slots == nil || int(f.n)*2 >= len(f.slots):
		f.rebuild(rows)
	default:
		f.put(id)
	}
}

func (f *idFilter) put(id uint64) {
	m := uint64(len(f.slots) - 1)
	for h := id & m; ; h = (h + 1) & m {
		if f.slots[h] == 0 {
			f.slots[h] = fingerprint(id)
			f.n++
			return
		}
	}
}

func (f *idFilter) mayHold(id uint64) bool {
	if f.slots == nil {
		return true
	}
	m := uint64(len(f.slots) - 1)
	for h := id & m; f.slots[h] != 0; h = (h + 1) & m {
		if f.slots[h] == fingerprint(id) {
			return true
		}
	}
	return false
}

func (f *idFilter) rebuild(rows []row) {
	f.slots, f.n = nil, 0
	if len(rows) <= smallRows {
		return
	}
	n := 64
	for n*5 < 12*len(rows) { // at most 5 of 12 are full: room for a fifth more before the next time
		n *= 2
	}
	f.slots = make([]uint8, n)
	for i := range rows {
		f.put(rows[i].id)
	}
}

// idTable finds the sealed chunks that may hold an id: open addressing, 8 bytes a slot, 40 bits of the id and 24 of the chunk's seq. It
// may name chunks that are gone; all that are there are in it once their rows were seen.
type idTable struct {
	slots []uint64 // 0 empty
	n     int
}

const seqMask = 1<<24 - 1

func (t *idTable) add(id, seq uint64) {
	if 3*t.n >= 2*len(t.slots) {
		t.grow(func(uint32) bool { return true })
	}
	t.put(id&^seqMask | (seq & seqMask))
}

func (t *idTable) put(x uint64) {
	if x == 0 {
		return // an id of 40 zero bits in chunk 0: it is searched for nowhere else, see each
	}
	m := uint64(len(t.slots) - 1)
	for h := x >> 24 & m; ; h = (h + 1) & m {
		switch t.slots[h] {
		case x:
			return
		case 0:
			t.slots[h] = x
			t.n++
			return
		}
	}
}

// each calls fn with the 24 bits of every chunk that may hold the id.
func (t *idTable) each(id uint64, fn func(seq uint32)) {
	if id&^seqMask == 0 {
		fn(0)
	}
	if len(t.slots) == 0 {
		return
	}
	m := uint64(len(t.slots) - 1)
	for h := id >> 24 & m; t.slots[h] != 0; h = (h + 1) & m {
		if (t.slots[h]^id)&^seqMask == 0 {
			fn(uint32(t.slots[h] & seqMask))
		}
	}
}

// grow makes room, and leaves out the chunks that keep refuses.
func (t *idTable) grow(keep func(seq uint32) bool) {
	old, n := t.slots, 0
	for _, x := range old {
		if x != 0 && keep(uint32(x&seqMask)) {
			n++
		}
	}
	size := 1024
	for 2*size < 5*n {
		size *= 2
	}
	t.slots, t.n = make([]uint64, size), 0
	for _, x := range old {
		if x != 0 && keep(uint32(x&seqMask)) {
			t.put(x)
		}
	}
}

// sweep forgets chunks that are gone, where they are most of it.
func (t *idTable) sweep(blocks []*block) {
	rows := 0
	for _, b := range blocks {
		rows += b.n
	}
	if len(blocks) == 0 {
		*t = idTable{}
		return
	}
	if t.n <= 4*rows+1024 {
		return
	}
	lo, hi := blocks[0].seq, blocks[0].seq
	for _, b := range blocks {
		lo, hi = min(lo, b.seq), max(hi, b.seq)
	}
	there := make([]bool, hi-lo+1)
	for _, b := range blocks {
		there[b.seq-lo] = true
	}
	t.grow(func(seq uint32) bool {
		i := (uint64(seq) - lo) & seqMask
		return i < uint64(len(there)) && there[i]
	})
}

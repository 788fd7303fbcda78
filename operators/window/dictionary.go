package window

import (
	"hash/maphash"
	"unsafe"
)

// dictionary holds a customer's text values once; ids count from 1, 0 is absent. Short ones are found by scanning, longer ones by an
// open-addressing index (no Go map per customer: a million of them would be the garbage collector's whole day).
type dictionary struct {
	bytes []byte   // the texts, one behind the other
	ends  []uint32 // by id − 1: where the text ends
	index []uint32 // ids by hash; nil up to smallDictionary
}

const smallDictionary = 16

var dictionarySeed = maphash.MakeSeed() // orders slots inside this process only; never stored

// value is the text of an id. It shares the dictionary's memory, which is written again only after truncate.
func (d *dictionary) value(id uint32) string {
	from := uint32(0)
	if id > 1 {
		from = d.ends[id-2]
	}
	b := d.bytes[from:d.ends[id-1]]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// id returns the value's id, adding it if it is new. The text is copied.
func (d *dictionary) id(v string) uint32 {
	if d.index == nil {
		from := uint32(0)
		for i, end := range d.ends {
			if int(end-from) == len(v) && string(d.bytes[from:end]) == v {
				return uint32(i) + 1
			}
			from = end
		}
	} else {
		m := uint64(len(d.index) - 1)
		for h := maphash.String(dictionarySeed, v) & m; d.index[h] != 0; h = (h + 1) & m {
			if d.value(d.index[h]) == v {
				return d.index[h]
			}
		}
	}
	return d.add(v)
}

func (d *dictionary) add(v string) uint32 {
	d.bytes = appendTight(d.bytes, v)
	if len(d.ends) == cap(d.ends) {
		d.ends = append(make([]uint32, 0, len(d.ends)+max(4, len(d.ends)/8)), d.ends...)
	}
	d.ends = append(d.ends, uint32(len(d.bytes)))
	if n := len(d.ends); n > smallDictionary {
		if 2*n > len(d.index) {
			d.reindex()
		} else {
			d.put(uint32(n))
		}
	}
	return uint32(len(d.ends))
}

// appendTight appends with an eighth of room at most.
func appendTight(b []byte, v string) []byte {
	if n := len(b) + len(v); n > cap(b) {
		b = append(make([]byte, 0, n+max(16, n/8)), b...)
	}
	return append(b, v...)
}

// truncate forgets the values after the first n: the undo of id.
func (d *dictionary) truncate(n int) {
	if n >= len(d.ends) {
		return
	}
	d.ends = d.ends[:n]
	d.bytes = d.bytes[:0]
	if n > 0 {
		d.bytes = d.bytes[:d.ends[n-1]]
	}
	d.reindex()
}

func (d *dictionary) put(id uint32) {
	m := uint64(len(d.index) - 1)
	h := maphash.String(dictionarySeed, d.value(id)) & m
	for d.index[h] != 0 {
		h = (h + 1) & m
	}
	d.index[h] = id
}

func (d *dictionary) reindex() {
	d.index = nil
	if len(d.ends) <= smallDictionary {
		return
	}
	n := 64
	for n < 3*len(d.ends) {
		n *= 2
	}
	d.index = make([]uint32, n)
	for i := range d.ends {
		d.put(uint32(i) + 1)
	}
}

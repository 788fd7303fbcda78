package window

import (
	"hash/maphash"
	"strings"
)

// dictionary holds a customer's text values once; ids count from 1, 0 is absent. Short ones are found by scanning, longer ones by an
// open-addressing index (no Go map per customer: a million of them would be the garbage collector's whole day).
type dictionary struct {
	values []string
	index  []uint32 // ids by hash; nil below smallDictionary
}

const smallDictionary = 16

var dictionarySeed = maphash.MakeSeed() // orders slots inside this process only; never stored

// value is the text of an id.
func (d *dictionary) value(id uint32) string { return d.values[id-1] }

// id returns the value's id, adding it if it is new. The text is cloned.
func (d *dictionary) id(v string) uint32 {
	if d.index == nil {
		for i, x := range d.values {
			if x == v {
				return uint32(i) + 1
			}
		}
	} else {
		m := uint64(len(d.index) - 1)
		for h := maphash.String(dictionarySeed, v) & m; d.index[h] != 0; h = (h + 1) & m {
			if d.values[d.index[h]-1] == v {
				return d.index[h]
			}
		}
	}
	d.values = append(d.values, strings.Clone(v))
	if n := len(d.values); n > smallDictionary {
		if 2*n > len(d.index) {
			d.reindex()
		} else {
			d.put(uint32(n))
		}
	}
	return uint32(len(d.values))
}

// truncate forgets the values after the first n: the undo of id.
func (d *dictionary) truncate(n int) {
	if n < len(d.values) {
		clear(d.values[n:])
		d.values = d.values[:n]
		d.reindex()
	}
}

func (d *dictionary) put(id uint32) {
	m := uint64(len(d.index) - 1)
	h := maphash.String(dictionarySeed, d.values[id-1]) & m
	for d.index[h] != 0 {
		h = (h + 1) & m
	}
	d.index[h] = id
}

func (d *dictionary) reindex() {
	d.index = nil
	if len(d.values) <= smallDictionary {
		return
	}
	n := 64
	for n < 4*len(d.values) {
		n *= 2
	}
	d.index = make([]uint32, n)
	for i := range d.values {
		d.put(uint32(i) + 1)
	}
}

package model

import "slices"

// oracle is the pure function of the log, written the plain way: all rows of a customer in one list, no head, no chunk but for the rule
// which rows are still visible.
type oracle struct {
	log       []record
	configs   []uint8            // in force behind each offset
	verdicts  []uint64           // by offset
	chains    []uint64           // hash over the log up to each offset, exclusive
	histories [customers][]plain // every state a customer had, ascending by LSN
}

// plain is a customer after one record.
type plain struct {
	lsn    int
	config uint8
	rows   []row
	groups []int // numbers of rows that left the head together, oldest first: what the horizon drops at once
	floor  int64
	hash   uint64
}

func (o *oracle) config(offset int) uint8 {
	if offset == 0 {
		return 0
	}
	return o.configs[offset-1]
}

func (o *oracle) chain(offset int) uint64 {
	if offset == 0 {
		return 0
	}
	return o.chains[offset-1]
}

// link is the chain hash with one more record.
func link(chain uint64, offset int, r record) uint64 {
	return mix(chain ^ uint64(offset+1)<<32 ^ uint64(r.key)<<8 ^ uint64(r.kind)<<4 ^ uint64(r.config))
}

func (o *oracle) append(r record, seal bool) {
	offset := len(o.log)
	conf := o.config(offset)
	o.chains = append(o.chains, link(o.chain(offset), offset, r))
	o.log = append(o.log, r)
	if r.kind == control {
		o.configs = append(o.configs, r.config)
		o.verdicts = append(o.verdicts, mix(uint64(r.config)))
		return
	}
	o.configs = append(o.configs, conf)
	p := o.at(r.customer, offset).after(r, offset, conf, seal)
	o.histories[r.customer] = append(o.histories[r.customer], p)
	o.verdicts = append(o.verdicts, p.verdict(r))
}

// at returns a customer after all records below offset.
func (o *oracle) at(c, offset int) plain {
	h := o.histories[c]
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].lsn <= offset {
			return h[i]
		}
	}
	return plain{}
}

func (p plain) after(r record, offset int, config uint8, seal bool) plain {
	p.lsn, p.config = offset+1, config
	p.rows, p.groups = slices.Clone(p.rows), slices.Clone(p.groups)
	if r.key > p.floor {
		if at := slices.IndexFunc(p.rows, func(w row) bool { return w.key == r.key }); r.kind == state && at >= 0 {
			p.rows[at].counted = r.counted
		} else if r.kind == event {
			p.insert(row{key: r.key, config: config, counted: true})
		}
	}
	grouped := 0
	for _, g := range p.groups {
		grouped += g
	}
	if seal && len(p.rows)-grouped > headRows {
		p.groups = append(p.groups, chunkRows)
	}
	for len(p.groups) > kept(config) {
		p.floor = p.rows[p.groups[0]-1].key
		p.rows, p.groups = p.rows[p.groups[0]:], p.groups[1:]
	}
	p.hash = uint64(p.lsn)<<8 + uint64(p.config)
	for _, w := range p.rows {
		p.hash = mix(p.hash + w.mix())
	}
	return p
}

// insert puts a row at its place. One that is older than the last of a group belongs to the group whose first it is not older than.
func (p *plain) insert(w row) {
	at, _ := slices.BinarySearchFunc(p.rows, w.key, func(a row, key int64) int { return int(min(1, max(-1, a.key-key))) })
	from, in := 0, -1
	for g, n := range p.groups {
		if last := p.rows[from+n-1].key; g == 0 || p.rows[from].key <= w.key {
			if in = g; g == len(p.groups)-1 && w.key > last {
				in = -1
			}
		}
		from += n
	}
	if in >= 0 {
		p.groups[in]++
	}
	p.rows = slices.Insert(p.rows, at, w)
}

func (p plain) verdict(r record) uint64 {
	sum := uint64(0)
	for _, w := range p.rows {
		sum += w.mix()
	}
	v := mix(sum+uint64(len(p.rows))) + uint64(p.config)
	if r.kind != event || len(p.rows) == 0 {
		return v
	}
	return mix(v + p.rows[r.look%len(p.rows)].mix())
}

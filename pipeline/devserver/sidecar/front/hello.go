//go:build linux && amd64

package front

import (
	chproto "github.com/ClickHouse/ch-go/proto"
)

// displayName is what the front calls itself.
const displayName = "streamgauge-clickhouse"

// helloSQL is clickhouse-go's first query on a connection, to the letter.
const helloSQL = "SELECT displayName(), version(), revision(), timezone()"

// revisionCustomSerialization is the protocol revision from which a block says for each column whether its serialization is custom.
const revisionCustomSerialization = 54454

// hello answers helloSQL by hand. The driver decodes this answer by its own revision and every later one by the revision that this one
// names; the engine writes blocks of revision 0 only, so 0 is what it names, in a block of the driver's revision.
func (s *Server) hello(a *answer, revision uint64) error {
	var b chproto.Buffer
	if revision > 0 { // block info: field 1 is_overflows, field 2 bucket_num, end
		b.PutUVarInt(1)
		b.PutBool(false)
		b.PutUVarInt(2)
		b.PutInt32(-1)
		b.PutUVarInt(0)
	}
	column := func(name, kind string) {
		b.PutString(name)
		b.PutString(kind)
		if revision >= revisionCustomSerialization {
			b.PutBool(false)
		}
	}
	b.PutUVarInt(4) // columns
	b.PutUVarInt(1) // rows
	column("displayName()", "String")
	b.PutString(displayName)
	column("version()", "String")
	b.PutString(s.version)
	column("revision()", "UInt32")
	b.PutUInt32(0)
	column("timezone()", "String")
	b.PutString(s.zone)
	return a.write(b.Buf)
}

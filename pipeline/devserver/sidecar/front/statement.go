//go:build linux && amd64

package front

import "strings"

// kind says by which way a statement goes to the engine.
type kind uint8

const (
	other      kind = iota // run, and its result taken at once
	selects                // its result may be streamed
	insertData             // INSERT with data behind it, which is streamed in
)

// statement is one statement, cut where the engine wants it cut.
type statement struct {
	kind   kind
	sql    string // the statement; of an INSERT with data, what stands before FORMAT or VALUES
	format string // the FORMAT named: of an INSERT's data, or of a SELECT's answer; "" for none
	data   string // the beginning of an INSERT's data, as far as it stands in the text
}

// parseStatement finds out what kind of statement text is. It reads only words, quotes and comments; what it does not understand is other,
// for the engine to judge. Fails where a second statement follows the first, which the engine would run and a server would not.
func parseStatement(text string) (statement, error) {
	w := words{text: text}
	st := statement{sql: text}
	first, ok := w.next()
	if !ok {
		return st, nil // blank: the engine's to judge
	}
	switch {
	case first.is("INSERT"):
		return parseInsert(&w, st)
	case first.is("SELECT"), first.is("WITH"), first.text == "(":
		st.kind = selects
	}
	for last := first; ; {
		t, ok := w.next()
		if !ok {
			break
		}
		if last.text == ";" && t.text != ";" {
			return st, refuse(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed): a second statement begins at byte %d", t.at+1)
		}
		if last.is("FORMAT") && t.word {
			st.format = t.text
		}
		last = t
	}
	return st, nil
}

// parseInsert cuts an INSERT at FORMAT or VALUES. Without either, or with SELECT, it carries no data of the client's.
func parseInsert(w *words, st statement) (statement, error) {
	for _, optional := range []string{"INTO", "TABLE", "FUNCTION"} {
		save := *w
		if t, ok := w.next(); !ok || !t.is(optional) {
			*w = save
		}
	}
	w.next() // the table's name, which may be any word
	depth := 0
	for {
		t, ok := w.next()
		switch {
		case !ok:
			return st, nil
		case t.text == "(":
			depth++
		case t.text == ")":
			depth--
		case t.text == ".":
			w.next() // the name behind the database's
		case depth != 0:
		case t.is("SELECT"), t.is("WITH"), t.is("WATCH"), t.is("INFILE"), t.text == ";":
			return parseRest(w, st, t.text == ";")
		case t.is("VALUES"):
			return statement{insertData, st.sql[:t.at] + "\n", "Values", st.sql[w.at:]}, nil
		case t.is("FORMAT"):
			if name, ok := w.next(); ok && name.word {
				return statement{insertData, st.sql[:t.at] + "\n", name.text, inlineData(st.sql[w.at:])}, nil
			}
		}
	}
}

// parseRest looks through what is left of an INSERT without data for a second statement; ended says that the first has had its semicolon.
func parseRest(w *words, st statement, ended bool) (statement, error) {
	for {
		t, ok := w.next()
		if !ok {
			return st, nil
		}
		if ended && t.text != ";" {
			return st, refuse(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed): a second statement begins at byte %d", t.at+1)
		}
		ended = t.text == ";"
	}
}

// inlineData drops what separates a format's name from the data: blanks, then one line break.
func inlineData(s string) string {
	s = strings.TrimLeft(s, " \t\f")
	s = strings.TrimPrefix(s, "\r")
	return strings.TrimPrefix(s, "\n")
}

// selfContained are the formats without head or foot: chunks of them, one behind the other, are one output.
var selfContained = map[string]bool{
	"native": true, "rowbinary": true, "tabseparated": true, "tsv": true, "tabseparatedraw": true, "tsvraw": true, "csv": true,
	"jsoneachrow": true, "jsonlines": true, "ndjson": true, "jsoncompacteachrow": true, "null": true,
}

func streamable(format string) bool { return selfContained[strings.ToLower(format)] }

// token is a word, a quoted text, a number or a single sign.
type token struct {
	text string // as it stands
	at   int    // bytes before it
	word bool   // a bare word: a keyword or a name
}

func (t token) is(keyword string) bool { return t.word && strings.EqualFold(t.text, keyword) }

// words reads tokens from text.
type words struct {
	text string
	at   int // behind the last token
}

// next returns the next token, or false at the end.
func (w *words) next() (token, bool) {
	w.skipBlank()
	if w.at >= len(w.text) {
		return token{}, false
	}
	t := token{at: w.at}
	switch c := w.text[w.at]; {
	case c == '\'' || c == '"' || c == '`':
		w.at = endOfQuoted(w.text, w.at)
	case c == '$':
		w.at = endOfHeredoc(w.text, w.at)
	case isWord(c):
		for w.at < len(w.text) && isWord(w.text[w.at]) {
			w.at++
		}
		t.word = true
	default:
		w.at++
	}
	t.text = w.text[t.at:w.at]
	return t, true
}

// skipBlank skips white space and the engine's comments: --, #! and # followed by a blank to the line's end, and /* */, which nests.
func (w *words) skipBlank() {
	for w.at < len(w.text) {
		rest := w.text[w.at:]
		switch {
		case strings.IndexByte(" \t\n\r\v\f\x00", rest[0]) >= 0:
			w.at++
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "# "), strings.HasPrefix(rest, "#!"):
			if i := strings.IndexByte(rest, '\n'); i >= 0 {
				w.at += i + 1
			} else {
				w.at = len(w.text)
			}
		case strings.HasPrefix(rest, "/*"):
			w.at += endOfComment(rest)
		default:
			return
		}
	}
}

func endOfComment(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// endOfQuoted returns where the quoted text ends that begins at from; a backslash or a doubled quote keeps it open.
func endOfQuoted(s string, from int) int {
	for i := from + 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[from]:
			if i+1 == len(s) || s[i+1] != s[from] {
				return i + 1
			}
			i++
		}
	}
	return len(s)
}

// endOfHeredoc returns where $tag$…$tag$ ends, or the sign's own end where it is none.
func endOfHeredoc(s string, from int) int {
	open := from + 1
	for open < len(s) && isWord(s[open]) {
		open++
	}
	if open == len(s) || s[open] != '$' {
		return from + 1
	}
	tag := s[from : open+1]
	if i := strings.Index(s[open+1:], tag); i >= 0 {
		return open + 1 + i + len(tag)
	}
	return from + 1
}

func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

// Package input reads a user's own file, CSV or JSON lines, gzip or not, into records of topic transactions (format flat).
//
// It judges as little as it can: a line that cannot be turned into a JSON object gets a BadLine with a reason and stops nothing; all
// else is passed on for intake to judge, so that a file and a producer are measured by the same rules. What it does is naming and units:
// a Mapping says which column is which canonical one (operators.FlatColumns), moves the decimal point of amounts exactly, and turns
// times into what the format takes. A column that is neither mapped nor canonical becomes the attribute attr.<name>.
//
// Lines. Data lines count from 1; the header and empty lines do not count, and a CSV record whose quotes span several lines counts once.
// An empty CSV cell, quoted or not, is an absent value; in JSON lines null is, and "" is a value. A byte order mark at the start is
// dropped, CRLF ends a line like LF. A CSV follows RFC 4180: commas, double quotes, a quote inside quotes doubled.
//
// Times. Without a modifier (or with iso) a time is RFC 3339 text; for files also "2006-01-02 15:04:05" with or without a fraction or an
// offset, the same with T, and "2006-01-02", all taken as UTC where no offset stands. unix is seconds and unixms milliseconds since 1970,
// decimals allowed; what is finer than a millisecond is dropped. A text that does not parse is passed on, as text, and intake says so.
package input

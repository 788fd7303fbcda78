package operators

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Source is one producer's format inside a team: who owns what arrives on a topic, and how its records read.
type Source struct {
	Name   string // unique in the organisation; stands in every event
	Team   string // owner of the customers, their windows and rules
	Topic  string // the input topic; one source each
	Format string // one of Formats
}

// Sources are an organisation's sources.
type Sources []Source

// Formats lists the formats' names in the order of the table in decode.go.
func Formats() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.name
	}
	return names
}

// Check reports every mistake at once: names and topics that are empty or given twice, empty teams, formats that do not exist.
func (s Sources) Check() error {
	var errs []error
	if len(s) == 0 {
		errs = append(errs, errors.New("sources: none; give at least one with name, team, topic and format"))
	}
	names, topics := map[string]bool{}, map[string]string{}
	for i, src := range s {
		at := fmt.Sprintf("source %q", src.Name)
		switch {
		case src.Name == "":
			at = fmt.Sprintf("sources[%d]", i)
			errs = append(errs, fmt.Errorf("%s: name is empty", at))
		case names[src.Name]:
			errs = append(errs, fmt.Errorf("%s: the name is given twice", at))
		}
		names[src.Name] = true
		switch {
		case src.Team == "":
			errs = append(errs, fmt.Errorf("%s: team is empty", at))
		case strings.ContainsRune(src.Team, 0):
			errs = append(errs, fmt.Errorf("%s: team %q holds U+0000, which ends the team in record keys", at, src.Team))
		}
		if other, taken := topics[src.Topic]; src.Topic == "" {
			errs = append(errs, fmt.Errorf("%s: topic is empty", at))
		} else if taken {
			errs = append(errs, fmt.Errorf("%s: topic %q belongs to source %q already", at, src.Topic, other))
		}
		topics[src.Topic] = src.Name
		if !slices.Contains(Formats(), src.Format) {
			errs = append(errs, fmt.Errorf("%s: format %q is none of %s", at, src.Format, strings.Join(Formats(), ", ")))
		}
	}
	return errors.Join(errs...)
}

// of returns the topic's source and its format's decoder. It fails where the wiring forgot the topic.
func (s Sources) of(topic string) (*Source, func(*parsed, []byte), error) {
	for i := range s {
		if s[i].Topic != topic {
			continue
		}
		for _, f := range formats {
			if f.name == s[i].Format {
				return &s[i], f.decode, nil
			}
		}
		return nil, nil, fmt.Errorf("source %q: format %q is none of %s", s[i].Name, s[i].Format, strings.Join(Formats(), ", "))
	}
	return nil, nil, fmt.Errorf("topic %q: no source reads it", topic)
}

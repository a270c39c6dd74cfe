package discovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// RawField is a JSON value as it was read.
type RawField = json.RawMessage

// record is the JSON form of an Instance, field by field as the native layout has it.
type record struct {
	ID           string            `json:"id,omitempty"`
	Service      string            `json:"service,omitempty"`
	Host         string            `json:"host,omitempty"`
	PrivateHost  string            `json:"private_host,omitempty"`
	Ports        map[string]Port   `json:"ports,omitempty"`
	PrivatePorts map[string]Port   `json:"private_ports,omitempty"`
	User         string            `json:"user,omitempty"`
	Password     Secret            `json:"password,omitempty"`
	Tags         []string          `json:"tags,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	Shard        string            `json:"shard,omitempty"`
	State        State             `json:"state,omitempty"`
	Reason       string            `json:"reason,omitempty"`
	Critical     bool              `json:"critical,omitempty"`
	Public       bool              `json:"public,omitempty"`
}

// MarshalJSON writes the native record: empty fields are left out, unknown ones follow the known.
func (in Instance) MarshalJSON() ([]byte, error) {
	known, err := json.Marshal(record{
		in.ID, in.Service, in.Host, in.PrivateHost, in.Ports, in.PrivatePorts, in.User, in.Password,
		in.Tags, in.Metadata, in.Shard, in.State, in.Reason, in.Critical, in.Public,
	})
	if err != nil || len(in.Unknown) == 0 {
		return known, err
	}
	var b bytes.Buffer
	b.Write(bytes.TrimSuffix(known, []byte("}")))
	for _, name := range slices.Sorted(maps.Keys(in.Unknown)) {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		b.Write(quoted)
		b.WriteByte(':')
		b.Write(in.Unknown[name])
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads the native record leniently: a port may be a bare number, a number may be a
// text, and a metadata value that is no text is kept as its JSON. Field names are exact.
func (in *Instance) UnmarshalJSON(data []byte) error {
	if read, usual := (RecordReader{}).scan("", "", data); usual {
		*in = read
		return nil
	}
	read, err := readRecord(data)
	*in = read
	return err
}

// readRecord is UnmarshalJSON for any JSON.
func readRecord(data []byte) (in Instance, err error) {
	if !json.Valid(data) {
		return in, errors.New("not JSON")
	}
	in.State = Passing
	err = eachField(data, func(name string, raw RawField) error {
		if err := in.setField(name, raw); err != nil {
			return fmt.Errorf("field %q: %w", name, err)
		}
		return nil
	})
	return in, err
}

// setField reads one field of the record.
func (in *Instance) setField(name string, raw RawField) (err error) {
	switch name {
	case "id":
		err = readText(raw, &in.ID)
	case "service":
		err = readText(raw, &in.Service)
	case "host":
		err = readText(raw, &in.Host)
	case "private_host":
		err = readText(raw, &in.PrivateHost)
	case "ports":
		in.Ports, err = readMap(raw, readPort)
	case "private_ports":
		in.PrivatePorts, err = readMap(raw, readPort)
	case "user":
		err = readText(raw, &in.User)
	case "password":
		err = readText(raw, (*string)(&in.Password))
	case "tags":
		in.Tags, err = readTexts(raw)
	case "metadata":
		in.Metadata, err = readMap(raw, readAnyText)
	case "shard":
		err = readText(raw, &in.Shard)
	case "state":
		if err = readText(raw, (*string)(&in.State)); in.State == "" {
			in.State = Passing
		}
	case "reason":
		err = readText(raw, &in.Reason)
	case "critical":
		in.Critical, err = readBool(raw)
	case "public":
		in.Public, err = readBool(raw)
	default:
		if in.Unknown == nil {
			in.Unknown = map[string]RawField{}
		}
		in.Unknown[name] = slices.Clone(raw)
	}
	return err
}

// ParsePort reads a port of a record: an object with number and protocol, a bare number, or either
// number as text. The number may be out of range: it is kept as read and fails only in URL.
func ParsePort(data []byte) (Port, error) {
	if !json.Valid(data) {
		return Port{}, errors.New("not JSON")
	}
	return readPort(bytes.TrimSpace(data))
}

// readPort is ParsePort for a part of a record, which is valid JSON.
func readPort(data []byte) (Port, error) {
	port := Port{Protocol: "tcp"}
	if data[0] != '{' {
		number, err := readNumber(data)
		port.Number = number
		return port, err
	}
	numbered := false
	err := eachField(data, func(name string, raw RawField) (err error) {
		switch name {
		case "number":
			numbered = true
			port.Number, err = readNumber(raw)
		case "protocol":
			if err = readText(raw, &port.Protocol); port.Protocol == "" {
				port.Protocol = "tcp"
			}
		}
		return err
	})
	if err == nil && !numbered {
		err = errors.New("there is no number")
	}
	return port, err
}

// readNumber reads a whole number or its text. 80.0 is one, as some write all numbers; what is far out of range stays
// out of range.
func readNumber(raw RawField) (int, error) {
	text := string(raw)
	if raw[0] == '"' {
		if err := readText(raw, &text); err != nil {
			return 0, err
		}
	}
	if number, err := strconv.Atoi(text); err == nil {
		return number, nil
	}
	number, err := strconv.ParseFloat(text, 64)
	if raw[0] == '"' || number != math.Trunc(number) || err != nil && !math.IsInf(number, 0) {
		return 0, errors.New("not a whole number")
	}
	return int(min(max(number, math.MinInt32), math.MaxInt32)), nil
}

func readBool(raw RawField) (bool, error) {
	switch string(raw) {
	case "true":
		return true, nil
	case "false", "null":
		return false, nil
	}
	return false, errors.New("neither true nor false")
}

// readText reads a text; null leaves it as it is.
func readText(raw RawField, into *string) error {
	switch {
	case string(raw) == "null":
		return nil
	case raw[0] != '"':
		return errors.New("not a text")
	case isPlain(raw[1 : len(raw)-1]):
		*into = string(raw[1 : len(raw)-1])
		return nil
	}
	return json.Unmarshal(raw, into)
}

// isPlain reports whether a quoted text stands for itself: it has no escape, and nothing but ASCII, so
// nothing that may be no UTF-8.
func isPlain(text []byte) bool {
	for _, c := range text {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

// readAnyText reads a text, and anything else as its JSON.
func readAnyText(raw []byte) (text string, err error) {
	if raw[0] != '"' {
		return string(raw), nil
	}
	err = readText(raw, &text)
	return text, err
}

func readTexts(raw RawField) ([]string, error) {
	var texts []string
	if json.Unmarshal(raw, &texts) != nil {
		return nil, errors.New("not a list of texts")
	}
	if len(texts) == 0 {
		return nil, nil
	}
	return texts, nil
}

// readMap reads an object whose fields are all of a kind; an empty one is nil, as null is.
func readMap[V any](raw RawField, read func([]byte) (V, error)) (map[string]V, error) {
	if string(raw) == "null" {
		return nil, nil
	}
	var all map[string]V
	err := eachField(raw, func(name string, field RawField) error {
		v, err := read(field)
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		if all == nil {
			all = map[string]V{}
		}
		all[name] = v
		return nil
	})
	return all, err
}

// eachField calls do for each field of an object, in order. The data must be valid JSON; raw is part of it.
func eachField(data []byte, do func(name string, raw RawField) error) error {
	data = bytes.TrimSpace(data)
	if data[0] != '{' {
		return errors.New("not an object")
	}
	for at := skipSpace(data, 1); data[at] != '}'; at = skipSpace(data, at) {
		if data[at] == ',' {
			at = skipSpace(data, at+1)
		}
		end := skipValue(data, at)
		var name string
		if err := readText(data[at:end], &name); err != nil {
			return err
		}
		at = skipSpace(data, end)
		at = skipSpace(data, at+1) // the colon
		end = skipValue(data, at)
		if err := do(name, data[at:end]); err != nil {
			return err
		}
		at = end
	}
	return nil
}

func skipSpace(data []byte, at int) int {
	for data[at] == ' ' || data[at] == '\t' || data[at] == '\n' || data[at] == '\r' {
		at++
	}
	return at
}

// skipValue gives the end of the value that begins at at.
func skipValue(data []byte, at int) int {
	depth := 0
	for ; at < len(data); at++ {
		switch data[at] {
		case '"':
			for at++; data[at] != '"'; at++ {
				if data[at] == '\\' {
					at++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth == 0 {
				return at // of a number or a word, at the end of its object
			}
			depth--
		case ',', ' ', '\t', '\n', '\r', ':':
			if depth == 0 {
				return at
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return at + 1
		}
	}
	return at
}

package discovery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
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
	Critical     bool              `json:"critical,omitempty"`
	Public       bool              `json:"public,omitempty"`
}

// MarshalJSON writes the native record: empty fields are left out, unknown ones follow the known.
func (in Instance) MarshalJSON() ([]byte, error) {
	known, err := json.Marshal(record{
		in.ID, in.Service, in.Host, in.PrivateHost, in.Ports, in.PrivatePorts, in.User, in.Password,
		in.Tags, in.Metadata, in.Shard, in.State, in.Critical, in.Public,
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
	var fields map[string]RawField
	if err := json.Unmarshal(data, &fields); err != nil {
		return fmt.Errorf("not a JSON object of an instance: %w", hideInput(err))
	}
	if fields == nil {
		return fmt.Errorf("not a JSON object of an instance: null")
	}
	*in = Instance{}
	for name, into := range map[string]any{
		"id": &in.ID, "service": &in.Service, "host": &in.Host, "private_host": &in.PrivateHost,
		"ports": (*lenientPorts)(&in.Ports), "private_ports": (*lenientPorts)(&in.PrivatePorts),
		"user": &in.User, "password": (*string)(&in.Password), "tags": &in.Tags,
		"metadata": (*lenientMetadata)(&in.Metadata), "shard": &in.Shard, "state": (*string)(&in.State),
		"critical": &in.Critical, "public": &in.Public,
	} {
		raw, ok := fields[name]
		if !ok {
			continue
		}
		delete(fields, name)
		if err := json.Unmarshal(raw, into); err != nil {
			return fmt.Errorf("field %q: %w", name, hideInput(err))
		}
	}
	if len(fields) > 0 {
		in.Unknown = fields
	}
	in.Ports, in.PrivatePorts = nonEmpty(in.Ports), nonEmpty(in.PrivatePorts)
	in.Metadata = nonEmpty(in.Metadata)
	if len(in.Tags) == 0 {
		in.Tags = nil
	}
	if in.State == "" {
		in.State = Passing
	}
	return nil
}

// nonEmpty makes an absent map and an empty one the same.
func nonEmpty[V any](m map[string]V) map[string]V {
	if len(m) == 0 {
		return nil
	}
	return m
}

// hideInput keeps what was read, which may be a password, out of the error.
func hideInput(err error) error {
	switch e := err.(type) {
	case *json.UnmarshalTypeError:
		return fmt.Errorf("not a %s", e.Type)
	case *json.SyntaxError:
		return fmt.Errorf("no JSON at byte %d", e.Offset)
	}
	return err
}

type lenientPorts map[string]Port

func (p *lenientPorts) UnmarshalJSON(data []byte) error {
	var raw map[string]RawField
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	ports := make(map[string]Port, len(raw))
	for name, field := range raw {
		port, err := ParsePort(field)
		if err != nil {
			return fmt.Errorf("port %q: %w", name, err)
		}
		ports[name] = port
	}
	*p = ports
	return nil
}

// ParsePort reads a port of a record: an object with number and protocol, a bare number, or either
// number as text. The number may be out of range: it is kept as read and fails only in URL.
func ParsePort(data []byte) (Port, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 || data[0] != '{' {
		number, err := parseNumber(data)
		return Port{Number: number, Protocol: "tcp"}, err
	}
	var object struct {
		Number   RawField `json:"number"`
		Protocol string   `json:"protocol"`
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return Port{}, hideInput(err)
	}
	number, err := parseNumber(object.Number)
	if object.Protocol == "" {
		object.Protocol = "tcp"
	}
	return Port{Number: number, Protocol: object.Protocol}, err
}

func parseNumber(data []byte) (int, error) {
	text := string(data)
	if unquoted := ""; json.Unmarshal(data, &unquoted) == nil && unquoted != "" {
		text = unquoted
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("not a number")
	}
	return number, nil
}

type lenientMetadata map[string]string

func (m *lenientMetadata) UnmarshalJSON(data []byte) error {
	var raw map[string]RawField
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	texts := make(map[string]string, len(raw))
	for key, field := range raw {
		var text string
		if json.Unmarshal(field, &text) != nil {
			text = string(field)
		}
		texts[key] = text
	}
	*m = texts
	return nil
}

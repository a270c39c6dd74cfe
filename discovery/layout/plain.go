package layout

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/envharness/envharness/discovery"
)

// plainSegments checks names that stand in a key as they are, in the layouts that escape nothing. etcd's v2
// hides keys with a leading _ and gives keys back as JSON, which holds no other bytes than UTF-8.
func plainSegments(names ...string) error {
	for _, name := range names {
		switch {
		case name == "":
			return discovery.Invalidf("a name is empty")
		case name == "." || name == "..", name[0] == '_', strings.ContainsAny(name, "/\x00"), !utf8.ValidString(name):
			return discovery.Invalidf("this layout cannot write the name %q: no /, ., .., NUL or leading _, and UTF-8 only", name)
		}
	}
	return nil
}

// underPrefix is a key of a layout whose keys begin with a prefix of its own.
func underPrefix(prefix, fallback string) string {
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		prefix = fallback
	}
	if prefix == "" {
		return "/"
	}
	return "/" + prefix + "/"
}

// onlyPort is the port of an instance in a layout that writes one, without its name.
func onlyPort(in discovery.Instance) (discovery.Port, error) {
	if in.Host == "" {
		return discovery.Port{}, discovery.Invalidf("this layout needs the host of instance %q", in.ID)
	}
	if len(in.Ports) != 1 {
		return discovery.Port{}, discovery.Invalidf("this layout writes one port an instance, %q has %d: register it once a port", in.ID, len(in.Ports))
	}
	var port discovery.Port
	for _, port = range in.Ports {
	}
	return port, nil
}

// onlyTCP refuses a port whose protocol a layout has no place for: readers would take it for tcp.
func onlyTCP(port discovery.Port) error {
	if port.Protocol != "tcp" && port.Protocol != "" {
		return discovery.Invalidf("this layout cannot write that port %d is %s: its readers take every port for tcp", port.Number, port.Protocol)
	}
	return nil
}

// onlyPortRead is how such a port is read.
func onlyPortRead(port discovery.Port) map[string]discovery.Port {
	return map[string]discovery.Port{discovery.DefaultPort: port}
}

// marshal writes a record as JSON. Text that is no UTF-8 would silently become another.
func marshal(record any, texts ...string) ([]byte, error) {
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return nil, discovery.Invalidf("a field of the instance is not UTF-8, and JSON holds nothing else")
		}
	}
	value, err := json.Marshal(record)
	if err != nil {
		return nil, discovery.Invalidf("the instance makes no JSON: %w", err)
	}
	return value, nil
}

// unmarshal reads JSON. Its error tells nothing of what was read, which may be a password.
func unmarshal(value []byte, into any) error {
	err := json.Unmarshal(value, into)
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrongType):
		return discovery.Invalidf("field %q is not a %s", wrongType.Field, wrongType.Type)
	case errors.As(err, &syntax):
		return discovery.Invalidf("no JSON at byte %d", syntax.Offset)
	}
	return discovery.Mark(discovery.ErrInvalid, err)
}

package docker

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/moby/moby/api/types/network"

	"github.com/envharness/envharness/discovery"
)

// What a container says is nobody's but its own, so what is read of it is bounded: each part would be a lease in
// the registry or a line in the log, and tags and metadata stand in every record.
const (
	maxName  = 255
	maxParts = 100
	maxBytes = 16 << 10 // of tags, metadata and shards
)

// port is where something listens within the container.
type port struct {
	number   uint16
	protocol string
}

// String is the port in its full form.
func (p port) String() string { return fmt.Sprintf("%d/%s", p.number, p.protocol) }

// portOf is a port as the engine writes it.
func portOf(private network.Port) port { return port{private.Num(), string(private.Proto())} }

func (p port) compare(other port) int {
	return cmp.Or(cmp.Compare(p.number, other.number), cmp.Compare(p.protocol, other.protocol))
}

// service is one instance that a container declares.
type service struct {
	name  string
	ports map[string]port // by name, at least one
	from  string          // the variable or label that declares it
	id    string          // what SERVICE_ID asks for
	attributes
}

// attributes are what an instance has beside its address.
type attributes struct {
	tags     []string // nil where nothing is said of them
	metadata map[string]string
	shard    *string // nil where nothing is said of it
}

// over gives these attributes, and others where nothing is said of one.
func (a attributes) over(others attributes) attributes {
	if a.tags == nil {
		a.tags = others.tags
	}
	if a.shard == nil {
		a.shard = others.shard
	}
	metadata := maps.Clone(others.metadata)
	if metadata == nil {
		metadata = map[string]string{}
	}
	maps.Copy(metadata, a.metadata)
	a.metadata = metadata
	return a
}

// portNames is the order in which an instance's ports are looked at.
func (s service) portNames() []string { return slices.Sorted(maps.Keys(s.ports)) }

// part is the port in the form that declares it alone.
func (s service) part(name string) string { return fmt.Sprintf("%s:%s", s.name, s.ports[name]) }

// single is a service of one port without a name.
func single(name string, p port, from string) service {
	return service{name: name, ports: map[string]port{discovery.DefaultPort: p}, from: from}
}

// declaration is what is read of a container's variables and labels, and what is wrong there. What is malformed is
// left out and changes nothing else.
type declaration struct {
	services   []service
	complaints []error
	notes      []string // what is left out on purpose
	common     attributes

	parts, bytes int // what was read so far
}

// declared reads the variable and our labels, in this order. A port of a service that is declared twice counts once.
func declared(variable string, env []string, labels map[string]string) *declaration {
	d := &declaration{}
	for _, part := range split(lookUp(env, variable)) {
		d.readPart(variable, part)
	}
	d.readLabels(labels)
	return d
}

// room counts a port or a complaint, and reports whether it is to be read.
func (d *declaration) room() bool {
	d.parts++
	if d.parts == maxParts+1 {
		d.complaints = append(d.complaints, fmt.Errorf("skipping what is declared after %d parts", maxParts))
	}
	return d.parts <= maxParts
}

// complain notes what is wrong, within bounds.
func (d *declaration) complain(format string, words ...any) {
	if d.room() {
		d.complaints = append(d.complaints, fmt.Errorf(format, words...))
	}
}

// readPart reads name:port[/protocol].
func (d *declaration) readPart(from, part string) {
	name, p, err := parsePart(part)
	switch {
	case err != nil:
		d.complain("%w", err)
	case !d.has(name, p) && d.room():
		d.services = append(d.services, single(name, p, from))
	}
}

// has reports whether a service with this port is declared.
func (d *declaration) has(name string, p port) bool {
	return slices.ContainsFunc(d.services, func(s service) bool { return s.name == name && s.listensAt(p) })
}

func (s service) listensAt(p port) bool {
	for _, own := range s.ports {
		if own == p {
			return true
		}
	}
	return false
}

// lookUp gives a variable of a container's environment; the last one counts.
func lookUp(env []string, variable string) (value string) {
	for _, line := range env {
		if name, text, ok := strings.Cut(line, "="); ok && name == variable {
			value = text
		}
	}
	return value
}

// split takes a declaration apart at commas and blanks.
func split(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || unicode.IsSpace(c) })
}

func parsePart(part string) (name string, p port, err error) {
	name, location, found := strings.Cut(part, ":")
	if !found {
		return name, p, malformed(part, errors.New("it has no colon"))
	}
	if err = validName(name); err == nil {
		p, err = parsePort(location)
	}
	if err != nil {
		err = malformed(part, err)
	}
	return name, p, err
}

// parsePort reads number[/protocol].
func parsePort(text string) (port, error) {
	number, protocol, found := strings.Cut(text, "/")
	if protocol = strings.ToLower(protocol); !found {
		protocol = "tcp"
	}
	if !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
		return port{}, errors.New("the protocol is none of tcp, udp, sctp")
	}
	n, err := parseNumber(number)
	return port{n, protocol}, err
}

func parseNumber(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, errors.New("the port is no number between 1 and 65535")
	}
	return uint16(n), nil
}

// validName keeps to what every layout can write.
func validName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > maxName:
		return fmt.Errorf("the name is longer than %d bytes", maxName)
	}
	for i, c := range []byte(name) {
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alphanumeric && (i == 0 || !strings.ContainsRune("._-", rune(c))) {
			return errors.New("a name has letters, digits, ., _ and -, and begins with a letter or digit")
		}
	}
	return nil
}

func malformed(part string, err error) error {
	return fmt.Errorf("skipping %s, which is not name:port[/protocol]: %w", quote(part), err)
}

// quote quotes what a container says, but not at a length that the container chooses.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strconv.Quote(text)
}

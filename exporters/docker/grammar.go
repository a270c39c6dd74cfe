package docker

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// The labels that declare services beside the variable.
const (
	servicesLabel = "envharness.service"  // the variable's grammar
	serviceLabel  = "envharness.service." // and the service's name; the value is PORT[/proto]
)

// What a container says is nobody's but its own, so the length of a service's name and the parts that are read are
// bounded: each would be a lease in the registry or a line in the log.
const (
	maxName  = 255
	maxParts = 100
)

// service is one part of a declaration: what listens on a port within the container.
type service struct {
	name     string
	port     uint16
	protocol string
}

// declared gives the services that a container declares, in the order of the variable, the label and the
// labels by name, each once. What is malformed is left out; complaints tell of it.
func declared(variable string, env []string, labels map[string]string) (services []service, complaints []error) {
	read := func(s service, err error) {
		switch parts := len(services) + len(complaints); {
		case parts > maxParts:
		case parts == maxParts:
			complaints = append(complaints, fmt.Errorf("skipping what is declared after %d parts", maxParts))
		case err != nil:
			complaints = append(complaints, err)
		case !slices.Contains(services, s):
			services = append(services, s)
		}
	}
	for _, text := range []string{lookUp(env, variable), labels[servicesLabel]} {
		for _, part := range split(text) {
			read(parsePart(part))
		}
	}
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		if name, ok := strings.CutPrefix(label, serviceLabel); ok {
			read(parseLabel(name, labels[label]))
		}
	}
	return services, complaints
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

// parsePart reads name:port[/protocol].
func parsePart(part string) (service, error) {
	name, location, found := strings.Cut(part, ":")
	if !found {
		return service{}, malformed(part, errors.New("it has no colon"))
	}
	s, err := parse(name, location)
	if err != nil {
		return service{}, malformed(part, err)
	}
	return s, nil
}

// parseLabel reads port[/protocol] for the service that the label names.
func parseLabel(name, location string) (service, error) {
	s, err := parse(name, strings.TrimSpace(location))
	if err != nil {
		return service{}, malformed(serviceLabel+name+"="+location, err)
	}
	return s, nil
}

func parse(name, location string) (service, error) {
	if err := validName(name); err != nil {
		return service{}, err
	}
	number, protocol, found := strings.Cut(location, "/")
	if protocol = strings.ToLower(protocol); !found {
		protocol = "tcp"
	}
	if !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
		return service{}, errors.New("the protocol is none of tcp, udp, sctp")
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || port == 0 {
		return service{}, errors.New("the port is no number between 1 and 65535")
	}
	return service{name, uint16(port), protocol}, nil
}

// validName keeps to what every layout can write.
func validName(name string) error {
	switch {
	case name == "":
		return errors.New("the service has no name")
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

// malformed quotes a part, but not at a length that a container chooses.
func malformed(part string, err error) error {
	const most = 80
	if len(part) > most {
		part = part[:most] + "…"
	}
	return fmt.Errorf("skipping %q, which is not name:port[/protocol]: %w", part, err)
}

// String is the part in its full form.
func (s service) String() string {
	return fmt.Sprintf("%s:%d/%s", s.name, s.port, s.protocol)
}

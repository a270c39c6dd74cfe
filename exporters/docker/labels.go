package docker

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/envharness/envharness/discovery"
)

// Our labels. Those of one service have its name and the same words again: envharness.service.web.tags.
const (
	labelPrefix   = "envharness."
	serviceWord   = "service" // the container's service, or parts as the variable has them
	portWord      = "port"    // port.NAME: number[/protocol]
	tagsWord      = "tags"
	metadataWord  = "metadata" // metadata.KEY
	shardWord     = "shard"
	servicePrefix = labelPrefix + serviceWord + "."
)

// knownLabels is what the complaint about another label tells.
const knownLabels = "known are service, port.NAME, tags, metadata.KEY, shard, and service.SERVICE with .port.NAME, .tags, .metadata.KEY, .shard"

// labelSet is what labels say of one service, or of all.
type labelSet struct {
	ports map[string]port
	from  map[string]string // the label of each port
	attributes
}

// labelReader reads a container's labels before they are put together.
type labelReader struct {
	*declaration
	all   labelSet             // what names no service
	named map[string]*labelSet // by the service's name
	bare  []string             // services that envharness.service names without a port
}

// readLabels reads our labels, in the order of their names.
func (d *declaration) readLabels(labels map[string]string) {
	r := &labelReader{declaration: d, named: map[string]*labelSet{}}
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		switch words, ours := strings.CutPrefix(label, labelPrefix); {
		case !ours:
		case words == serviceWord:
			r.readService(labels[label])
		default:
			r.readLabel(label, words, labels[label])
		}
	}
	r.common = r.all.attributes
	r.placePorts()
	r.declare()
}

// readService reads envharness.service: names, whose ports other labels give, and parts.
func (r *labelReader) readService(text string) {
	for _, part := range split(text) {
		if strings.Contains(part, ":") {
			r.readPart(labelPrefix+serviceWord, part)
		} else if err := validName(part); err != nil {
			r.complain("skipping %s of label %s: %w", quote(part), labelPrefix+serviceWord, err)
		} else if !slices.Contains(r.bare, part) && r.room() {
			r.bare = append(r.bare, part)
		}
	}
}

func (r *labelReader) readLabel(label, words, value string) {
	target := &r.all
	if name, ok := strings.CutPrefix(words, serviceWord+"."); ok {
		name, words = splitService(name)
		if err := validName(name); err != nil {
			r.complain("skipping label %s: %w", quote(label), err)
			return
		}
		if r.named[name] == nil {
			r.named[name] = &labelSet{}
		}
		target = r.named[name]
	}
	if err := r.read(target, label, words, value); err != nil {
		r.complain("skipping label %s: %w", quote(label), err)
	}
}

// splitService parts a service's name from what is said of it, which begins at the first of our words. A service
// whose own name has one of them can be declared as a part.
func splitService(text string) (name, words string) {
	all := strings.Split(text, ".")
	for i := 1; i < len(all); i++ {
		last := i == len(all)-1
		switch word := all[i]; {
		case !last && (word == portWord || word == metadataWord), last && (word == tagsWord || word == shardWord):
			return strings.Join(all[:i], "."), strings.Join(all[i:], ".")
		}
	}
	return text, portWord
}

// read reads the value of one label.
func (r *labelReader) read(into *labelSet, label, words, value string) error {
	word, name, _ := strings.Cut(words, ".")
	if words == portWord && into != &r.all { // envharness.service.NAME itself
		name = discovery.DefaultPort
	}
	switch {
	case word == portWord && name != "":
		return r.readPort(into, label, name, value)
	case words == tagsWord:
		tags, err := parseTags(value)
		if err == nil && r.fits(value) {
			into.tags = tags
		}
		return err
	case word == metadataWord && name != "":
		if err := validKey(name); err != nil {
			return err
		}
		if r.fits(name + value) {
			into.setMetadata(name, value)
		}
		return nil
	case words == shardWord:
		shard := strings.TrimSpace(value)
		if err := validText(shard); err != nil {
			return err
		}
		if r.fits(value) {
			into.shard = &shard
		}
		return nil
	}
	return errors.New("there is no such label: " + knownLabels)
}

func (r *labelReader) readPort(into *labelSet, label, name, value string) error {
	if err := validName(name); err != nil {
		return err
	}
	p, err := parsePort(strings.TrimSpace(value))
	if err != nil {
		return fmt.Errorf("%s: %w", quote(value), err)
	}
	if was, twice := into.ports[name]; twice && was != p {
		return fmt.Errorf("label %s says %s, which counts", into.from[name], was)
	}
	if r.room() {
		into.setPort(name, p, label)
	}
	return nil
}

func (l *labelSet) setPort(name string, p port, label string) {
	if l.ports == nil {
		l.ports, l.from = map[string]port{}, map[string]string{}
	}
	l.ports[name], l.from[name] = p, label
}

func (a *attributes) setMetadata(key, value string) {
	if a.metadata == nil {
		a.metadata = map[string]string{}
	}
	a.metadata[key] = value
}

// fits counts the bytes of an attribute.
func (d *declaration) fits(text string) bool {
	was := d.bytes
	d.bytes += len(text)
	if was <= maxBytes && d.bytes > maxBytes {
		d.complain("skipping tags, metadata and shards after %d bytes of them", maxBytes)
	}
	return d.bytes <= maxBytes
}

// placePorts gives the ports that no service has, envharness.port.NAME, to the container's service.
func (r *labelReader) placePorts() {
	names := slices.Sorted(maps.Keys(r.all.ports))
	if len(r.bare) == 0 {
		for _, name := range names {
			r.complain("skipping label %s: no service has it; add %s%s=NAME", quote(r.all.from[name]), labelPrefix, serviceWord)
		}
		return
	}
	owner := r.named[r.bare[0]]
	if owner == nil {
		owner = &labelSet{}
		r.named[r.bare[0]] = owner
	}
	for _, name := range names {
		if was, twice := owner.ports[name]; twice && was != r.all.ports[name] {
			r.complain("skipping label %s: label %s says %s, which counts", quote(r.all.from[name]), owner.from[name], was)
			continue
		}
		owner.setPort(name, r.all.ports[name], r.all.from[name])
	}
}

// declare makes the services of what was read, and gives all services their attributes.
func (r *labelReader) declare() {
	for _, name := range slices.Sorted(maps.Keys(r.named)) {
		if own := r.named[name]; len(own.ports) > 0 {
			r.declareOne(service{name: name, ports: own.ports, from: own.from[slices.Sorted(maps.Keys(own.ports))[0]]})
		}
	}
	declares := func(name string) bool {
		return slices.ContainsFunc(r.services, func(s service) bool { return s.name == name })
	}
	for _, name := range r.bare {
		if !declares(name) {
			r.complain("skipping service %s of label %s%s: it has no port; add %s%s.%s.NAME=NUMBER", name, labelPrefix, serviceWord, servicePrefix, name, portWord)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.named)) {
		if own := r.named[name]; own.said() && !declares(name) && !slices.Contains(r.bare, name) {
			r.complain("skipping labels %s%s.*: the container declares no service %s; add %s%s=NUMBER", servicePrefix, name, name, servicePrefix, name)
		}
	}
	for i, s := range r.services {
		own := attributes{}
		if named := r.named[s.name]; named != nil {
			own = named.attributes
		}
		r.services[i].attributes = own.over(r.common)
	}
}

// declareOne adds an instance in place of parts that say less of it.
func (r *labelReader) declareOne(s service) {
	at := slices.IndexFunc(r.services, func(part service) bool { return part.name == s.name && s.listensAt(part.ports[discovery.DefaultPort]) })
	if at < 0 {
		r.services = append(r.services, s)
		return
	}
	r.services[at] = s
	rest := slices.DeleteFunc(slices.Clone(r.services[at+1:]), func(part service) bool {
		return part.name == s.name && s.listensAt(part.ports[discovery.DefaultPort])
	})
	r.services = append(r.services[:at+1], rest...)
}

// said reports whether any attribute is given.
func (a attributes) said() bool { return a.tags != nil || a.shard != nil || len(a.metadata) > 0 }

// parseTags reads tags with commas between, each once.
func parseTags(text string) ([]string, error) {
	tags := []string{}
	for tag := range strings.SplitSeq(text, ",") {
		tag = strings.TrimSpace(tag)
		if err := validText(tag); err != nil {
			return nil, err
		}
		if tag != "" && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

// validKey keeps the exporter's own metadata from being said by containers: they tell whose an entry is.
func validKey(key string) error {
	if slices.Contains([]string{realmKey, hostKey, containerKey}, key) {
		return fmt.Errorf("the metadata key %q is the exporter's own", key)
	}
	return validText(key)
}

// validText refuses what no record or no terminal takes.
func validText(text string) error {
	switch {
	case len(text) > maxName:
		return fmt.Errorf("it is longer than %d bytes", maxName)
	case !utf8.ValidString(text):
		return errors.New("it is not UTF-8")
	case strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("it has a control character")
	}
	return nil
}

// checkCommon complains about attributes that no service has.
func (d *declaration) checkCommon() {
	if d.common.said() && len(d.services) == 0 {
		d.complain("skipping labels %s%s, %[1]s%s.* and %[1]s%s: the container declares no service", labelPrefix, tagsWord, metadataWord, shardWord)
	}
}

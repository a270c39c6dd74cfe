package docker

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// The variables and labels of gliderlabs/registrator, https://gliderlabs.github.io/registrator/latest/user/services:
// SERVICE_<KEY> is for all ports of a container, SERVICE_<port>_<KEY> for one and wins.
const registratorPrefix = "SERVICE_"

// What registrator itself does with a key, which it reads in lower case; every other is an attribute.
const (
	nameKey   = "name"
	idKey     = "id"
	tagsKey   = "tags"
	ignoreKey = "ignore"
	checkKeys = "check_" // what Consul is to do
)

// registratorSays are a container's variables of registrator.
type registratorSays struct {
	common map[string]setting
	byPort map[int]map[string]setting
}

// setting is a value and the variable or label that has it.
type setting struct{ value, from string }

// parseRegistrator reads variables and labels; variables win.
func parseRegistrator(env []string, labels map[string]string) registratorSays {
	all := map[string]string{}
	for name, value := range labels {
		all[name] = value
	}
	for _, line := range env {
		if name, value, ok := strings.Cut(line, "="); ok {
			all[name] = value
		}
	}
	says := registratorSays{common: map[string]setting{}, byPort: map[int]map[string]setting{}}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		key, ours := strings.CutPrefix(name, registratorPrefix)
		if !ours || key == "" {
			continue
		}
		key = strings.ToLower(key)
		number, rest, found := strings.Cut(key, "_")
		if n, err := strconv.Atoi(number); err == nil && found && rest != "" {
			if says.byPort[n] == nil {
				says.byPort[n] = map[string]setting{}
			}
			says.byPort[n][rest] = setting{all[name], name}
		} else {
			says.common[key] = setting{all[name], name}
		}
	}
	return says
}

// about gives all that is said of a port.
func (r registratorSays) about(number uint16) map[string]setting {
	all := maps.Clone(r.common)
	maps.Copy(all, r.byPort[int(number)])
	return all
}

// readRegistrator declares a service for each of the ports, as registrator does. What our variable and labels say
// counts where both say something.
func (d *declaration) readRegistrator(c container, ports []port) {
	says := parseRegistrator(c.env, c.labels)
	if said := says.common[nameKey]; said.value != "" && len(ports) == 0 {
		d.complain("skipping %s: the container has no port that can be reached", said.from)
	}
	for _, number := range slices.Sorted(maps.Keys(says.byPort)) {
		if !slices.ContainsFunc(ports, func(p port) bool { return int(p.number) == number }) {
			d.complain("skipping %s%d_*: the container has no such port that can be reached", registratorPrefix, number)
		}
	}
	ours := slices.Clone(d.services)
	for _, p := range ports {
		settings := says.about(p.number)
		if i := slices.IndexFunc(ours, func(s service) bool { return s.listensAt(p) }); i >= 0 {
			d.contradict(ours[i], p, settings)
			continue
		}
		if settings[ignoreKey].value != "" {
			continue
		}
		_, named := says.byPort[int(p.number)][nameKey]
		name := cmp.Or(settings[nameKey].value, imageName(c.image))
		if len(ports) > 1 && !named {
			name = fmt.Sprintf("%s-%d", name, p.number)
		}
		d.readRegistered(name, p, settings)
	}
	d.noteChecks(says, ports)
}

// imageName is what registrator calls a service without a name.
func imageName(image string) string {
	name, _, _ := strings.Cut(path.Base(image), ":")
	name, _, _ = strings.Cut(name, "@")
	return name
}

// contradict complains about what is said of a port that our variable or labels declare.
func (d *declaration) contradict(ours service, p port, settings map[string]setting) {
	var unread []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if said := settings[key]; said.value != "" && !strings.HasPrefix(key, checkKeys) && (key != nameKey || said.value != ours.name) {
			unread = append(unread, said.from)
		}
	}
	if len(unread) > 0 {
		d.complain("skipping %s for port %s: %s declares service %s there, which counts", someOf(unread), p, ours.from, ours.name)
	}
}

// readRegistered declares one service by its settings.
func (d *declaration) readRegistered(name string, p port, settings map[string]setting) {
	if err := validName(name); err != nil {
		d.complain("skipping port %s, whose service %s would be called %s: %w", p, cmp.Or(settings[nameKey].from, "by its image"), quote(name), err)
		return
	}
	s := single(name, p, cmp.Or(settings[nameKey].from, "its image"))
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		said := settings[key]
		if err := d.readSetting(&s, key, said.value); err != nil {
			d.complain("skipping %s for port %s: %w", quote(said.from), p, err)
		}
	}
	d.overrule(&s, p, settings)
	if p.protocol == "udp" && !slices.Contains(s.tags, p.protocol) {
		s.tags = append(slices.Clip(s.tags), p.protocol)
	}
	if d.room() {
		d.services = append(d.services, s)
	}
}

// overrule puts what our labels say of all services in place of what registrator's variables say.
func (d *declaration) overrule(s *service, p port, settings map[string]setting) {
	if s.tags != nil && d.common.tags != nil && !slices.Equal(s.tags, d.common.tags) {
		d.complain("skipping %s for port %s: label %s%s counts", settings[tagsKey].from, p, labelPrefix, tagsWord)
	}
	for _, key := range slices.Sorted(maps.Keys(d.common.metadata)) {
		if value, twice := s.metadata[key]; twice && value != d.common.metadata[key] {
			d.complain("skipping %s for port %s: label %s%s.%s counts", settings[key].from, p, labelPrefix, metadataWord, key)
		}
	}
	s.attributes = d.common.over(s.attributes)
}

// readSetting reads one variable into a service.
func (d *declaration) readSetting(s *service, key, value string) error {
	switch {
	case key == nameKey || key == ignoreKey || strings.HasPrefix(key, checkKeys):
		return nil
	case value == "" && (key == idKey || key == tagsKey):
		return nil
	case key == idKey:
		if err := validID(value); err != nil {
			return err
		}
		s.id = value
		return nil
	case key == tagsKey:
		tags := splitEscaped(value)
		for _, tag := range tags {
			if err := validText(tag); err != nil {
				return err
			}
		}
		if d.fits(value) {
			s.tags = tags
		}
		return nil
	}
	if err := validKey(key); err != nil {
		return err
	}
	if d.fits(key + value) {
		s.setMetadata(key, value)
	}
	return nil
}

// validID takes what registrator makes itself, host:container:port, too.
func validID(id string) error {
	return validName(strings.ReplaceAll(id, ":", "-"))
}

// splitEscaped takes tags apart at the commas that no backslash is before. Empty ones are left out.
func splitEscaped(text string) (tags []string) {
	var tag strings.Builder
	end := func() {
		if tag.Len() > 0 {
			tags = append(tags, tag.String())
		}
		tag.Reset()
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == ',':
			i++
			tag.WriteByte(',')
		case text[i] == ',':
			end()
		default:
			tag.WriteByte(text[i])
		}
	}
	end()
	return tags
}

// noteChecks tells of the checks that Consul was to make: a HEALTHCHECK is what says here how a container is.
func (d *declaration) noteChecks(says registratorSays, ports []port) {
	var checks []string
	for _, p := range ports {
		for key, said := range says.about(p.number) {
			if strings.HasPrefix(key, checkKeys) && said.value != "" && !slices.Contains(checks, said.from) {
				checks = append(checks, said.from)
			}
		}
	}
	if len(checks) > 0 {
		slices.Sort(checks)
		d.notes = append(d.notes, fmt.Sprintf("leaving out %s, which is for Consul: the container's HEALTHCHECK is its state", someOf(checks)))
	}
}

// someOf lists names, but not at a length that a container chooses.
func someOf(names []string) string {
	const most = 5
	quoted := []string{}
	for _, name := range names[:min(most, len(names))] {
		quoted = append(quoted, quote(name))
	}
	text := strings.Join(quoted, ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// declaresPorts are the ports that registrator would look at: those that are published, or with the container's own
// address those that are exposed, too.
func (c container) declaresPorts(own bool) (ports []port) {
	for private := range c.exposed {
		if own || c.hostNetwork || c.publishes(private) {
			ports = append(ports, portOf(private))
		}
	}
	for private := range c.ports {
		if !c.joins && (own || c.publishes(private)) && !slices.Contains(ports, portOf(private)) {
			ports = append(ports, portOf(private))
		}
	}
	slices.SortFunc(ports, port.compare)
	return ports
}

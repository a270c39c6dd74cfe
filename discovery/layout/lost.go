package layout

import (
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/envharness/envharness/discovery"
)

// Fit makes of a layout what is done to an instance before it is registered: it gets its ID, and one that
// cannot be written is refused. Of fields that the layout has no place for one warning tells.
func Fit(l Layout, log *slog.Logger) func(discovery.Instance) (discovery.Instance, error) {
	return func(in discovery.Instance) (discovery.Instance, error) {
		in, err := l.Identify(in)
		if err == nil {
			_, err = l.Encode(in)
		}
		if err == nil {
			WarnLost(l, log, in)
		}
		return in, err
	}
}

// WarnLost tells of the fields of an identified instance that its record does not hold.
func WarnLost(l Layout, log *slog.Logger, in discovery.Instance) {
	in.State = discovery.Passing // others may have no record at all
	records, err := l.Encode(in)
	if err != nil || len(records) == 0 {
		return
	}
	read, err := l.Decode(records[0].Key, records[0].Value)
	if err != nil {
		return
	}
	if fields := lost(in, read); len(fields) > 0 {
		log.Warn("the layout has no place for some of what is registered, which readers will not see",
			"service", in.Service, "id", in.ID, "fields", strings.Join(fields, ", "))
	}
}

// lost names the fields of which read has less than in.
func lost(in, read discovery.Instance) (fields []string) {
	for _, field := range []struct {
		name string
		lost bool
	}{
		{"private host", in.PrivateHost != "" && in.PrivateHost != read.PrivateHost && in.PrivateHost != read.Host},
		{"private ports", len(in.PrivatePorts) > 0 && !maps.Equal(in.PrivatePorts, read.PrivatePorts)},
		{"user", in.User != read.User},
		{"password", in.Password != read.Password},
		{"tags", !slices.Equal(in.Tags, read.Tags)},
		{"metadata", !holds(read.Metadata, in.Metadata)},
		{"shard", in.Shard != read.Shard},
		{"critical", in.Critical != read.Critical},
		{"public", in.Public != read.Public},
	} {
		if field.lost {
			fields = append(fields, field.name)
		}
	}
	return fields
}

// holds reports whether all has every pair of some; it may have more.
func holds(all, some map[string]string) bool {
	for name, value := range some {
		if got, ok := all[name]; !ok || got != value {
			return false
		}
	}
	return true
}

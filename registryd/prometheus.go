package registryd

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

// mostTargetServices is how many services can be named in one question: etcd reads them in one transaction.
const mostTargetServices = 100

// targetsQuestion is whose targets are asked for, sorted, with NULs between them; empty is all of them.
type targetsQuestion struct {
	caller          caller
	services, ports string
}

// targetGroup is one target as Prometheus' HTTP service discovery has it:
// https://prometheus.io/docs/prometheus/latest/http_sd/.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// prometheus answers /prometheus: a target for each port of each instance that Prometheus can scrape, in every
// state, which is a label. What a target tells of itself counts most while it fails or drains. ?service= and
// ?port= choose by name and may be repeated.
func (h *handler) prometheus(w http.ResponseWriter, r *http.Request) error {
	query, err := queryOf(r, "service+", "port+")
	if err != nil {
		return err
	}
	if slices.Contains(append(query["service"], query["port"]...), "") {
		return problem(http.StatusBadRequest, "a service or a port that is asked for has no name")
	}
	question := targetsQuestion{caller: callerOf(r.Context()), services: joinSorted(query["service"]), ports: joinSorted(query["port"])}
	question.caller.peer = ""
	answer, err := h.targets.join(r.Context(), question, func(ctx context.Context) (*sharedAnswer, error) {
		return h.store.targets(ctx, splitJoined(question.services), splitJoined(question.ports))
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return h.sendShared(w, r, answer)
}

func joinSorted(words []string) string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(words))), "\x00")
}

func splitJoined(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\x00")
}

// targets encodes those of services, or of all.
func (s *store) targets(ctx context.Context, services, ports []string) (*sharedAnswer, error) {
	kvs, err := s.instancesOf(ctx, services)
	if err != nil {
		return nil, err
	}
	groups := []targetGroup{}
	for _, in := range layout.Decode(s.keys, s.log, records(kvs)) {
		groups = append(groups, targetsOf(in, ports)...)
	}
	data, err := json.Marshal(groups)
	return &sharedAnswer{data: append(data, '\n')}, err
}

// instancesOf reads the records of services at one moment; of all of them when none is named.
func (s *store) instancesOf(ctx context.Context, services []string) ([]*mvccpb.KeyValue, error) {
	if len(services) == 0 {
		response, err := s.get(ctx, s.keys.ServicesPrefix(), clientv3.WithPrefix())
		if err != nil {
			return nil, err
		}
		return response.Kvs, nil
	}
	if len(services) > mostTargetServices {
		return nil, problem(http.StatusBadRequest, "more than %d services are named", mostTargetServices)
	}
	var reads []clientv3.Op
	for _, service := range services {
		prefix, err := s.keys.ServicePrefix(service)
		if err != nil {
			return nil, err
		}
		reads = append(reads, clientv3.OpGet(prefix, clientv3.WithPrefix()))
	}
	response, err := inTurn(ctx, s, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return s.client.Txn(ctx).Then(reads...).Commit()
	})
	if err != nil {
		return nil, err
	}
	var kvs []*mvccpb.KeyValue
	for _, read := range response.Responses {
		kvs = append(kvs, read.GetResponseRange().Kvs...)
	}
	return kvs, nil
}

// targetsOf gives an instance's ports that can be scraped. An address or a port that is none would be an error
// in Prometheus' log at each scrape.
func targetsOf(in discovery.Instance, ports []string) []targetGroup {
	var groups []targetGroup
	for _, name := range slices.Sorted(maps.Keys(in.Ports)) {
		if len(ports) > 0 && !slices.Contains(ports, name) {
			continue
		}
		if address, ok := scrapable(in.Host, in.Ports[name]); ok {
			groups = append(groups, targetGroup{Targets: []string{address}, Labels: labelsOf(in, name)})
		}
	}
	return groups
}

// scrapable gives an address with its port, as Prometheus takes it.
func scrapable(host string, port discovery.Port) (address string, ok bool) {
	if port.Protocol != "" && port.Protocol != "tcp" {
		return "", false
	}
	u, err := discovery.Instance{Host: host, Ports: map[string]discovery.Port{"tcp": port}}.URL("tcp", "")
	return strings.TrimPrefix(u, "tcp://"), err == nil
}

// labelPrefix is what Prometheus drops after relabelling.
const labelPrefix = "__meta_envharness_"

// labelsOf says what is known of a target. A list has its comma at both ends too, so that ",blue," finds a tag.
func labelsOf(in discovery.Instance, port string) map[string]string {
	labels := map[string]string{
		labelPrefix + "service":      in.Service,
		labelPrefix + "id":           in.ID,
		labelPrefix + "port":         port,
		labelPrefix + "state":        string(in.State),
		labelPrefix + "shard":        in.Shard,
		labelPrefix + "private_host": in.PrivateHost,
		labelPrefix + "critical":     strconv.FormatBool(in.Critical),
		labelPrefix + "public":       strconv.FormatBool(in.Public),
	}
	if len(in.Tags) > 0 {
		labels[labelPrefix+"tags"] = "," + strings.Join(in.Tags, ",") + ","
	}
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(in.Metadata))) { // of two alike the first one stays
		labels[labelPrefix+"metadata_"+labelName(key)] = in.Metadata[key]
	}
	maps.DeleteFunc(labels, func(_, value string) bool { return value == "" })
	return labels
}

// labelName makes any text fit for a label's name.
func labelName(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, text)
}

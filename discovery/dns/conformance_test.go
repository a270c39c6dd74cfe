package dns

import (
	"testing"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/etcd"
	"github.com/envharness/envharness/discovery/registrytest"
	"github.com/envharness/envharness/internal/testservers"
)

// What is announced on etcd by the layout skydns is found by DNS, of which CoreDNS is the server.
func TestConformance(t *testing.T) {
	store := testservers.EmbeddedEtcd(t)
	server := testservers.ServeSkyDNS(t, "test", store.Address)
	dead := testservers.FreeAddress(t)
	registrytest.Run(t, registrytest.Server{
		Engine: Engine,
		URL: func(prefix string) string {
			return "dns://" + server.Address + "/" + prefix + ".test?port=http&timeout=60s"
		},
		Feed: func(prefix string) (discovery.Engine, string) {
			return etcd.Engine, "etcd://" + store.Address + "/" + prefix + ".test?layout=skydns"
		},
		MinTTL:     2 * time.Second,
		PlainNames: true,
		Fit: func(in discovery.Instance) discovery.Instance {
			return discovery.Instance{
				ID: in.ID, Service: in.Service, Host: in.Host, Ports: in.Ports, State: discovery.Passing,
				Metadata: map[string]string{priorityKey: "10"}, // CoreDNS' own
			}
		},
		Kill:        server.Kill,
		Restart:     server.Start,
		Pause:       server.Pause,
		Resume:      server.Resume,
		DeadURL:     "dns://" + dead + "/dead.test?timeout=2s",
		DeadAddress: dead,
		Count:       100,
		Watchers:    20,
	})
}

package docker

import (
	"testing"

	"github.com/moby/moby/api/types/network"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

func portAt(text string) network.Port { return network.MustParsePort(text) }

func exposing(ports ...string) network.PortSet {
	set := network.PortSet{}
	for _, text := range ports {
		set[portAt(text)] = struct{}{}
	}
	return set
}

// publishing makes what a container has that publishes ports, each at the number 10,000 higher.
func publishing(c container, ports ...string) container {
	c.id, c.name, c.ports = testID, "shop", network.PortMap{}
	for _, text := range ports {
		p := portAt(text)
		c.ports[p] = at(network.MustParsePort(text).Port())[portAt("80/tcp")]
	}
	return c
}

func TestRegistrator(t *testing.T) {
	type labels = map[string]string
	for name, test := range map[string]struct {
		container  container
		publishes  []string
		want       []string
		complaints []string
		notes      []string
	}{
		"defaults": { // the first example of registrator's documentation
			container: container{image: "progrium/redis"},
			publishes: []string{"6379/tcp"},
			want:      []string{"redis default=6379/tcp"},
		},
		"metadata": {
			container: container{image: "progrium/redis", env: []string{"SERVICE_NAME=db", "SERVICE_TAGS=master,backups", "SERVICE_REGION=us2"}},
			publishes: []string{"6379/tcp"},
			want:      []string{"db default=6379/tcp tags=master,backups region:us2"},
		},
		"labels": {
			container: container{image: "dockerfile/redis", labels: labels{"SERVICE_NAME": "db", "SERVICE_TAGS": "master,backups", "SERVICE_REGION": "us2"}},
			publishes: []string{"6379/tcp"},
			want:      []string{"db default=6379/tcp tags=master,backups region:us2"},
		},
		"escaped commas": {
			container: container{image: "redis", env: []string{`SERVICE_TAGS=/(;\,:-_)/,,b,`}},
			publishes: []string{"6379/tcp"},
			want:      []string{"redis default=6379/tcp tags=/(;,:-_)/,b"},
		},
		"several ports": {
			container: container{image: "localhost:5000/progrium/nginx:1.2"},
			publishes: []string{"443/tcp", "80/tcp"},
			want:      []string{"nginx-80 default=80/tcp", "nginx-443 default=443/tcp"},
		},
		"several ports with metadata": {
			container: container{image: "progrium/nginx", env: []string{
				"SERVICE_443_NAME=https", "SERVICE_443_ID=https.12345", "SERVICE_443_SNI=enabled", "SERVICE_80_NAME=http", "SERVICE_TAGS=www",
			}},
			publishes: []string{"443/tcp", "80/tcp"},
			want:      []string{"http default=80/tcp tags=www", "https default=443/tcp id=https.12345 tags=www sni:enabled"},
		},
		"one name for several ports": {
			container: container{image: "nginx", env: []string{"SERVICE_NAME=web"}},
			publishes: []string{"443/tcp", "80/tcp"},
			want:      []string{"web-80 default=80/tcp", "web-443 default=443/tcp"},
		},
		"udp":                 {container{image: "dns@sha256:0123"}, []string{"53/udp"}, []string{"dns default=53/udp tags=udp"}, nil, nil},
		"ignored":             {container: container{image: "x", env: []string{"SERVICE_IGNORE=yes"}}, publishes: []string{"1/tcp"}},
		"an ignored port":     {container{image: "x", env: []string{"SERVICE_2_IGNORE=1"}}, []string{"1/tcp", "2/tcp"}, []string{"x-1 default=1/tcp"}, nil, nil},
		"exposed only":        {container: container{image: "x", exposed: exposing("1/tcp")}},
		"the port wins":       {container{image: "x", env: []string{"SERVICE_1_NAME=a", "SERVICE_NAME=b"}}, []string{"1/tcp"}, []string{"a default=1/tcp"}, nil, nil},
		"a variable wins":     {container{image: "x", env: []string{"SERVICE_NAME=a"}, labels: labels{"SERVICE_NAME": "b"}}, []string{"1/tcp"}, []string{"a default=1/tcp"}, nil, nil},
		"the host's network":  {container{image: "x", hostNetwork: true, exposed: exposing("1/tcp")}, nil, []string{"x default=1/tcp"}, nil, nil},
		"a number is no port": {container{image: "x", env: []string{"SERVICE_80=v"}}, []string{"1/tcp"}, []string{"x default=1/tcp 80:v"}, nil, nil},
		"our labels win": {
			container: container{
				image:  "nginx",
				env:    []string{"SERVICE_80_NAME=http", "SERVICE_TAGS=www", "SERVICE_REGION=us2", "SERVICE_ZONE=a", "SERVICE_81_NAME=same"},
				labels: labels{"envharness.service.web": "80", "envharness.service.same": "81", "envharness.tags": "edge", "envharness.metadata.region": "eu"},
			},
			publishes: []string{"80/tcp", "81/tcp", "82/udp"},
			want: []string{
				"same default=81/tcp tags=edge region:eu", "web default=80/tcp tags=edge region:eu",
				"nginx-82 default=82/udp tags=edge,udp region:eu zone:a",
			},
			complaints: []string{
				`"SERVICE_80_NAME", "SERVICE_REGION", "SERVICE_TAGS", "SERVICE_ZONE" for port 80/tcp: envharness.service.web declares service web there, which counts`,
				`"SERVICE_REGION", "SERVICE_TAGS", "SERVICE_ZONE" for port 81/tcp: envharness.service.same declares`,
				"SERVICE_TAGS for port 82/udp: label envharness.tags counts",
				"SERVICE_REGION for port 82/udp: label envharness.metadata.region counts",
			},
		},
		"our variable wins over ignoring": {
			container:  container{image: "x", env: []string{"SERVICE_IGNORE=1", "DISCOVER=web:1"}},
			publishes:  []string{"1/tcp"},
			want:       []string{"web default=1/tcp"},
			complaints: []string{`"SERVICE_IGNORE" for port 1/tcp: DISCOVER declares service web there`},
		},
		"what cannot be read": {
			container: container{image: "x", env: []string{
				"SERVICE_1_NAME=a/b", "SERVICE_99999_NAME=x", "SERVICE_3_NAME=x", "SERVICE_2_ID=a b", "SERVICE_REALM=x", "SERVICE_2_TAGS=a\x01", "SERVICE_2_FINE=x", "SERVICE_", "SERVICE_=x",
			}},
			publishes: []string{"1/tcp", "2/tcp"},
			want:      []string{"x-2 default=2/tcp fine:x"},
			complaints: []string{
				"SERVICE_3_*: the container has no such port", "SERVICE_99999_*: the container has no such port",
				`port 1/tcp, whose service SERVICE_1_NAME would be called "a/b"`,
				`"SERVICE_2_ID" for port 2/tcp`, `"SERVICE_REALM" for port 2/tcp`, `"SERVICE_2_TAGS" for port 2/tcp: it has a control`,
			},
		},
		"a name and no port": {container: container{image: "x", env: []string{"SERVICE_NAME=a"}}, complaints: []string{"SERVICE_NAME: the container has no port"}},
		"checks": {
			container: container{image: "x", env: []string{"SERVICE_1_CHECK_HTTP=/", "SERVICE_CHECK_INTERVAL=1s"}},
			publishes: []string{"1/tcp"},
			want:      []string{"x default=1/tcp"},
			notes:     []string{`leaving out "SERVICE_1_CHECK_HTTP", "SERVICE_CHECK_INTERVAL", which is for Consul: the container's HEALTHCHECK is its state`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := publishing(test.container, test.publishes...)
			d := declared("DISCOVER", c.env, c.labels)
			d.readRegistrator(c, c.declaresPorts(false))
			require.Equal(t, test.want, describedAll(d))
			complained(t, d, test.complaints...)
			require.Equal(t, test.notes, d.notes)
		})
	}
}

// TestRegistratorsPorts: with the container's own address those that are only exposed count too, and in another
// container's network its own ones.
func TestRegistratorsPorts(t *testing.T) {
	c := publishing(container{exposed: exposing("1/tcp", "3/tcp")}, "1/tcp", "2/tcp")
	require.Equal(t, []port{{1, "tcp"}, {2, "tcp"}}, c.declaresPorts(false))
	require.Equal(t, []port{{1, "tcp"}, {2, "tcp"}, {3, "tcp"}}, c.declaresPorts(true))
	c.joins = true
	require.Equal(t, []port{{1, "tcp"}}, c.declaresPorts(false))
	require.Equal(t, []port{{1, "tcp"}, {3, "tcp"}}, c.declaresPorts(true))
}

// TestSameIDTwice: the container that announced an ID first keeps it, and the other is there when it ends.
func TestSameIDTwice(t *testing.T) {
	h := testHost()
	h.registrator = true
	c := publishing(container{image: "x", env: []string{"SERVICE_ID=same", "SERVICE_1_NAME=a", "SERVICE_2_NAME=a"}}, "1/tcp", "2/tcp")
	var ids []string
	for _, in := range h.instances(c, testAddresses).instances {
		require.Equal(t, "a", in.Service)
		ids = append(ids, in.ID)
	}
	require.Equal(t, []string{"same", "h:0123456789ab"}, ids)

	l := &lab{T: t, id: "same-id", ctx: t.Context()}
	registry := l.memory()
	looked := make(chan string, 10)
	a := newPublisher(publisherConfig{registry: registry, rest: restAfterLoss, again: func(container string) { looked <- container }, log: discardLog})
	defer a.detach()
	in := func(host string) []discovery.Instance {
		return []discovery.Instance{{Service: "a", ID: "same", Host: host, Ports: map[string]discovery.Port{"default": {Number: 1, Protocol: "tcp"}}, Metadata: map[string]string{containerKey: host}}}
	}
	require.Empty(t, a.want("first", in("one")))
	taken := a.want("second", in("two"))
	require.Len(t, taken, 1)
	require.ErrorContains(t, taken[0], "container one announces it under the same ID, same")
	l.announced(registry, "a", "same tcp://one:1")
	a.want("first", nil)
	require.Equal(t, "second", <-looked)
	require.Empty(t, a.want("second", in("two")))
	l.announced(registry, "a", "same tcp://two:1")
}

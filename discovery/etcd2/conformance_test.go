package etcd2

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/registrytest"
	"github.com/envharness/envharness/internal/testservers"
)

func TestConformance(t *testing.T) {
	conformance(t, "native", map[string]string{
		"/services/SERVICE/empty":       "",
		"/services/SERVICE/text":        "10.0.0.5:80",
		"/services/SERVICE/list":        "[]",
		"/services/SERVICE/null":        "null",
		"/services/SERVICE/ports":       `{"ports":{"http":"eighty"}}`,
		"/services/SERVICE/tags":        `{"tags":"blue"}`,
		"/services/SERVICE/dir/b":       `{}`,
		"/services/SERVICE/%zz":         `{}`,
		"/services/SERVICE/un%5Fescape": `{}`,
		"/services/%zz":                 `{}`,
	}, registrytest.Server{
		MinTTL: time.Second,
	})
}

func TestConformanceScalingo(t *testing.T) {
	conformance(t, "scalingo", map[string]string{
		"/services/SERVICE/empty":  "",
		"/services/SERVICE/text":   "10.0.0.5:80",
		"/services/SERVICE/null":   "null",
		"/services/SERVICE/number": `{"name":5}`,
		"/services/SERVICE/ports":  `{"name":"h","ports":{"http":"eighty"}}`,
		"/services/SERVICE/dir/b":  `{}`,
		"/services/file":           `{}`,
		"/services_infos/SERVICE":  `{`,
	}, registrytest.Server{
		MinTTL:     scalingoTTL,
		DefaultTTL: scalingoTTL,
		OwnIDs:     true,
		PlainNames: true,
		Count:      200,
		Watchers:   50,
		Fit: func(in discovery.Instance) discovery.Instance {
			in.Tags, in.Metadata, in.State = nil, nil, discovery.Passing
			if in.PrivateHost == "" {
				in.PrivateHost = in.Host
			}
			if len(in.PrivatePorts) == 0 {
				in.PrivatePorts = in.Ports
			}
			return in
		},
	})
}

// onePort is what the layouts of one port an instance can write.
func onePort(in discovery.Instance) discovery.Instance {
	fit := discovery.Instance{ID: in.ID, Service: in.Service, Host: in.Host, State: discovery.Passing}
	for _, port := range in.Ports {
		fit.Ports = map[string]discovery.Port{discovery.DefaultPort: port}
	}
	return fit
}

func TestConformanceTotem(t *testing.T) {
	conformance(t, "totem", map[string]string{
		"/service/SERVICE/r/h/empty": "",
		"/service/SERVICE/r/h/text":  "nonsense",
		"/service/SERVICE/r/h/port":  "tcp://10.0.0.5:eighty",
		"/service/SERVICE/r/short":   "tcp://10.0.0.5:80",
		"/service/SERVICE/r/h/l/o":   "tcp://10.0.0.5:80",
		"/service/file":              "tcp://10.0.0.5:80",
	}, registrytest.Server{
		MinTTL:     time.Second,
		PlainNames: true,
		Count:      200,
		Watchers:   50,
		Fit: func(in discovery.Instance) discovery.Instance {
			fit := onePort(in)
			fit.Metadata = map[string]string{"realm": "default"}
			return fit
		},
	})
}

func TestConformanceContainerPilot(t *testing.T) {
	conformance(t, "containerpilot", map[string]string{
		"/SERVICE/empty/service":  "",
		"/SERVICE/text/service":   "nonsense",
		"/SERVICE/port/service":   `{"port":"eighty"}`,
		"/SERVICE/file":           `{}`,
		"/SERVICE/other/child":    `{}`,
		"/SERVICE/deep/service/a": `{}`,
		"/file":                   `{}`,
	}, registrytest.Server{
		MinTTL:     time.Second,
		PlainNames: true,
		Count:      200,
		Watchers:   50,
		Fit: func(in discovery.Instance) discovery.Instance {
			fit := onePort(in)
			fit.Tags = in.Tags
			return fit
		},
	})
}

// conformance runs the suite over one layout, with a server of its own. malformed are keys and values below
// a prefix, SERVICE standing for a service.
func conformance(t *testing.T, layout string, malformed map[string]string, suite registrytest.Server) {
	server := testservers.DebianEtcd(t, "--enable-v2")
	dead := testservers.FreeAddress(t)
	at := func(address string) func(string) string {
		return func(prefix string) string { return "etcd2://" + address + "/" + prefix + "?layout=" + layout }
	}
	old := oldClient{server.Address}
	suite.Engine = Engine
	suite.URL = at(server.Address)
	suite.Kill, suite.Restart = server.Kill, server.Start
	switch layout {
	case "native": // what is long and the same for all layouts
		suite.Pause, suite.Resume = server.Pause, server.Resume
		suite.Wipe = server.Wipe
		fallthrough
	case "containerpilot": // whose directories no other layout has
		link := testservers.NewLink(t, server.Address)
		suite.FarURL, suite.Cut, suite.Mend = at(link.Address), link.Cut, link.Mend
	}
	suite.Compact = func(t testing.TB) { old.forgetHistory(t) }
	suite.Revoke = func(t testing.TB, prefix string) { old.revoke(t, "/"+prefix) }
	suite.Malform = func(t testing.TB, prefix, service string) {
		for key, value := range malformed {
			old.put(t, "/"+prefix+strings.ReplaceAll(key, "SERVICE", service), url.Values{"value": {value}})
		}
	}
	suite.DeniedURL = "etcd2://root:canary-d6b1f2-wrong@" + guardedEtcd(t).Address + "/denied?layout=" + layout
	suite.Several = true
	suite.DeadURL, suite.DeadAddress = "etcd2://"+dead+"/dead?timeout=2s&layout="+layout, dead
	registrytest.Run(t, suite)
}

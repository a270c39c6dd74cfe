package docker

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/testservers"
)

// long is a TTL that no test outlives.
const long = time.Hour

// TestRestart: a clean stop leaves all to its TTL, and the next start takes it over without a gap, under the
// same IDs; what died meanwhile is withdrawn, what others announce is left alone.
func TestRestart(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	registry := l.memory()
	keep := func(c *Config) { c.TTL = long }
	stays := l.run("stays:8080", publish("8080/tcp", ""))
	dies := l.run("dies:8080", publish("8080/tcp", ""))
	foreign, err := registry.Register(l.ctx, discovery.Instance{
		Service:  "dies",
		ID:       "host-of-another:0123456789ab",
		Host:     "10.0.0.6",
		Ports:    map[string]discovery.Port{"default": {Number: 80}},
		Metadata: map[string]string{"realm": "default"},
	}, long)
	require.NoError(t, err)
	defer foreign.Close()
	entry := func(id string) string { return fmt.Sprintf("%s tcp://10.0.0.5:%d", l.instanceID(id), l.port(id)) }
	others := "host-of-another:0123456789ab tcp://10.0.0.6:80"
	was, gone := entry(stays), entry(dies)

	first := l.export(registry, keep).follows()
	l.announced(registry, "stays", was)
	l.announced(registry, "dies", gone, others)
	watching := l.watch(registry, "stays")
	first.stop()
	require.Empty(t, first.Exported())
	l.kill(dies)
	starts := l.run("starts:8080", publish("8080/tcp", ""))
	l.announced(registry, "dies", gone, others)

	second := l.export(registry, keep)
	l.announced(registry, "dies", others)
	l.announced(registry, "starts", entry(starts))
	l.announced(registry, "stays", was)
	require.Len(t, second.Exported(), 2)
	l.start(dies)
	l.announced(registry, "dies", entry(dies), others)
	watching.noGap(t)
}

// TestKilled: an exporter that is killed leaves nothing for longer than its TTL, and comes back as it was.
func TestKilled(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	server := testservers.EmbeddedEtcd(t)
	url := "etcd://" + server.Address + "/killed"
	registry := l.open(url)
	id := l.run("web:8080", publish("8080/tcp", ""))
	exporter := l.process(process{RegistryURL: url, TTL: 3 * time.Second})
	want := fmt.Sprintf("%s tcp://10.0.0.5:%d", l.instanceID(id), l.port(id))
	l.announced(registry, "web", want)
	exporter.Kill(t)
	l.announced(registry, "web")
	exporter.Start(t)
	l.announced(registry, "web", want)

	// And at once again: the same entry, no second one, and never none, also when what was left has run out.
	exporter.Kill(t)
	quick := l.process(process{RegistryURL: url, TTL: 15 * time.Second, HostIP: "10.0.0.6"})
	want = strings.Replace(want, "10.0.0.5", "10.0.0.6", 1)
	l.announced(registry, "web", want) // it has taken over
	watching := l.watch(registry, "web")
	quick.Kill(t)
	quick.Start(t)
	time.Sleep(16 * time.Second) // past the TTL
	l.announced(registry, "web", want)
	watching.noGap(t)
	l.kill(id)
	l.announced(registry, "web")
}

// process runs an exporter that can be killed.
func (l *lab) process(p process) *testservers.Process {
	l.Helper()
	self, err := os.Executable()
	require.NoError(l, err)
	p.DockerURL, p.Variable, p.HostID, p.HostIP = l.url, l.variable, "host-"+l.id, cmp.Or(p.HostIP, "10.0.0.5")
	text, err := json.Marshal(p)
	require.NoError(l, err)
	command := func() *exec.Cmd {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), exporterVariable+"="+string(text))
		return cmd
	}
	return testservers.StartProcess(l, "exporter", command, func() error { return nil })
}

// TestRegistryAway: what starts and dies while the registry is away, is in it when it is back.
func TestRegistryAway(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	server := testservers.EmbeddedEtcd(t)
	registry := l.open("etcd://" + server.Address + "/away")
	exporter := l.export(l.open("etcd://"+server.Address+"/away"), func(c *Config) { c.TTL = 3 * time.Second }).follows()
	dies := l.run("web:8080", publish("8080/tcp", ""))
	stays := l.run("web:8080", publish("8080/tcp", ""))
	entry := func(id string) string { return fmt.Sprintf("%s tcp://10.0.0.5:%d", l.instanceID(id), l.port(id)) }
	l.announced(registry, "web", entry(dies), entry(stays))

	server.Kill(t)
	l.kill(dies)
	starts := l.run("web:8080", publish("8080/tcp", ""))
	l.eventually(func() error {
		if exported := exporter.Exported(); len(exported) != 2 || exported[0].Container == dies[:12] || exported[1].Container == dies[:12] {
			return fmt.Errorf("exported are %v", exported)
		}
		return nil
	})
	time.Sleep(6 * time.Second) // past the TTL, which nothing tells
	server.Start(t)
	l.announced(registry, "web", entry(stays), entry(starts))
}

// TestTakenOver: an exporter whose entries another one takes does not fight for them, but is there when the
// other is not.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	registry := l.memory()
	id := l.run("web:8080", publish("8080/tcp", ""))
	first := l.export(registry, func(c *Config) { c.restAfterLoss = 100 * time.Millisecond }).follows()
	at := func(ip string) string { return fmt.Sprintf("%s tcp://%s:%d", l.instanceID(id), ip, l.port(id)) }
	l.announced(registry, "web", at("10.0.0.5"))
	second := l.export(registry, func(c *Config) { c.HostIP, c.TTL = "10.0.0.6", 3*time.Second }).follows()
	first.says("level=ERROR", "cannot register", l.instanceID(id), "--host-id")
	l.announced(registry, "web", at("10.0.0.6"))
	time.Sleep(time.Second) // ten rests
	l.announced(registry, "web", at("10.0.0.6"))
	for line := range strings.Lines(second.logs.String()) { // containers of other tests are followed too, and may change hands
		require.False(t, strings.Contains(line, "level=ERROR") && strings.Contains(line, l.instanceID(id)), line)
	}
	second.stop()
	l.announced(registry, "web", at("10.0.0.5"))
}

// TestMissed: what no event told is found when everything is looked at.
func TestMissed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	registry := l.memory()
	exporter := l.export(registry, func(c *Config) { c.reconcileEvery = time.Second }).follows()
	id := l.run("web:8080", publish("8080/tcp", ""))
	entry := fmt.Sprintf("%s tcp://10.0.0.5:%d", l.instanceID(id), l.port(id))
	l.announced(registry, "web", entry)
	misled := func(service, container string, instances ...discovery.Instance) { // until that is seen, as a look may come between
		l.eventually(func() error {
			exporter.publisher.want(container, instances)
			snapshot, err := registry.Instances(l.ctx, service, discovery.Query{})
			if err == nil && len(snapshot.Instances) != len(instances) {
				err = fmt.Errorf("announced are %v", snapshot.Instances)
			}
			return err
		})
	}
	misled("web", id)
	l.announced(registry, "web", entry)
	misled("ghost", "no-such-container", discovery.Instance{Service: "ghost", ID: "x", Host: "h", Ports: map[string]discovery.Port{"default": {Number: 1}}})
	l.announced(registry, "ghost")
}

// TestLeavesNothing: when Run has returned, nothing of it goes on.
func TestLeavesNothing(t *testing.T) {
	l := newLab(t)
	l.run("web:8080", publish("8080/tcp", ""))
	before := goleak.IgnoreCurrent()
	registry := l.memory()
	exporter := l.export(registry).follows()
	require.Len(t, exporter.Exported(), 1)
	exporter.stop()
	require.NoError(t, registry.Close())
	l.eventually(func() error { return goleak.Find(before) })
}

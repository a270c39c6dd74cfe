package testservers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// consulVersion is what scripts/build-servers builds: tools/consul/go.mod says so, too.
const consulVersion = "v1.12.9"

// Consul is one Consul agent, which is the only server of its datacenter.
type Consul struct {
	*Process
	Address string // host:port of its HTTP API
	DNS     string // host:port of its DNS
	serf    string // host:port where other agents join
	data    string
}

// Wipe kills the server and starts it again with no data.
func (c *Consul) Wipe(t testing.TB) { t.Helper(); c.wiped(t, c.data) }

// ConsulBinary gives the path of the agent that scripts/build-servers built.
func ConsulBinary(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(cache, "envharness", "consul-"+consulVersion)
	if _, err := os.Stat(binary); err != nil {
		Missing(t, "Consul "+consulVersion, "scripts/build-servers")
	}
	return binary
}

// ConsulAgent starts a Consul agent. more is further configuration, a setting a key, such as acl.
func ConsulAgent(t testing.TB, more map[string]any) *Consul {
	t.Helper()
	settings := map[string]any{
		"server":      true,
		"bootstrap":   true,
		"performance": map[string]any{"raft_multiplier": 1},
	}
	maps.Copy(settings, more)
	return startConsul(t, settings)
}

// JoinConsul starts an agent that is no server, called name, in the datacenter of one that is.
func JoinConsul(t testing.TB, server *Consul, name string) *Consul {
	t.Helper()
	return startConsul(t, map[string]any{
		"node_name":  name,
		"retry_join": []string{server.serf},
	})
}

// ConsulTLS starts a Consul agent whose API takes TLS too, of clients with a certificate, at an address that it
// gives.
func ConsulTLS(t testing.TB, certificates Certificates) (agent *Consul, secure string) {
	t.Helper()
	port := FreePort(t)
	agent = startConsul(t, map[string]any{
		"ports": map[string]int{"https": port},
		"tls": map[string]any{"https": map[string]any{
			"ca_file":         certificates.CA,
			"cert_file":       certificates.ServerCert,
			"key_file":        certificates.ServerKey,
			"verify_incoming": true,
		}},
	}, "-dev")
	return agent, fmt.Sprintf("127.0.0.1:%d", port)
}

// ForgetfulConsul starts a Consul agent that keeps everything in memory: it is ready in no time, and a restart
// loses all.
func ForgetfulConsul(t testing.TB, more map[string]any) *Consul {
	t.Helper()
	return startConsul(t, more, "-dev")
}

func startConsul(t testing.TB, more map[string]any, arguments ...string) *Consul {
	t.Helper()
	binary := ConsulBinary(t)
	directory := filepath.Join(memoryDir(t), "data") // not made when the agent is a forgetful one
	ports := map[string]int{"https": -1, "serf_wan": -1, "grpc": -1}
	for _, name := range []string{"http", "dns", "server", "serf_lan"} {
		ports[name] = FreePort(t)
	}
	settings := map[string]any{
		"node_name":            "test",
		"data_dir":             directory,
		"bind_addr":            "127.0.0.1",
		"client_addr":          "127.0.0.1",
		"ports":                ports,
		"session_ttl_min":      "1s",
		"log_level":            "warn",
		"disable_update_check": true,
		"connect":              map[string]any{"enabled": false},
		"limits":               map[string]any{"http_max_conns_per_client": 10000}, // all tests come from one address
	}
	for key, value := range more {
		if key == "ports" {
			maps.Copy(ports, value.(map[string]int))
			continue
		}
		settings[key] = value
	}
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "agent.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	command := func() *exec.Cmd {
		command := exec.Command(binary, append([]string{"agent", "-config-file", file}, arguments...)...)
		command.Env = append(os.Environ(), "GOGC=400") // its memory is small and its garbage is much
		return command
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports["http"])
	return &Consul{
		Process: StartProcess(t, "Consul", command, leading(address, settings["node_name"].(string))),
		Address: address,
		DNS:     fmt.Sprintf("127.0.0.1:%d", ports["dns"]),
		serf:    fmt.Sprintf("127.0.0.1:%d", ports["serf_lan"]),
		data:    directory,
	}
}

// leading asks an agent for what only a leader that has caught up can answer, and that the agent's node is
// registered, without which nothing can be. An agent that wants a token has said enough.
func leading(address, node string) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/v1/health/node/"+node+"?consistent", nil)
		if err != nil {
			return err
		}
		response, err := noKeepAlive.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode == http.StatusForbidden {
			return nil
		}
		var checks []any
		if err := json.NewDecoder(response.Body).Decode(&checks); err != nil {
			return fmt.Errorf("%s: %w", response.Status, err)
		}
		if len(checks) == 0 && response.Header.Get("X-Consul-Default-Acl-Policy") != "deny" {
			return fmt.Errorf("the node is not registered")
		}
		return nil
	}
}

package testservers

import "testing"

// Registries start the real server of each engine and give its URL, by the engine's scheme: one line an engine. (The
// engine memory has no server, and dns is read only.)
var Registries = map[string]func(testing.TB) string{
	"consul": func(t testing.TB) string { return "consul://" + ConsulAgent(t, nil).Address },
	"etcd":   func(t testing.TB) string { return "etcd://" + EmbeddedEtcd(t).Address },
	"etcd2":  func(t testing.TB) string { return "etcd2://" + DebianEtcd(t, "--enable-v2").Address },
	"zk":     func(t testing.TB) string { return "zk://" + DebianZooKeeper(t).Address },
}

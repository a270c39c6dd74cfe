// Package discovery lets a process announce itself and lets others find it.
//
// A service's process is an [Instance]. It announces itself with [Registry.Register] and is gone,
// at the latest, a TTL after it died:
//
//	registry, err := engines.Open(ctx, "etcd://10.0.0.1/envharness")
//	registration, err := registry.Register(ctx, discovery.Instance{
//		Service: "web",
//		Host:    "10.0.0.5",
//		Ports:   map[string]discovery.Port{"http": {Number: 80}},
//	}, 0)
//	defer registration.Close()
//
// Another process finds it:
//
//	snapshot, err := registry.Instances(ctx, "web", discovery.Query{})
//	url, err := snapshot.URL("http", "/")
//
// # Engines
//
// What remembers is an [Engine]: etcd, Consul, ZooKeeper, DNS to read from, or the process itself for tests. An engine
// is chosen by a URL's scheme from one visible list, that of package discovery/engines. Every engine
// passes the suite of package discovery/registrytest, so what is promised here holds for each of them.
//
// # More than instances
//
// Values are an extra ability that a Registry has when it also implements [Values]; electing one
// among many, as a director needs, is [Elector].
//
// # Secrets
//
// Passwords are of type [Secret], which prints as xxxxx, and URLs in errors and logs have none.
package discovery

package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
)

// open opens a registry within this process; a program names its own, as etcd://10.0.0.1/envharness.
func open(ctx context.Context, name string) discovery.Registry {
	registry, err := engines.Open(ctx, "memory://"+name)
	if err != nil {
		log.Fatal(err)
	}
	return registry
}

// announce registers an instance and waits until it can be found.
func announce(ctx context.Context, registry discovery.Registry, in discovery.Instance, options ...discovery.RegisterOption) discovery.Registration {
	registration, err := registry.Register(ctx, in, 0, options...)
	if err != nil {
		log.Fatal(err)
	}
	if err := registration.WaitReady(ctx); err != nil {
		log.Fatal(err)
	}
	return registration
}

// web is the instance of that number.
func web(number int) discovery.Instance {
	return discovery.Instance{
		Service: "web",
		ID:      fmt.Sprintf("web-%d", number),
		Host:    fmt.Sprintf("10.0.0.%d", number),
		Ports:   map[string]discovery.Port{"http": {Number: 80}},
	}
}

func ExampleRegistry_register() {
	ctx := context.Background()
	registry := open(ctx, "register")
	defer registry.Close()

	registration, err := registry.Register(ctx, discovery.Instance{
		Service: "web",
		ID:      "web-host1-80",
		Host:    "10.0.0.5",
		Ports:   map[string]discovery.Port{"http": {Number: 80}},
	}, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer registration.Close() // withdraws

	if err := registration.WaitReady(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(registration.ID(), "lives for", registration.TTL(), "without this process")
	// Output: web-host1-80 lives for 10s without this process
}

func ExampleRegistry_all() {
	ctx := context.Background()
	registry := open(ctx, "all")
	defer registry.Close()
	announce(ctx, registry, web(1))
	failing := web(2)
	failing.State = discovery.Failing
	announce(ctx, registry, failing)

	for _, q := range []discovery.Query{{}, {All: true}} {
		snapshot, err := registry.Instances(ctx, "web", q)
		if err != nil {
			log.Fatal(err)
		}
		for _, in := range snapshot.Instances {
			fmt.Println(in.ID, in.State)
		}
	}
	// Output:
	// web-1 passing
	// web-1 passing
	// web-2 failing
}

func ExampleSnapshot_First() {
	ctx := context.Background()
	registry := open(ctx, "first")
	defer registry.Close()
	announce(ctx, registry, web(2))
	announce(ctx, registry, web(1))

	snapshot, err := registry.Instances(ctx, "web", discovery.Query{})
	if err != nil {
		log.Fatal(err)
	}
	first, err := snapshot.First()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(first.ID)

	nobody, err := registry.Instances(ctx, "mail", discovery.Query{})
	if err != nil {
		log.Fatal(err)
	}
	_, err = nobody.First()
	fmt.Println(errors.Is(err, discovery.ErrNoInstance))
	// Output:
	// web-1
	// true
}

func ExampleSnapshot_One() {
	ctx := context.Background()
	registry := open(ctx, "one")
	defer registry.Close()
	announce(ctx, registry, web(1))
	announce(ctx, registry, web(2))

	snapshot, err := registry.Instances(ctx, "web", discovery.Query{})
	if err != nil {
		log.Fatal(err)
	}
	chosen := map[string]bool{}
	for len(chosen) < 2 { // each by the same chance
		one, err := snapshot.One()
		if err != nil {
			log.Fatal(err)
		}
		chosen[one.ID] = true
	}
	fmt.Println(len(chosen))
	// Output: 2
}

func ExampleSnapshot_URL() {
	ctx := context.Background()
	registry := open(ctx, "url")
	defer registry.Close()
	announce(ctx, registry, discovery.Instance{
		Service:      "db",
		Host:         "fd00::5",
		Ports:        map[string]discovery.Port{"postgresql": {Number: 5432}},
		PrivateHost:  "db.internal",
		PrivatePorts: map[string]discovery.Port{"postgresql": {Number: 15432}},
		User:         "app",
		Password:     "a/b",
	})

	snapshot, err := registry.Instances(ctx, "db", discovery.Query{})
	if err != nil {
		log.Fatal(err)
	}
	public, err := snapshot.URL("postgresql", "/orders?sslmode=require")
	if err != nil {
		log.Fatal(err)
	}
	private, err := snapshot.PrivateURL("postgresql", "/orders")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(public)
	fmt.Println(private)
	// Output:
	// postgresql://app:a%2Fb@[fd00::5]:5432/orders?sslmode=require
	// postgresql://app:a%2Fb@db.internal:15432/orders
}

func ExampleQuery_shard() {
	ctx := context.Background()
	registry := open(ctx, "shard")
	defer registry.Close()
	for number, shard := range []string{"eu", "us"} {
		in := web(number)
		in.Shard = shard
		announce(ctx, registry, in)
	}

	snapshot, err := registry.Instances(ctx, "web", discovery.Query{Shard: "us"})
	if err != nil {
		log.Fatal(err)
	}
	url, err := snapshot.URL("http", "/")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(url)

	nobody, err := registry.Instances(ctx, "web", discovery.Query{Shard: "asia"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = nobody.URL("http", "/")
	fmt.Println(err)
	// Output:
	// http://10.0.0.1:80/
	// cannot find "web": no instance on this shard "asia"
}

func ExampleSubscribeNew() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	registry := open(ctx, "subscribe")
	defer registry.Close()

	up, err := discovery.SubscribeNew(ctx, registry, "web")
	if err != nil {
		log.Fatal(err)
	}
	registration := announce(ctx, registry, web(1))
	fmt.Println("up:", (<-up).ID)

	down, err := discovery.SubscribeDown(ctx, registry, "web")
	if err != nil {
		log.Fatal(err)
	}
	if err := registration.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("down:", (<-down).ID)
	// Output:
	// up: web-1
	// down: web-1
}

func ExampleSyncCredentials() {
	ctx := context.Background()
	registry := open(ctx, "credentials")
	defer registry.Close()

	first := announce(ctx, registry, withPassword(web(1), "old"), discovery.SyncCredentials)
	_, changes := first.Credentials()

	// A second instance comes with another password: it is that of both now.
	announce(ctx, registry, withPassword(web(2), "new"), discovery.SyncCredentials)
	changed := <-changes
	fmt.Println(changed.User, string(changed.Password)) // a Secret prints as xxxxx
	fmt.Println(changed.Password)
	// Output:
	// app new
	// xxxxx
}

func withPassword(in discovery.Instance, password string) discovery.Instance {
	in.User, in.Password = "app", discovery.Secret(password)
	return in
}

func ExampleRegistry_watch() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	registry := open(ctx, "watch")
	defer registry.Close()

	snapshots, err := registry.Watch(ctx, "web", discovery.Query{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len((<-snapshots).Instances))
	announce(ctx, registry, web(1))
	fmt.Println(len((<-snapshots).Instances))
	// Output:
	// 0
	// 1
}

func ExampleValues() {
	ctx := context.Background()
	registry := open(ctx, "values")
	defer registry.Close()

	values, ok := registry.(discovery.Values)
	if !ok {
		log.Fatal("this engine keeps no values")
	}
	if err := values.Put(ctx, "DATABASE_URL", []byte("postgresql://db/orders"), 0); err != nil {
		log.Fatal(err)
	}
	value, err := values.Get(ctx, "DATABASE_URL")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(value))
	// Output: postgresql://db/orders
}

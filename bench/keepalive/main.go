// Command keepalive is the floor of a held registration in Go: etcd's own client, a lease that is kept alive, a key on
// it, and nothing else.
//
//	keepalive ADDRESS
package main

import (
	"context"
	"log"
	"os"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

func main() {
	if err := keep(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func keep(ctx context.Context, address string) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer client.Close()
	lease, err := client.Grant(ctx, 10)
	if err != nil {
		return err
	}
	if _, err := client.Put(ctx, "/floor", "{}", clientv3.WithLease(lease.ID)); err != nil {
		return err
	}
	alive, err := client.KeepAlive(ctx, lease.ID)
	if err != nil {
		return err
	}
	for range alive {
	}
	return nil
}

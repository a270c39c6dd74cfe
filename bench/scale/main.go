//go:build linux

// Command scale measures a cluster of three etcd members, each in a network namespace of its own, that many instances
// register with and many watchers follow: by package discovery, and by plain code on etcd's own client beside it.
// `make bench-scale` runs it, as root. It writes figures as JSON, which `scale page` makes a page and its plots of.
//
//	scale run [FLAG...]           measures; see -h
//	scale page FIGURES DIRECTORY  rewrites the generated part of DIRECTORY/scale.md, and its plots
//
// It starts itself as the members, as a process that registers and as one that watches.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	log.SetFlags(log.Ltime)
	log.SetPrefix("scale: ")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := dispatch(ctx, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: scale run [FLAG...] | scale page FIGURES DIRECTORY")
	}
	switch role := args[0]; {
	case role == "run":
		return start(ctx, args[1:])
	case role == "inside":
		return measure(ctx, args[1:])
	case role == "member" && len(args) == 4:
		return member(args[1], args[2], args[3])
	case role == "load" && len(args) == 2:
		return asChild(ctx, args[1], newLoad)
	case role == "watch" && len(args) == 2:
		return asChild(ctx, args[1], newWatch)
	case role == "page" && len(args) == 3:
		return page(args[1], args[2])
	}
	return fmt.Errorf("scale: there is no %q", args)
}

// Package registryd is the registry of one machine: an embedded etcd behind one front, which answers etcd's
// own protocol, plain HTTP and a page for people on the same port. It also stands in front of an etcd that is
// there already.
//
// The common case:
//
//	server, err := registryd.Start(ctx, registryd.Options{Data: "/var/lib/envdiscoverd"})
//	...
//	err = server.Wait(ctx) // until ctx ends or etcd fails
//	server.Close()
//
// # Data
//
// Values and instances are kept in the native layout under the prefix envharness, so that envdiscover and
// every client of package discovery see what HTTP wrote, and the other way round.
//
// # Who gets in
//
// Loopback and unix sockets are trusted, and with Containers so are this machine's containers, as one trust
// domain. Any other address needs Auth and a certificate, or Insecure. With Auth every call goes to etcd as its
// caller: the registry itself has no rights of its own.
//
// # Values are secrets
//
// A value is never in a log, a metric, an error or the page, until somebody asks for that value.
package registryd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
	"github.com/envharness/envharness/internal/failure"
	"github.com/envharness/envharness/registryd/listen"
	"github.com/envharness/envharness/registryd/node"
)

// DefaultPort is where the registry is found: HARNESS.md's DOCKERD offers it to containers.
const DefaultPort = 7171

// finishTime is how long calls under way may go on when the server stops, before they are cut.
const finishTime = 2 * time.Second

// tuning is of the embedded etcd; tests have it otherwise.
var tuning node.Tuning

// Options say what a Server serves, where and for whom.
type Options struct {
	// Data is the directory of the embedded etcd. It is made if need be, with mode 0700; one that is there
	// already must belong to this user and be closed to others.
	Data string

	// Etcd is the URL of an etcd to stand in front of, etcd:// or etcds://HOSTS/PREFIX, in place of Data. It
	// has no login: callers bring their own.
	Etcd string

	// Listen are addresses as HOST:PORT, or unix:PATH. None: loopback at DefaultPort.
	Listen []string

	// Listeners are open already, as by systemd, and are served too. The Server closes them.
	Listeners []net.Listener

	// Containers also serves the containers on this machine's Docker bridges, at the port of the first TCP
	// address of Listen, else at DefaultPort.
	Containers bool

	// Bridges are the bridges of a Docker engine that gave them names of its own (dockerd --bridge), beside
	// docker0 and br-….
	Bridges []string

	// Auth asks every caller for a user of etcd.
	Auth bool

	// Insecure allows addresses off loopback without Auth or without a certificate.
	Insecure bool

	// Cert and Key are PEM files, read anew when they change; TCP addresses of Listen then speak TLS. With CA,
	// a PEM file, clients need a certificate of it.
	Cert, Key, CA string

	// Hosts are further names that browsers may know this server by.
	Hosts []string

	// Log gets what an operator should know; slog.Default when nil.
	Log *slog.Logger

	times times // usualTimes when zero
}

// Server is a registry that serves. It is an http.Handler too: of a caller that is trusted as loopback is.
type Server struct {
	options   Options
	node      node.Node
	handler   *handler
	http      *http.Server
	listeners *listen.Listeners

	finishTime time.Duration // for calls under way, when it stops
	closing    sync.Once
	failed     chan error
}

// Start opens the data, listens, and serves from then on. ctx is for the start alone, and its error is told when
// it ends; the caller closes the Server.
func Start(ctx context.Context, options Options) (_ *Server, err error) {
	if options.Log == nil {
		options.Log = slog.Default()
	}
	if len(options.Listen) == 0 && len(options.Listeners) == 0 {
		options.Listen = []string{fmt.Sprintf("127.0.0.1:%d", DefaultPort)}
	}
	if options.times == (times{}) {
		options.times = usualTimes
	}
	if err := options.check(); err != nil {
		return nil, err
	}
	s := &Server{options: options, finishTime: finishTime, failed: make(chan error, 1)}
	if s.listeners, err = listen.Open(options.listen()); err != nil { // before etcd: a mistake is told at once
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		s.listeners.Close()
		return nil, err
	}
	s.serve()
	return s, nil
}

// open starts or reaches etcd and puts the handler before it.
func (s *Server) open(ctx context.Context) (err error) {
	prefix := layout.DefaultPrefix
	if s.options.Etcd != "" {
		s.node, prefix, err = node.OpenExternal(s.options.Etcd, s.options.Log)
	} else {
		s.node, err = node.OpenEmbedded(ctx, s.options.Data, tuning, s.options.Log)
	}
	if err != nil {
		return err
	}
	s.handler = newHandler(s.options, s.node, layout.Native(prefix), s.listeners)
	return nil
}

func (s *Server) serve() {
	s.http = newHTTPServer(s.handler, s.options.Log)
	s.listeners.Serve(s.http, s.fail)
	if failed := s.node.Failed(); failed != nil {
		go func() {
			if err, ok := <-failed; ok {
				s.fail(err)
			}
		}()
	}
}

// fail ends Wait.
func (s *Server) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// Addresses are where the server listens, as Listen has them; bridges of containers are not among them.
func (s *Server) Addresses() []string { return s.listeners.Addresses() }

// ServeHTTP answers a request as one from loopback.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Wait blocks until ctx ends, which gives nil, or the server cannot go on.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// Close stops listening, lets calls under way finish for two seconds, and closes etcd. It may be called twice.
func (s *Server) Close() {
	s.closing.Do(func() {
		s.listeners.Close()
		s.handler.close()
		ctx, cancel := context.WithTimeout(context.Background(), s.finishTime)
		defer cancel()
		if s.http.Shutdown(ctx) != nil {
			s.http.Close()
		}
		s.node.Close()
	})
}

// check refuses options that do not fit together.
func (o Options) check() error {
	switch {
	case (o.Data == "") == (o.Etcd == ""):
		return failure.Misuse("give --data DIR, or --etcd URL", "a registry has either a data directory or the URL of an etcd")
	case strings.ContainsFunc(o.Data, unicode.IsControl):
		return failure.Misuse("give a directory of another name", "--data %q: no data are kept in a directory whose name has control characters", o.Data)
	case (o.Cert == "") != (o.Key == ""):
		return failure.Misuse("give --cert FILE and --key FILE", "a certificate and its key go together")
	case o.CA != "" && o.Cert == "":
		return failure.Misuse("give --cert FILE and --key FILE beside --ca", "certificates of clients need a certificate of the server")
	}
	for _, name := range o.Hosts {
		if !discovery.IsHost(name) {
			return failure.Misuse("write the name alone, as in a browser's address: registry.example", "--host %q is no name of a host", name)
		}
	}
	return listen.Check(o.Listen, o.Bridges)
}

// listen are the options of package listen.
func (o Options) listen() listen.Options {
	return listen.Options{
		Listen: o.Listen, Listeners: o.Listeners,
		Containers: o.Containers, Bridges: o.Bridges, Port: DefaultPort,
		Auth: o.Auth, Insecure: o.Insecure,
		Cert: o.Cert, Key: o.Key, CA: o.CA,
		Log: o.Log,
	}
}

// Error is a failure that an operator can do something about.
type Error = failure.Error

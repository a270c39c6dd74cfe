package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/failure"
	"github.com/envharness/envharness/internal/sdnotify"
	"github.com/envharness/envharness/registryd"
)

// The exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

// run does what the command line says and gives the exit code.
func run(args []string) int {
	line := commandLine()
	err := line.Run(args)
	if err == nil {
		return 0
	}
	line.Report(explain(err))
	return exitCode(err)
}

func exitCode(err error) int {
	if cli.IsMisuse(err) || isBadURL(err) {
		return exitUsage
	}
	return exitFailure
}

// isBadURL tells that a URL of --etcd or --registry names no registry.
func isBadURL(err error) bool {
	return errors.Is(err, discovery.ErrInvalid) || errors.Is(err, discovery.ErrUnknownEngine)
}

// explain adds the next step to an error that has none.
func explain(err error) error {
	if !isBadURL(err) || failure.Hint(err) != "" {
		return err
	}
	return &failure.Error{Problem: err.Error(), Next: "write it as etcd://HOST:2379/PREFIX; the URLs of other registries, for --registry: envdiscover engines", Err: err}
}

func commandLine() *cli.Program {
	var options registryd.Options
	docker := newExporting()
	return &cli.Program{
		Name:   "envdiscoverd",
		Prefix: "ENVDISCOVERD",
		Main: cli.Command{
			About:   "Keeps one machine's values and services, by etcd v3, HTTP and a page.",
			Example: "envdiscoverd --containers --docker",
			Notes:   "Every option has a variable, as ENVDISCOVERD_DATA. Exit: 0, 1 failure, 2 usage.",
			Options: append(registryOptions(&options), docker.options()...),
			Run: func(c *cli.Call) error {
				slog.SetDefault(c.Log)
				if err := docker.check(c); err != nil {
					return err
				}
				return serve(docker, complete(options, c.Log))
			},
		},
		Topics:   topics(),
		LogTopic: topicLog,
		LogLevel: "info",
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
		Lookup:   os.LookupEnv,
	}
}

// serve runs the registry until a signal ends it.
func serve(docker *exporting, options registryd.Options) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var err error
	if options.Listeners, err = activated(); err != nil {
		return err
	}
	server, err := registryd.Start(ctx, options)
	if err != nil && ctx.Err() != nil {
		options.Log.Info("stopped while starting")
		return nil
	}
	if err != nil {
		return err
	}
	defer server.Close()
	exporter, err := docker.exporter(options.Log, ownURL(server, options))
	if err != nil {
		return err
	}
	stopExport := export(exporter)
	options.Log.Info("memory", "limit", limitMemory())
	announce(server, options)
	err = server.Wait(ctx)
	tellSystemd("STOPPING=1")
	stopExport()
	server.Close()
	if err != nil {
		return fmt.Errorf("the registry ended: %w", err)
	}
	options.Log.Info("stopped")
	return nil
}

// activated takes the sockets that systemd has opened, if it has.
func activated() ([]net.Listener, error) {
	listeners, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("cannot take the sockets that systemd opened: %w", err)
	}
	if slices.ContainsFunc(listeners, isNoStream) {
		return nil, &failure.Error{
			Problem: "systemd passed a socket that is none to listen at",
			Next:    "use ListenStream= in the socket unit",
		}
	}
	return listeners, nil
}

// isNoStream finds sockets that nobody connects to: some of them are no net.Listener, others only look like one.
func isNoStream(l net.Listener) bool {
	return l == nil || !slices.Contains([]string{"tcp", "unix"}, l.Addr().Network())
}

// announce tells people and systemd that the registry serves.
func announce(server *registryd.Server, options registryd.Options) {
	for _, address := range server.Addresses() {
		options.Log.Info("serving", "address", address)
	}
	if options.Containers {
		options.Log.Info("serving this machine's containers: all of them may read and write everything, as one trust domain")
	}
	if options.Insecure {
		options.Log.Warn("--insecure: whoever reaches these addresses may read and write what credentials or TLS do not keep from them")
	}
	tellSystemd("READY=1")
}

// tellSystemd does nothing without systemd; if that cannot be told, it will say so itself.
func tellSystemd(state string) {
	if address := os.Getenv(sdnotify.Variable); address != "" {
		_ = sdnotify.Tell(address, state)
	}
}

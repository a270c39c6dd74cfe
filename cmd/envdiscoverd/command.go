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
	"github.com/coreos/go-systemd/v22/daemon"
	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/buildinfo"
	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/registryd"
)

const (
	usage  = "envdiscoverd [OPTION...]"
	prefix = "ENVDISCOVERD" // of the variables that options are read from
)

// The exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

// run does what the command line says and gives the exit code.
func run(args []string) int {
	report := cli.Reporter{Program: "envdiscoverd", W: os.Stderr, JSON: os.Getenv(prefix+"_LOG_FORMAT") == cli.LogJSON}
	flags := allFlags()
	app := cli.New("envdiscoverd", usage, flags, func(c *urfave.Context) error {
		switch {
		case c.Bool("help"):
			return help(os.Stdout, flags, c.Args().First())
		case c.Bool("version"):
			_, err := fmt.Printf("envdiscoverd %s\n", buildinfo.String())
			return err
		case c.NArg() > 0:
			return &cli.UsageError{Problem: fmt.Sprintf("unexpected argument %q", c.Args().First()), Usage: usage}
		}
		if err := cli.FromVariables(c, prefix, os.LookupEnv); err != nil {
			return err
		}
		report.JSON = c.String("log-format") == cli.LogJSON
		log, err := cli.NewLogger(os.Stderr, "envdiscoverd", c.String("log-level"), c.String("log-format"))
		if err != nil {
			return &cli.UsageError{Problem: err.Error(), Usage: usage}
		}
		slog.SetDefault(log)
		if err := checkExporter(c); err != nil {
			return err
		}
		return serve(c, readOptions(c, log))
	})
	err := app.Run(append([]string{"envdiscoverd"}, args...))
	if err == nil {
		return 0
	}
	report.Report(hinted(err))
	if errors.As(err, new(*cli.UsageError)) {
		return exitUsage
	}
	return exitFailure
}

// hinted finds the hint of an error that was wrapped.
func hinted(err error) error {
	var e interface {
		error
		Hint() string
	}
	if errors.As(err, &e) {
		return e
	}
	if hint := discovery.Hint(err); hint != "" {
		return &registryd.Error{Problem: err.Error(), Next: hint}
	}
	return err
}

// serve runs the registry until a signal ends it.
func serve(c *urfave.Context, options registryd.Options) error {
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
	exporter, err := newExporter(c, options.Log, ownURL(server, options))
	if err != nil {
		return err
	}
	stopExport := export(exporter)
	options.Log.Info("memory", "limit", limitMemory())
	announce(server, options)
	err = server.Wait(ctx)
	tellSystemd(daemon.SdNotifyStopping)
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
		return nil, &registryd.Error{
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
	tellSystemd(daemon.SdNotifyReady)
}

// tellSystemd does nothing without systemd; if that cannot be told, it will say so itself.
func tellSystemd(state string) { _, _ = daemon.SdNotify(false, state) }

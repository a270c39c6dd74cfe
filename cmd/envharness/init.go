package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// readInitOptions turns the options of --init into the harness's.
func readInitOptions(c *urfave.Context) (o harness.InitOptions, err error) {
	o = harness.DefaultInitOptions()
	onChange := string(o.OnChange)
	for name, target := range map[string]any{
		"init":              &o.Enabled,
		"grace":             &o.Grace,
		"group":             &o.Group,
		"refresh":           &o.Refresh,
		"on-change":         &onChange,
		"change-delay":      &o.Delay,
		"write":             &o.Write,
		"ready":             &o.Ready,
		"health":            &o.Health,
		"health-interval":   &o.HealthInterval,
		"health-failures":   &o.HealthFailures,
		"export-when-ready": &o.ExportWhenReady,
		"socket":            &o.Socket,
	} {
		cli.Read(c, name, target)
	}
	if !o.Enabled {
		return o, needsInit(c)
	}
	for _, name := range []string{"grace", "refresh", "change-delay"} {
		if c.Duration(name) < 0 {
			return o, usageError(c, "--%s cannot be negative", name)
		}
	}
	if o.HealthInterval <= 0 || o.HealthFailures < 1 {
		return o, usageError(c, "--health-interval and --health-failures must be more than 0")
	}
	if err := readSignals(c, &o); err != nil {
		return o, err
	}
	if o.ExpectExit, err = exitCodes(commaSeparated(c.StringSlice("expect-exit"))); err != nil {
		return o, usageError(c, "--expect-exit: %v", err)
	}
	if path, isExec := strings.CutPrefix(onChange, string(harness.ChangeExec)+"="); isExec {
		if o.OnChange, o.Exec = harness.ChangeExec, path; !strings.Contains(path, "/") {
			return o, usageError(c, "--on-change: %q is no path: write ./%s for a file here", path, path)
		}
	} else if o.OnChange, o.Signal, err = changePolicy(onChange); err != nil {
		return o, usageError(c, "--on-change: %v", err)
	}
	return o, nil
}

func readSignals(c *urfave.Context, o *harness.InitOptions) error {
	for _, word := range commaSeparated(c.StringSlice("stop-signal")) {
		sig, err := parseSignal(word)
		if err != nil {
			return usageError(c, "--stop-signal: %v", err)
		}
		o.StopSignals = append(o.StopSignals, sig)
	}
	o.SignalMap = map[syscall.Signal]syscall.Signal{}
	for _, word := range commaSeparated(c.StringSlice("signal-map")) {
		from, to, err := parseSignalPair(word)
		if err != nil {
			return usageError(c, "--signal-map: %v", err)
		}
		o.SignalMap[from] = to
	}
	if word := c.String("parent-death-signal"); word != "" {
		sig, err := parseSignal(word)
		if err != nil {
			return usageError(c, "--parent-death-signal: %v", err)
		}
		o.ParentDeathSignal = sig
	}
	return nil
}

// parseSignal reads a signal by name, with or without SIG, or by number; real-time ones as RTMIN+3 or RTMAX-1.
func parseSignal(word string) (syscall.Signal, error) {
	name := strings.TrimPrefix(strings.ToUpper(word), "SIG")
	if n, err := strconv.Atoi(name); err == nil {
		if n < 1 || n > 64 {
			return 0, fmt.Errorf("%q is no signal: numbers go from 1 to 64", word)
		}
		return syscall.Signal(n), nil
	}
	if sig := unix.SignalNum("SIG" + name); sig != 0 {
		return sig, nil
	}
	if sig := realTimeSignal(name); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("%q is no signal: write its name (TERM) or number (15)", word)
}

func realTimeSignal(name string) syscall.Signal {
	const least, most = 34, 64
	for prefix, base := range map[string]int{"RTMIN": least, "RTMAX": most} {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		offset, err := strconv.Atoi(rest)
		if rest != "" && err != nil {
			continue
		}
		if n := base + offset; least <= n && n <= most {
			return syscall.Signal(n)
		}
	}
	return 0
}

func parseSignalPair(word string) (from, to syscall.Signal, err error) {
	left, right, found := strings.Cut(word, "=")
	if !found {
		return 0, 0, fmt.Errorf("%q is not SIG=SIG, or SIG=0 to drop it", word)
	}
	if from, err = parseSignal(left); err != nil || right == "0" {
		return from, 0, err
	}
	to, err = parseSignal(right)
	return from, to, err
}

// exitCodes reads CODE=CODE; a CODE alone means 0.
func exitCodes(words []string) (map[int]int, error) {
	codes := map[int]int{}
	for _, word := range words {
		left, right, found := strings.Cut(word, "=")
		if !found {
			right = "0"
		}
		from, err1 := strconv.ParseUint(left, 10, 8)
		to, err2 := strconv.ParseUint(right, 10, 8)
		if errors.Join(err1, err2) != nil {
			return nil, fmt.Errorf("%q is not CODE=CODE with numbers from 0 to 255", word)
		}
		codes[int(from)] = int(to)
	}
	return codes, nil
}

func changePolicy(word string) (harness.ChangePolicy, syscall.Signal, error) {
	policy, name, hasSignal := strings.Cut(word, "=")
	if policy == string(harness.ChangeSignal) && hasSignal {
		sig, err := parseSignal(name)
		return harness.ChangeSignal, sig, err
	}
	switch p := harness.ChangePolicy(word); p {
	case harness.ChangeRestart, harness.ChangeExit, harness.ChangeNone:
		return p, 0, nil
	}
	return "", 0, fmt.Errorf("%q is not restart, signal=SIG, exec=PATH, exit or none", word)
}

// askCommand is one of the subcommands that talk to a running harness.
func askCommand(signals *harness.Signals, request, summary, about string) subcommand {
	flags := []urfave.Flag{
		&urfave.StringFlag{Name: "socket", Category: string(asking), Usage: "`PATH`: reach the harness there", Value: harness.DefaultSocket},
	}
	usage := "envharness " + request + " [--socket PATH]"
	if request == harness.RequestStatus {
		flags = append(flags, &urfave.StringFlag{Name: "format", Category: inUsage})
		usage += " [--format json|prometheus]"
		about += " With --format prometheus it is for the textfile collector of the node exporter."
	}
	return subcommand{
		usage:   usage,
		summary: summary,
		about:   about + " It talks to a harness that runs with --init in this container, and exits 125 when there is none.",
		flags:   flags,
		options: []topic{reporting},
		run: func(c *urfave.Context, _ harness.Options) error {
			if c.NArg() > 0 {
				return usageError(c, "%s takes no arguments", request)
			}
			format := "json"
			cli.Read(c, "format", &format)
			if format != "json" && format != "prometheus" {
				return usageError(c, "unknown format %q: known are json and prometheus", format)
			}
			signals.EndProcess()
			socket := harness.DefaultSocket
			cli.Read(c, "socket", &socket)
			status, err := harness.Ask(socket, request)
			if len(status) > 0 {
				os.Stdout.Write(inFormat(format, status))
			}
			return err
		},
	}
}

// inFormat is a status as it is shown.
func inFormat(format string, status []byte) []byte {
	var s harness.Status
	if format == "prometheus" && json.Unmarshal(status, &s) == nil {
		return s.Prometheus()
	}
	return append(status, '\n')
}

const (
	asking  topic = "socket"
	inUsage       = "usage" // of what a subcommand's usage and text say
)

// needsInit refuses options, given on the command line, that have no meaning without --init. Variables may
// well be set for all images alike.
func needsInit(c *urfave.Context) error {
	for _, f := range flagsOf(c.App.Flags, []topic{initOptions, changes, readiness}) {
		name := f.Names()[0]
		if name != "init" && c.IsSet(name) && os.Getenv(cli.Variable(prefix, name)) == "" {
			return usageError(c, "--%s works with --init only", name)
		}
	}
	return nil
}

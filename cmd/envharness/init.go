package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// readInit is the options of --init. It refuses what cannot be meant.
func (s *settings) readInit(c *cli.Call) (o harness.InitOptions, err error) {
	o = s.Init
	if !o.Enabled {
		return o, s.needsInit(c)
	}
	if o.HealthInterval <= 0 || o.HealthFailures < 1 {
		return o, c.Misuse("--health-interval and --health-failures must be more than 0")
	}
	if err := checkProbes(c, o); err != nil {
		return o, err
	}
	if err := s.readSignals(c, &o); err != nil {
		return o, err
	}
	if o.ExpectExit, err = exitCodes(commaSeparated(s.expectExit)); err != nil {
		return o, c.Misuse("--expect-exit: %v", err)
	}
	if path, isExec := strings.CutPrefix(s.onChange, string(harness.ChangeExec)+"="); isExec {
		if path == "" {
			return o, c.Misuse("--on-change: exec= names no executable")
		}
		if o.OnChange, o.Exec = harness.ChangeExec, path; !strings.Contains(path, "/") {
			return o, c.Misuse("--on-change: %q is no path: write ./%s for a file here", path, path)
		}
	} else if o.OnChange, o.Signal, err = changePolicy(s.onChange); err != nil {
		return o, c.Misuse("--on-change: %v", err)
	}
	return o, nil
}

// checkProbes refuses words that are no path: they would be looked for in the directory that the harness happens to
// run in, and a misspelt notify would never be ready.
func checkProbes(c *cli.Call, o harness.InitOptions) error {
	if o.Ready != "" && o.Ready != harness.ReadyNotify && !strings.Contains(o.Ready, "/") {
		return c.Misuse("--ready: %q is neither notify nor a path: write ./%s for a file here", o.Ready, o.Ready)
	}
	if o.Health != "" && !strings.Contains(o.Health, "/") {
		return c.Misuse("--health: %q is no path: write ./%s for a file here", o.Health, o.Health)
	}
	return nil
}

func (s *settings) readSignals(c *cli.Call, o *harness.InitOptions) error {
	for _, word := range commaSeparated(s.stopSignals) {
		sig, err := parseForwarded(word)
		if err != nil {
			return c.Misuse("--stop-signal: %v", err)
		}
		o.StopSignals = append(o.StopSignals, sig)
	}
	o.SignalMap = map[syscall.Signal]syscall.Signal{}
	for _, word := range commaSeparated(s.signalMap) {
		from, to, err := parseSignalPair(word)
		if err != nil {
			return c.Misuse("--signal-map: %v", err)
		}
		o.SignalMap[from] = to
	}
	if s.parentDeathSignal == "" {
		return nil
	}
	sig, err := parseSignal(s.parentDeathSignal)
	if err != nil {
		return c.Misuse("--parent-death-signal: %v", err)
	}
	o.ParentDeathSignal = sig
	return nil
}

// needsInit refuses options, given on the command line, that have no meaning without --init. Variables may
// well be set for all images alike.
func (s *settings) needsInit(c *cli.Call) error {
	for _, o := range s.options(initOptions, changes, readiness) {
		if o.Name != "init" && c.Said(o.Name) {
			return c.Misuse("--%s works with --init only", o.Name)
		}
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

// parseForwarded reads a signal that the harness is to act on.
func parseForwarded(word string) (syscall.Signal, error) {
	sig, err := parseSignal(word)
	if err == nil && !harness.CanForward(sig) {
		err = fmt.Errorf("%q never reaches the harness: envharness --help init names what does not", word)
	}
	return sig, err
}

func realTimeSignal(name string) syscall.Signal {
	const least, most = 34, 64
	rest, fromLeast := strings.CutPrefix(name, "RTMIN")
	base := least
	if !fromLeast {
		var fromMost bool
		if rest, fromMost = strings.CutPrefix(name, "RTMAX"); !fromMost {
			return 0
		}
		base = most
	}
	offset, err := strconv.Atoi(rest)
	if n := base + offset; (rest == "" || err == nil) && least <= n && n <= most {
		return syscall.Signal(n)
	}
	return 0
}

func parseSignalPair(word string) (from, to syscall.Signal, err error) {
	left, right, found := strings.Cut(word, "=")
	if !found {
		return 0, 0, fmt.Errorf("%q is not SIG=SIG, or SIG=0 to drop it", word)
	}
	if from, err = parseForwarded(left); err != nil || right == "0" {
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

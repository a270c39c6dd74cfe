//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// watch appends a line to LOG when it starts, with the variables NAME, and one for each signal it gets, by name. It
// exits at the signals that -exit names.
func watch(args []string) {
	flags := flag.NewFlagSet("watch", flag.ExitOnError)
	word := flags.String("word", "", "first in each line")
	exit := flags.String("exit", "TERM=0", "SIGNAL=CODE,... that end it")
	lock := flags.String("lock", "", "file that only one process may hold at a time")
	until := flags.String("until", "", "file that must be there before it exits")
	ready := flags.Bool("ready", false, "say READY=1 when it watches")
	last := flags.String("last", "", "message of sd_notify(3) that it sends when it exits")
	check(flags.Parse(args))
	log := openLog(flags.Arg(0), *word)

	arrived := make(chan os.Signal, 1024)
	signal.Notify(arrived, watched()...)
	if *lock != "" && !takeLock(*lock) {
		log("overlap")
		os.Exit(98)
	}
	start := []string{"start"}
	for _, name := range flags.Args()[1:] {
		start = append(start, name+"="+os.Getenv(name))
	}
	log(strings.Join(start, " "))
	if *ready {
		notify("READY=1")
	}
	codes := exitCodes(*exit)
	for sig := range arrived {
		log(nameOf(sig.(unix.Signal)))
		code, ends := codes[nameOf(sig.(unix.Signal))]
		if !ends {
			continue
		}
		for *until != "" && errors.Is(unix.Access(*until, unix.F_OK), unix.ENOENT) {
			time.Sleep(2 * time.Millisecond)
		}
		if *last != "" {
			send(notifySocket(), *last, false)
		}
		os.Exit(code)
	}
}

// watched are all signals that can be caught. The runtime uses URG itself, unless GODEBUG=asyncpreemptoff=1.
func watched() []os.Signal {
	var all []os.Signal
	for sig := unix.Signal(1); sig <= 64; sig++ {
		runtimes := sig >= 32 && sig <= 34 || sig == unix.SIGURG && !strings.Contains(os.Getenv("GODEBUG"), "asyncpreemptoff=1")
		if !runtimes && sig != unix.SIGKILL && sig != unix.SIGSTOP {
			all = append(all, sig)
		}
	}
	return all
}

func nameOf(sig unix.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return strings.TrimPrefix(name, "SIG")
	}
	return strconv.Itoa(int(sig))
}

func exitCodes(list string) map[string]int {
	codes := map[string]int{}
	for pair := range strings.SplitSeq(list, ",") {
		name, text, found := strings.Cut(pair, "=")
		if !found {
			continue
		}
		code, err := strconv.Atoi(text)
		check(err)
		codes[name] = code
	}
	return codes
}

// openLog opens a file that many processes append lines to.
func openLog(path, word string) func(string) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	check(err)
	if word != "" {
		word += " "
	}
	return func(line string) {
		_, err := fmt.Fprintln(file, word+line)
		check(err)
	}
}

func takeLock(path string) bool {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o666)
	check(err)
	return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil
}

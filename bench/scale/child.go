//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// setting is one measurement.
type setting struct {
	Plain      bool // by etcd's own client
	Instances  int
	Services   int
	Watchers   int
	PerProcess int     // instances, or watchers, that share one registry, or one client, as those of a process do
	Change     float64 // of all instances, a second
	TTL        time.Duration
	Window     time.Duration
}

// figures are what a process says of a measurement.
type figures struct {
	CPU       float64 // seconds of CPU time a second
	Memory    float64 // MiB resident
	Processes int     // registries, or clients, within
	Changes   float64 `json:",omitempty"` // a second
	P50, P99  float64 `json:",omitempty"` // milliseconds from a change to its callback
	Callbacks float64 `json:",omitempty"` // a second
	Right     float64 `json:",omitempty"` // seconds until all watchers were right
	Lost      int     `json:",omitempty"` // the most instances that were missing for a watcher
	Failed    int     `json:",omitempty"` // changes that were tried again
	Error     string  `json:",omitempty"` // why there are no figures
}

// child does its part of a measurement.
type child interface {
	begin()                                                    // of the time that is measured
	end(f *figures)                                            // of it
	disturb(ctx context.Context, since int64) (figures, error) // what it takes until all are right again
}

// asChild serves the questions of the process that started it, until that ends.
func asChild(ctx context.Context, text string, open func(context.Context, setting) (child, error)) error {
	var s setting
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	c, err := open(ctx, s)
	if err != nil {
		return err
	}
	fmt.Println("{}")
	answer := json.NewEncoder(os.Stdout)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var f figures
		switch word, argument, _ := strings.Cut(lines.Text(), " "); word {
		case "measure":
			c.begin()
			before, start := cpu(), time.Now()
			time.Sleep(s.Window)
			f.CPU = (cpu() - before) / time.Since(start).Seconds()
			f.Memory = resident(os.Getpid())
			c.end(&f)
		case "disturb":
			since, _ := strconv.ParseInt(argument, 10, 64)
			if f, err = c.disturb(ctx, since); err != nil {
				f.Error = err.Error()
			}
		}
		if err := answer.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

func cpu() float64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// cpuOf is the CPU time of another process, in seconds.
func cpuOf(pid int) float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

// resident is the memory of a process in MiB.
func resident(pid int) float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

// process is a child, as its parent sees it.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *json.Decoder
}

// launch starts a child and waits until it is ready.
func launch(role string, s setting) (*process, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe", role, string(text))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd, in, json.NewDecoder(out)}
	if _, err := p.answer(); err != nil {
		p.stop()
		return nil, fmt.Errorf("%s: %w", role, err)
	}
	return p, nil
}

func (p *process) ask(format string, args ...any) { fmt.Fprintf(p.in, format+"\n", args...) }

func (p *process) answer() (f figures, err error) {
	if err = p.answers.Decode(&f); err == nil && f.Error != "" {
		err = errors.New(f.Error)
	}
	return f, err
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// percentile gives milliseconds.
func percentile(times []time.Duration, p int) float64 {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return float64(times[min(len(times)*p/100, len(times)-1)].Microseconds()) / 1000
}

func progress(format string, args ...any) { log.Printf(format, args...) }

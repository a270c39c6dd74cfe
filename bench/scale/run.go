//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// result is what was measured at one setting.
type result struct {
	setting
	Load, Watch, Etcd figures   // Etcd: the sum of its members
	Members           []figures // each of them; the leader is first
	Filled            float64   // seconds until all were registered
	Disk              float64   // MiB, of one member
	Machine           string    // the load of the whole machine while it was measured
	Death             figures   // of the leader: until all watchers were right
	Error             string    `json:",omitempty"`
}

// results are a run.
type results struct {
	Date, Go, Kernel string
	Cores            int
	Results          []result
}

// start runs the measurement in a network namespace of its own.
func start(ctx context.Context, args []string) error {
	if os.Geteuid() != 0 {
		return errors.New("a network namespace needs root")
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{"inside"}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}

func measure(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("scale run", flag.ContinueOnError)
	sizes := flags.String("sizes", "1000:10:100,10000:100:500,10000:1:100,30000:1000:2000", "what to measure, as INSTANCES:SERVICES:WATCHERS")
	window := flags.Duration("window", 20*time.Second, "how long each is measured")
	perProcess := flags.Int("per-process", 50, "instances of a registering process, and watchers of a watching one")
	change := flags.Float64("change", 0.01, "share of the instances that change in a second")
	ttl := flags.Duration("ttl", 10*time.Second, "of the registrations")
	only := flags.String("only", "", "ours or plain; both in turns unless given")
	directory := flags.String("data", "", "where the members keep their data (a temporary directory)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *directory == "" {
		temporary, err := os.MkdirTemp("", "scale")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		*directory = temporary
	}
	if err := bridge(); err != nil {
		return err
	}
	all := results{Date: time.Now().UTC().Format(time.DateOnly), Go: runtime.Version(), Kernel: kernel(), Cores: runtime.NumCPU()}
	for size := range strings.SplitSeq(*sizes, ",") {
		s := setting{PerProcess: *perProcess, Change: *change, TTL: *ttl, Window: *window}
		if _, err := fmt.Sscanf(size, "%d:%d:%d", &s.Instances, &s.Services, &s.Watchers); err != nil {
			return fmt.Errorf("-sizes %q: %w", size, err)
		}
		for _, s.Plain = range []bool{false, true} {
			if *only != "" && (*only == "plain") != s.Plain {
				continue
			}
			r := one(ctx, s, *directory)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			all.Results = append(all.Results, r)
		}
	}
	answer := json.NewEncoder(os.Stdout)
	answer.SetIndent("", "\t")
	return answer.Encode(all)
}

func kernel() string {
	data, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(data))
}

func loadAverage() string {
	data, _ := os.ReadFile("/proc/loadavg")
	return strings.Join(strings.Fields(string(data))[:1], "")
}

// one measures a setting; what fails is part of the result.
func one(ctx context.Context, s setting, directory string) result {
	r := result{setting: s}
	progress("%d instances in %d services, %d watchers, plain: %t", s.Instances, s.Services, s.Watchers, s.Plain)
	if err := r.measure(ctx, directory); err != nil {
		r.Error = err.Error()
		progress("  %v", err)
	}
	return r
}

func (r *result) measure(ctx context.Context, directory string) error {
	c, err := startCluster(directory)
	if err != nil {
		return err
	}
	defer c.stop()
	begin := time.Now()
	load, err := launch("load", r.setting)
	if err != nil {
		return err
	}
	defer load.stop()
	r.Filled = time.Since(begin).Seconds()
	progress("  registered after %.1f s", r.Filled)
	watch, err := launch("watch", r.setting)
	if err != nil {
		return err
	}
	defer watch.stop()
	time.Sleep(3 * time.Second) // what was begun at once has spread
	leader, err := c.leader(ctx)
	if err != nil {
		return err
	}
	if err := r.window(c, leader, load, watch); err != nil {
		return err
	}
	r.Disk = sizeOf(directory + "/" + strconv.Itoa(leader))
	return r.death(c, leader, load, watch)
}

// window measures all processes for a while.
func (r *result) window(c *cluster, leader int, load, watch *process) (err error) {
	before, start, machine := make([]float64, members), time.Now(), loadAverage()
	for n, p := range c.processes {
		before[n] = cpuOf(p.Process.Pid)
	}
	load.ask("measure")
	watch.ask("measure")
	if r.Load, err = load.answer(); err != nil {
		return err
	}
	if r.Watch, err = watch.answer(); err != nil {
		return err
	}
	r.Machine = machine + " to " + loadAverage()
	r.Members = make([]figures, members)
	for n, p := range c.processes {
		f := figures{CPU: (cpuOf(p.Process.Pid) - before[n]) / time.Since(start).Seconds(), Memory: resident(p.Process.Pid)}
		r.Members[(n-leader+members)%members] = f
		r.Etcd.CPU += f.CPU
		r.Etcd.Memory += f.Memory
	}
	progress("  CPU: etcd %.2f, registering %.2f, watching %.2f; %.1f changes/s, p50 %.1f ms, p99 %.1f ms, missing %d, load %s",
		r.Etcd.CPU, r.Load.CPU, r.Watch.CPU, r.Load.Changes, r.Watch.P50, r.Watch.P99, r.Watch.Lost, r.Machine)
	return nil
}

// death kills the leader and waits until each watcher has seen a change that was made since.
func (r *result) death(c *cluster, leader int, load, watch *process) error {
	c.kill(leader)
	since := time.Now().UnixNano()
	load.ask("disturb %d", since)
	watch.ask("disturb %d", since)
	written, err := load.answer()
	if err != nil {
		return err
	}
	if r.Death, err = watch.answer(); err != nil {
		return err
	}
	r.Death.Failed = written.Failed
	progress("  leader killed: all written after %.2f s, all watchers right after %.2f s, missing %d", written.Right, r.Death.Right, r.Death.Lost)
	return nil
}

// leader is the number of the member that leads.
func (c *cluster) leader(ctx context.Context) (int, error) {
	client, err := plainClient()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	for n, endpoint := range endpoints() {
		status, err := clientv3.NewMaintenance(client).Status(ctx, endpoint)
		if err != nil {
			return 0, err
		}
		if status.Leader == status.Header.MemberId {
			return n, nil
		}
	}
	return 0, errors.New("nobody leads")
}

// sizeOf is what a directory takes of a disk, in MiB.
func sizeOf(directory string) float64 {
	out, err := exec.Command("du", "--summarize", "--block-size=1", directory).Output()
	if err != nil {
		return 0
	}
	bytes, _ := strconv.ParseFloat(strings.Fields(string(out))[0], 64)
	return bytes / (1 << 20)
}

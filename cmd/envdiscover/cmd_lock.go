package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/sdnotify"
)

// forEver is a --wait that was not given.
const forEver time.Duration = math.MaxInt64

// The variables that PROGRAM learns by what it holds.
const (
	lockVariable  = "ENVDISCOVER_LOCK"
	tokenVariable = "ENVDISCOVER_LOCK_TOKEN"
)

// locking is the options of lock.
type locking struct{ wait, ttl time.Duration }

func (p *program) lockCommand() cli.Command {
	l := &locking{wait: forEver, ttl: discovery.DefaultTTL}
	return cli.Command{
		Name:      "lock",
		Arguments: "NAME -- PROGRAM [ARG...]",
		Least:     1,
		Most:      -1,
		Summary:   "run PROGRAM while this process alone holds NAME, in the cluster",
		Example:   "envdiscover lock migrations -- ./migrate",
		About: "Runs PROGRAM while this process alone in the cluster holds NAME, and passes on " +
			"its exit code. When the lock is lost PROGRAM gets TERM, KILL; then exit 1.",
		Options: []cli.Option{
			{Name: "wait", Argument: "D", Usage: "wait up to D for the lock; 0 tries once", Target: &l.wait, Default: "for ever"},
			{Name: "ttl", Argument: "D", Usage: "let another have it D after a death", Target: &l.ttl},
		},
		Run: p.runs(func(ctx context.Context, c *call) error { return c.lock(ctx, l) }),
	}
}

func (c *call) lock(ctx context.Context, l *locking) error {
	words := c.Args[1:]
	if len(words) == 0 {
		return c.Misuse("PROGRAM is missing")
	}
	path, err := lookUp(words[0])
	if err != nil {
		return err
	}
	registry, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	locker, ok := registry.(discovery.Locker)
	if !ok {
		return &discovery.Error{Op: "lock", Name: c.Args[0], Err: discovery.ErrUnsupported}
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, caught(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)...)
	defer signal.Stop(signals)
	held, err := c.acquire(ctx, locker, l, signals)
	if err != nil {
		return err
	}
	err = c.runLocked(held, path, words, signals)
	if release := held.Close(); release != nil {
		c.Log.Warn("cannot release the lock, another can have it when its TTL has passed", "lock", c.Args[0], "error", release)
	}
	return err
}

// acquire waits for the lock, or for a signal to end.
func (c *call) acquire(ctx context.Context, locker discovery.Locker, l *locking, signals <-chan os.Signal) (discovery.Held, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		held discovery.Held
		err  error
	}
	done := make(chan result, 1)
	go func() {
		held, err := c.askFor(ctx, locker, l)
		done <- result{held, err}
	}()
	for {
		select {
		case r := <-done:
			return r.held, r.err
		case s := <-signals:
			if s == syscall.SIGUSR1 || s == syscall.SIGUSR2 {
				continue // they are for PROGRAM
			}
			cancel()
			if r := <-done; r.err == nil {
				_ = r.held.Close()
			}
			return nil, silent{128 + int(s.(syscall.Signal))}
		}
	}
}

// askFor takes the lock as soon as --wait allows. Who waits for ever waits for the lock, not for a registry that
// cannot be reached at first.
func (c *call) askFor(ctx context.Context, locker discovery.Locker, l *locking) (held discovery.Held, err error) {
	name := c.Args[0]
	switch l.wait {
	case forEver:
		held, err = locker.Lock(ctx, name, l.ttl)
	case 0:
		held, err = locker.TryLock(ctx, name, l.ttl)
	default:
		waiting, cancel := context.WithTimeout(ctx, l.wait)
		defer cancel()
		err = patiently(waiting, l.wait, func(ctx context.Context) error {
			held, err = locker.Lock(waiting, name, l.ttl)
			return err
		})
	}
	if errors.Is(err, discovery.ErrConflict) || errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, discovery.ErrUnavailable) {
		err = failed(fmt.Errorf("lock %q: another holds it, still after %s", name, l.wait), exitFailure, "without --wait it is waited for")
	}
	return held, err
}

// runLocked runs PROGRAM until it ends, or the lock is lost.
func (c *call) runLocked(held discovery.Held, path string, words []string, signals <-chan os.Signal) error {
	child, err := startChild(path, words, c.lockedEnvironment(held))
	if err != nil {
		return failed(fmt.Errorf("%s: %w", words[0], err), exitNotExecutable, "is it a program of this machine, and is the interpreter after its #! there?")
	}
	lost, kill := held.Done(), (<-chan time.Time)(nil)
	for {
		select {
		case err := <-child.ended:
			switch {
			case lost == nil:
				return failed(fmt.Errorf("the lock %q was lost, %s was ended", c.Args[0], words[0]), exitFailure, "see whether the registry can be reached: envdiscover check registry")
			case err == nil:
				return nil
			}
			return exitOf(err)
		case s := <-signals:
			child.forward(s.(syscall.Signal))
		case <-lost:
			lost, kill = nil, time.After(held.Margin())
			c.Log.Warn("the lock is lost, ending the program", "lock", c.Args[0], "program", words[0])
			child.signal(syscall.SIGTERM)
		case <-kill:
			child.signal(syscall.SIGKILL)
		}
	}
}

func (c *call) lockedEnvironment(held discovery.Held) []string {
	env := append(os.Environ(), lockVariable+"="+c.Args[0])
	if token := held.Token(); token != 0 {
		env = append(env, tokenVariable+"="+strconv.FormatInt(token, 10))
	}
	if c.notifySocket != "" {
		env = append(env, sdnotify.Variable+"="+c.notifySocket) // what is ready is PROGRAM
	}
	return env
}

// exitOf is PROGRAM's end as one's own.
func exitOf(err error) error {
	exit := new(exec.ExitError)
	if !errors.As(err, &exit) {
		return err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return silent{128 + int(status.Signal())}
	}
	return silent{exit.ExitCode()}
}

package service

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
	"github.com/envharness/envharness/internal/safebuffer"
)

// patience bounds what a busy machine may take.
const patience = time.Minute

// memory opens a registry of the test's own.
func memory(t *testing.T) discovery.Registry {
	t.Helper()
	registry, err := engines.Open(context.Background(), "memory:///"+t.Name())
	require.NoError(t, err)
	t.Cleanup(func() { registry.Close() })
	return registry
}

// states gives the states of a service's instances by ID.
func states(t *testing.T, registry discovery.Registry) map[string]discovery.State {
	t.Helper()
	snapshot, err := registry.Instances(context.Background(), "web", discovery.Query{All: true})
	require.NoError(t, err)
	all := map[string]discovery.State{}
	for _, in := range snapshot.Instances {
		all[in.ID] = in.State
	}
	return all
}

func web() discovery.Instance {
	return discovery.Instance{Service: "web", ID: "web-1", Host: "10.0.0.5", Ports: map[string]discovery.Port{"http": {Number: 80}}}
}

func TestHoldAnnouncesUntilItIsTold(t *testing.T) {
	registry := memory(t)
	ctx, end := context.WithCancel(context.Background())
	ready := make(chan struct{})
	done := make(chan error, 1)
	a := Announcement{Instance: web(), Wait: patience, Ready: func() { close(ready) }}
	go func() { done <- a.Hold(ctx, registry) }()
	<-ready
	require.Equal(t, map[string]discovery.State{"web-1": discovery.Passing}, states(t, registry))
	end()
	require.NoError(t, <-done)
	require.Empty(t, states(t, registry))
}

func TestHoldEndsWhenTheIDIsTaken(t *testing.T) {
	registry := memory(t)
	ready := make(chan struct{})
	done := make(chan error, 1)
	a := Announcement{Instance: web(), TTL: time.Second, Wait: patience, Ready: func() { close(ready) }}
	go func() { done <- a.Hold(context.Background(), registry) }()
	<-ready
	other, err := registry.Register(context.Background(), web(), 0)
	require.NoError(t, err)
	defer other.Close()
	require.ErrorIs(t, <-done, discovery.ErrConflict)
	require.NotEmpty(t, states(t, registry), "the other's entry stays")
}

func TestHoldRefusesWhatCannotBe(t *testing.T) {
	in := web()
	in.Service = ""
	require.ErrorIs(t, Announcement{Instance: in}.Hold(context.Background(), memory(t)), discovery.ErrInvalid)
}

func TestHoldFollowsTheCheck(t *testing.T) {
	registry := memory(t)
	ctx, end := context.WithCancel(context.Background())
	var well atomic.Bool
	probed := make(chan struct{})
	a := Announcement{Instance: web(), Wait: patience, Check: &Check{
		Interval: time.Millisecond,
		Probe: func(ctx context.Context) error {
			select {
			case <-probed:
			case <-ctx.Done():
			}
			if well.Load() {
				return nil
			}
			return os.ErrNotExist
		},
	}}
	done := make(chan error, 1)
	go func() { done <- a.Hold(ctx, registry) }()
	reaches := func(state discovery.State) {
		t.Helper()
		require.Eventually(t, func() bool { return states(t, registry)["web-1"] == state }, patience, time.Millisecond)
	}
	reaches(discovery.Starting)
	close(probed)
	reaches(discovery.Failing)
	well.Store(true)
	reaches(discovery.Passing)
	well.Store(false)
	reaches(discovery.Failing)
	end()
	require.NoError(t, <-done)
	require.Empty(t, states(t, registry))
}

// TestHoldFollowsTheAddress: a change is announced beside the state, what cannot be found changes nothing.
func TestHoldFollowsTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := memory(t)
		ctx, end := context.WithCancel(context.Background())
		defer end()
		var host atomic.Value
		host.Store("10.0.0.5")
		find := func() (string, error) {
			if host.Load() == "" {
				return "", os.ErrNotExist
			}
			return host.Load().(string), nil
		}
		check := &Check{Probe: func(context.Context) error { return nil }, Rise: 1}
		log := &safebuffer.Buffer{}
		a := Announcement{Instance: web(), Host: find, Check: check, Log: slog.New(slog.NewTextHandler(log, nil))}
		done := make(chan error, 1)
		go func() { done <- a.Hold(ctx, registry) }()
		is := func(want string) {
			t.Helper()
			time.Sleep(2 * hostInterval)
			synctest.Wait()
			snapshot, err := registry.Instances(context.Background(), "web", discovery.Query{})
			require.NoError(t, err)
			require.Len(t, snapshot.Instances, 1)
			require.Equal(t, want, snapshot.Instances[0].Host)
		}
		is("10.0.0.5")
		host.Store("10.0.0.6")
		is("10.0.0.6")
		require.Contains(t, log.String(), "old=10.0.0.5 new=10.0.0.6")
		host.Store("")
		is("10.0.0.6")
		end()
		require.NoError(t, <-done)
	})
}

func TestHealthRisesAndFalls(t *testing.T) {
	h := health{state: discovery.Starting, rise: 2, fall: 3}
	for i, step := range []struct {
		good    bool
		changed bool
		state   discovery.State
	}{
		{true, false, discovery.Starting},
		{false, false, discovery.Starting},
		{true, false, discovery.Starting},
		{true, true, discovery.Passing},
		{true, false, discovery.Passing},
		{false, false, discovery.Passing},
		{false, false, discovery.Passing},
		{true, false, discovery.Passing},
		{false, false, discovery.Passing},
		{false, false, discovery.Passing},
		{false, true, discovery.Failing},
		{false, false, discovery.Failing},
		{true, false, discovery.Failing},
		{true, true, discovery.Passing},
	} {
		require.Equal(t, step.changed, h.note(step.good), "step %d", i)
		require.Equal(t, step.state, h.state, "step %d", i)
	}
}

func TestProbes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/gone", http.StatusFound)
		case "/gone":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/hangs":
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	address := server.Listener.Addr().String()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed.Close()
	for target, well := range map[string]bool{
		server.URL:                                true,
		server.URL + "/moved":                     true,
		server.URL + "/gone":                      false,
		"tcp://" + address:                        true,
		"tcp://" + closed.Addr().String():         false,
		"http://" + closed.Addr().String() + "/x": false,
		"exec:/bin/true":                          true,
		"exec:/bin/false":                         false,
		"exec:/not/there":                         false,
	} {
		probe, err := ParseProbe(target)
		require.NoError(t, err, target)
		require.Equal(t, well, probe(context.Background()) == nil, target)
	}
	for _, target := range []string{"", "http:", "http://", "tcp://host", "tcp://host:", "exec:", "udp://h:1", "/bin/true"} {
		_, err := ParseProbe(target)
		require.ErrorIs(t, err, discovery.ErrInvalid, target)
	}
}

func TestProbesEndWithTheirTime(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	script := filepath.Join(t.TempDir(), "hangs") // its child keeps on, unless the whole group is ended
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\nsleep 600 &\necho $! >\"$0.pid\"\nwait\n"), 0o755))
	ends := func(target string, limit time.Duration) {
		t.Helper()
		probe, err := ParseProbe(target)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		require.ErrorIs(t, probe(ctx), context.DeadlineExceeded, target)
	}
	ends(server.URL, 300*time.Millisecond)
	var pid []byte
	for limit := 300 * time.Millisecond; len(pid) == 0 && limit < patience; limit *= 2 { // until the script comes so far
		ends("exec:"+script, limit)
		pid, _ = os.ReadFile(script + ".pid")
	}
	require.NotEmpty(t, pid)
	state := func() string {
		text, _ := exec.Command("sed", "-n", "s/^State:\t//p", "/proc/"+string(pid[:len(pid)-1])+"/status").Output()
		return string(text)
	}
	require.Eventually(t, func() bool { s := state(); return s == "" || s[0] == 'Z' }, patience, 5*time.Millisecond)
}

func TestID(t *testing.T) {
	require.Equal(t, "web-host1-80", ID("web", "host1", 80))
	require.Equal(t, "web-host1", ID("web", "host1", 0))
}

func TestInterfaceRules(t *testing.T) {
	links := []link{
		{"lo", addresses("127.0.0.1", "::1")},
		{"eth0", addresses("192.168.1.5", "10.0.0.7", "fe80::1", "fd00::7")},
		{"eth1", addresses("fe80::2", "172.16.0.1")},
	}
	for rule, want := range map[string]string{
		"eth0":               "192.168.1.5",
		"eth0:inet":          "192.168.1.5",
		"eth0:inet6":         "fd00::7",
		"eth0[0]":            "192.168.1.5",
		"eth0[1]":            "10.0.0.7",
		"eth1":               "172.16.0.1",
		"10.0.0.0/8":         "10.0.0.7",
		"fd00::/8":           "fd00::7",
		"static:192.0.2.1":   "192.0.2.1",
		"static:2001:db8::1": "2001:db8::1",
	} {
		got, err := pickHost([]string{"wlan0", "eth1:inet6", "192.0.2.0/24", rule, "lo"}, links)
		require.NoError(t, err, rule)
		require.Equal(t, want, got, rule)
	}
	_, err := pickHost([]string{"wlan0", "eth0[4]"}, links)
	require.ErrorContains(t, err, "wlan0, eth0[4]; there are lo (127.0.0.1, ::1), eth0 (")
	for _, rule := range []string{"", "eth0:ipv6", ":inet", "eth0[", "eth0[]", "eth0[-1]", "eth0[1", "[1]", "10.0.0.0/99", "static:host", "static:"} {
		_, err := pickHost([]string{"lo", rule}, links)
		require.ErrorIs(t, err, discovery.ErrInvalid, rule)
	}
}

func addresses(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func TestInterfaceHostAsksTheKernel(t *testing.T) {
	host, err := InterfaceHost([]string{"127.0.0.0/8"})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)
}

func TestDefaultHostIsTheOneThatWasGiven(t *testing.T) {
	host, err := DefaultHost(func(name string) string { return map[string]string{"CONTAINER_HOST": "10.1.2.3"}[name] })()
	require.NoError(t, err)
	require.Equal(t, "10.1.2.3", host)
}

// FuzzInterfaceRule looks for rules that are too much for it.
func FuzzInterfaceRule(f *testing.F) {
	f.Add("eth0[1]")
	f.Add("static:::1%eth0")
	links := []link{{"eth0", addresses("10.0.0.7", "fd00::7")}}
	f.Fuzz(func(t *testing.T, rule string) {
		if host, err := pickHost([]string{rule}, links); err == nil {
			_, err := netip.ParseAddr(host)
			require.NoError(t, err)
		}
	})
}

func TestWithProcess(t *testing.T) {
	for name, wait := range map[string]func(int) func(context.Context){
		"as the kernel tells": processEnd,
		"by looking": func(pid int) func(context.Context) {
			return func(ctx context.Context) { pollProcess(ctx, pid) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("sleep", "600")
			require.NoError(t, cmd.Start())
			defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
			ended := make(chan struct{})
			watch := wait(cmd.Process.Pid)
			go func() {
				watch(context.Background())
				close(ended)
			}()
			select {
			case <-ended:
				t.Fatal("the process is still there")
			case <-time.After(50 * time.Millisecond):
			}
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait()
			<-ended
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	life, stop, err := WithProcess(ctx, os.Getppid())
	require.NoError(t, err)
	defer stop()
	require.NoError(t, life.Err())
	cancel()
	<-life.Done()
	_, _, err = WithProcess(context.Background(), 1<<31-1)
	require.ErrorIs(t, err, os.ErrProcessDone)
	_, _, err = WithProcess(context.Background(), 0)
	require.ErrorIs(t, err, os.ErrProcessDone)
}

// TestWordsOfAFailingCheck: an error has what the checked one said last, in a bounded memory.
func TestWordsOfAFailingCheck(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			w.Header().Set("Content-Type", "text/html")
		}
		http.Error(w, "the disk\nis full", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	script := func(text string) string {
		path := filepath.Join(t.TempDir(), "check")
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755))
		return path
	}
	for target, want := range map[string]string{
		server.URL + "/x": "503 Service Unavailable: the disk\nis full$",
		"exec:" + script("echo one; echo; echo 'no replica' >&2; echo; exit 3"): `check: exit status 3: no replica$`,
		"exec:" + script("yes | head -c 3000000; echo last; exit 1"):            `check: exit status 1: last$`,
		"exec:" + script("exit 1"):                                    `check: exit status 1$`,
		"exec:" + script("echo 'waits for a lock'; sleep 600 & wait"): `^no answer after .*: .*check: killed: waits for a lock$`,
	} {
		probe, err := ParseProbe(target)
		require.NoError(t, err)
		timeout := patience
		if strings.Contains(want, "killed") {
			timeout = 500 * time.Millisecond
		}
		err = Look(context.Background(), probe, timeout)
		for timeout < patience && !regexp.MustCompile(want).MatchString(fmt.Sprint(err)) { // it was killed before its words
			timeout *= 2
			err = Look(context.Background(), probe, timeout)
		}
		require.Error(t, err, want)
		require.Regexp(t, want, err.Error())
	}
	page, err := HTTP(server.URL + "/page")
	require.NoError(t, err)
	require.NotNil(t, page(context.Background()))
	leaves := script("sleep 600 & echo $! >\"$0.pid\"")
	background, err := Exec(leaves)
	require.NoError(t, err)
	require.NoError(t, background(context.Background()), "what it leaves running is no failure")
	text, err := os.ReadFile(leaves + ".pid")
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL), "it runs on")
}

// TestCheckThatCannotBeStopped is failing, and the next ones start nothing while it hangs.
func TestCheckThatCannotBeStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(context.Background())
		defer end()
		var started atomic.Int32
		release := make(chan struct{})
		var told []string
		go Check{Probe: func(context.Context) error { started.Add(1); <-release; return nil }, Rise: 1}.run(ctx, func(state discovery.State, reason error) {
			told = append(told, string(state)+": "+wordsOf(reason))
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 1, started.Load())
		require.NotEmpty(t, told)
		require.Equal(t, "failing: the check before has still not ended", told[0])
		close(release)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, "passing: ", told[len(told)-1])
		end()
		synctest.Wait()
	})
}

// TestReasonIsAnnounced: at a change of state at once, other words of a check that goes on failing now and then.
func TestReasonIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := memory(t)
		ctx, end := context.WithCancel(context.Background())
		defer end()
		var probes atomic.Int32
		var well atomic.Bool
		probe := func(context.Context) error {
			if n := probes.Add(1); !well.Load() {
				return fmt.Errorf("attempt %d at\n\x1b[1mit", n)
			}
			return nil
		}
		done := make(chan error, 1)
		go func() {
			done <- Announcement{Instance: web(), Check: &Check{Probe: probe, Interval: time.Second, Fall: 1, Rise: 1}}.Hold(ctx, registry)
		}()
		reason := func() string {
			t.Helper()
			snapshot, err := registry.Instances(context.Background(), "web", discovery.Query{All: true})
			require.NoError(t, err)
			require.Len(t, snapshot.Instances, 1)
			return snapshot.Instances[0].Reason
		}
		time.Sleep(reasonInterval / 2)
		require.Equal(t, "attempt 1 at [1mit", reason())
		time.Sleep(reasonInterval)
		require.Equal(t, "attempt 31 at [1mit", reason())
		well.Store(true)
		time.Sleep(2 * time.Second)
		require.Empty(t, reason())
		end()
		require.NoError(t, <-done)
	})
}

//go:build linux

package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// place is where a harness with --init runs.
type place struct {
	name string
	wrap []string // what starts it there
}

var (
	// outside is among all others: a subreaper.
	outside = place{name: "not PID 1"}
	// first is PID 1 of a namespace, as in a container. Nothing outlives unshare.
	first = place{name: "PID 1", wrap: []string{"unshare", "-p", "-f", "--mount-proc", "--kill-child"}}
)

// everywhere runs a test in both places; with -short in the one that needs no root.
func everywhere(t *testing.T, test func(*testing.T, place)) {
	t.Helper()
	t.Parallel()
	places := []place{outside, first}
	if testing.Short() {
		places = places[:1]
	}
	for _, in := range places {
		t.Run(in.name, func(t *testing.T) {
			t.Parallel()
			if in.wrap != nil {
				need(t, "root", "unshare")
			}
			test(t, in)
		})
	}
}

// buildProbe builds testdata/probe beside envharness, static too, once.
var buildProbe = sync.OnceValue(func() error {
	build := exec.Command("go", "build", "-race=false", "-trimpath", "-o", filepath.Join(filepath.Dir(harnessPath), "probe"), "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	return build.Run()
})

// initArgs are the options of every test of --init. COMMAND and executables share the file log.
var initArgs = []string{"--init", "--socket", "control", "--environment", "environment", "--export", "export"}

// initCommand is envharness --init with args in dir; its output goes to the files stdout and stderr there.
func (in place) initCommand(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	require.NoError(t, buildProbe())
	words := append(append(append(append([]string{}, in.wrap...), harnessPath), initArgs...), args...)
	cmd := command(t, dir, words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = create(t, dir, "stdout"), create(t, dir, "stderr")
	marked(t, cmd)
	// The probe's runtime would send URG to itself.
	cmd.Env = append(cmd.Env, "GODEBUG=asyncpreemptoff=1")
	return cmd
}

func create(t *testing.T, dir, name string) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, name))
	require.NoError(t, err)
	t.Cleanup(func() { file.Close() })
	return file
}

// service is a harness that runs, with --init.
type service struct {
	t   *testing.T
	cmd *exec.Cmd
	dir string
	pid int // the harness's, as this test sees it
}

// start starts envharness --init with args in dir.
func (in place) start(t *testing.T, dir string, args ...string) *service {
	t.Helper()
	return in.startCommand(t, in.initCommand(t, dir, args...))
}

func (in place) startCommand(t *testing.T, cmd *exec.Cmd) *service {
	t.Helper()
	require.NoError(t, cmd.Start())
	s := &service{t: t, cmd: cmd, dir: cmd.Dir, pid: cmd.Process.Pid}
	if in.wrap != nil {
		eventually(t, "unshare has started it", func() bool {
			child := onlyChildOf(t, cmd.Process.Pid)
			if statusOf(child, "Name") == "envharness" {
				s.pid = child
			}
			return s.pid != cmd.Process.Pid || dead(cmd.Process.Pid)
		})
	}
	return s
}

// onlyChildOf is the child of a process that has one, 0 before. It has the next number, or one of the next, unless they
// began anew: the hundreds of processes before are looked at last.
func onlyChildOf(t *testing.T, pid int) int {
	t.Helper()
	all := processes(t)
	slices.Sort(all)
	after, _ := slices.BinarySearch(all, pid)
	for _, other := range slices.Concat(all[after:], all[:after]) {
		if statusOf(other, "PPid") == strconv.Itoa(pid) {
			return other
		}
	}
	return 0
}

// childrenOf are the processes whose parent is pid, zombies too.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	var children []int
	for _, other := range processes(t) {
		if statusOf(other, "PPid") == strconv.Itoa(pid) {
			children = append(children, other)
		}
	}
	return children
}

// path is a file in the service's directory.
func (s *service) path(name string) string { return filepath.Join(s.dir, name) }

// touch makes a file that a process waits for.
func (s *service) touch(name string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(s.path(name), []byte("x"), 0o644))
}

// signal sends a signal to the harness.
func (s *service) signal(sig syscall.Signal) {
	s.t.Helper()
	require.NoError(s.t, syscall.Kill(s.pid, sig))
}

// lines are those of a file, without an unfinished last one.
func lines(path string) []string {
	content, _ := os.ReadFile(path)
	whole := strings.Split(string(content), "\n")
	return whole[:len(whole)-1]
}

func (s *service) log() []string { return lines(s.path("log")) }

// logs waits until the log is as long as want, which it must be.
func (s *service) logs(want ...string) {
	s.t.Helper()
	reaches(func() bool { return len(s.log()) >= len(want) })
	require.Equal(s.t, want, s.log(), "stderr: %s", s.text("stderr"))
}

// logsLine waits until a line is in the log, that often.
func (s *service) logsLine(line string, times int) {
	s.t.Helper()
	reaches(func() bool { return count(s.log(), line) >= times })
	require.GreaterOrEqual(s.t, count(s.log(), line), times, "%q in %q, stderr: %s", line, s.log(), s.text("stderr"))
}

func matches(pattern, text string) bool {
	return regexp.MustCompile(pattern).MatchString(text)
}

func count(lines []string, line string) int {
	n := 0
	for _, one := range lines {
		if one == line {
			n++
		}
	}
	return n
}

// text is the content of a file.
func (s *service) text(name string) string {
	content, _ := os.ReadFile(s.path(name))
	return string(content)
}

// exits waits for the end of the harness, and wants that exit code.
func (s *service) exits(code int) {
	s.t.Helper()
	result := s.ends()
	require.Equal(s.t, code, result.code, "signal %d, log %q, stderr: %s", result.signal, s.log(), s.text("stderr"))
}

// ends waits for the end of the harness, for longer than it may take.
func (s *service) ends() outcome {
	s.t.Helper()
	return s.endsWithin(2 * patience)
}

func (s *service) endsWithin(limit time.Duration) outcome {
	s.t.Helper()
	timer := time.AfterFunc(limit, func() { s.cmd.Process.Kill() })
	defer timer.Stop()
	return wait(s.t, s.cmd)
}

// stop ends the harness with TERM; COMMAND exits with 0.
func (s *service) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	s.exits(0)
}

// ask runs envharness status, ready, drain or resume.
func (s *service) ask(word string) outcome {
	s.t.Helper()
	return run(s.t, harness(s.t, s.dir, word, "--socket", "control"))
}

// answers asks once, and wants that exit code. On a busy machine the time for an answer may be over before there is one:
// that is asked again.
func (s *service) answers(word string, code int) {
	s.t.Helper()
	var result outcome
	reaches(func() bool { result = s.ask(word); return result.code != 125 || code == 125 })
	require.Equal(s.t, code, result.code, "%s: %s%s, stderr of the harness: %s", word, result.stdout, result.stderr, s.text("stderr"))
}

// becomes asks until the exit code is that.
func (s *service) becomes(word string, code int) {
	s.t.Helper()
	var last outcome
	reaches(func() bool { last = s.ask(word); return last.code == code })
	require.Equal(s.t, code, last.code, "%s: %s%s, stderr of the harness: %s", word, last.stdout, last.stderr, s.text("stderr"))
}

// status is what envharness status tells.
func (s *service) status() map[string]any {
	s.t.Helper()
	result := s.ask("status")
	require.Equal(s.t, 0, result.code, result.stderr)
	var status map[string]any
	require.NoError(s.t, json.Unmarshal([]byte(result.stdout), &status), result.stdout)
	return status
}

// tells wants that the harness's own words, on stderr, match soon.
func (s *service) tells(pattern string) {
	s.t.Helper()
	reaches(func() bool { return matches(pattern, s.text("stderr")) })
	require.Regexp(s.t, pattern, s.text("stderr"))
}

// held is an executable that is held: it logs what it does under its name, and ends slowly at TERM.
const held = `#!/bin/sh
name=${0##*/}
trap 'echo $name TERM >>log; sleep 0.2; echo $name gone >>log; exit 0' TERM
echo $name start >>log
echo $$ >$name.pid
[ "$1" ] && echo "$1"
sleep 1000 &
probe notify READY=1 || echo $name unheard >>log
wait
`

// teardown withdraws, and takes its time.
const teardown = "#!/bin/sh\necho teardown >>log\nsleep 0.2\necho withdrawn >>log\n"

// gated waits for the file that its first argument names. It lets a test look at a start-up under way.
func gated(name string) string {
	return "#!/bin/sh\necho x >" + name + ".waits\nuntil [ -e " + name + " ]; do sleep 0.02; done\n"
}

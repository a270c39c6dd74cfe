package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/testservers"
	"github.com/envharness/envharness/internal/testservers/parallel"
)

// patience bounds what a busy machine may take.
const patience = time.Minute

// quickRace keeps what the race detector watches from sleeping a second before it exits.
const quickRace = "atexit_sleep_ms=0"

// TestMain runs the tests, or this binary as envdiscover.
func TestMain(m *testing.M) {
	testscript.Main(parallel.Tests{M: m}, map[string]func(){"envdiscover": main})
}

// TestScripts runs each archive of testdata with an envdiscover of its own processes and a prefix of its own on a
// real etcd.
func TestScripts(t *testing.T) {
	shared := testservers.EmbeddedEtcd(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			prefix := filepath.Base(env.WorkDir)
			env.Setenv("ENVDISCOVER_URL", "etcd://"+shared.Address+"/"+prefix+"?timeout=1m")
			env.Setenv("SERVER", shared.Address)
			env.Setenv("PREFIX", "/"+prefix)
			env.Setenv("UNREACHABLE", testservers.FreeAddress(t))
			env.Setenv("CONTAINER_HOST", "10.20.30.40")
			env.Setenv("GORACE", quickRace)
			env.Setenv("ETCDCTL_COMMAND_TIMEOUT", "90s")
			env.Setenv("ETCDCTL_DIAL_TIMEOUT", "90s") // bounds the log-in too, that takes seconds on a busy machine
			env.Values[ownKey{}] = &own{t: env.T().(testing.TB)}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":    exitsWith,
			"in-time": inTime,
			"until":   until,
			"signal":  signalBackground,
			"etcd":    ownEtcd,
			"tls":     ownTLS,
		},
	})
}

// exitsWith is: code N COMMAND [ARG...]
func exitsWith(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := exitCodeOf(ts, args[1:]); got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

func exitCodeOf(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// inTime is: in-time N COMMAND [ARG...]; TIME among the arguments is a short time, and a longer one where that is over on a
// busy machine before a registry has answered.
func inTime(ts *testscript.TestScript, neg bool, args []string) {
	for _, limit := range []string{"300ms", "3s", "30s"} {
		words := slices.Clone(args[1:])
		words[slices.Index(words, "TIME")] = limit
		if strconv.Itoa(exitCodeOf(ts, words)) == args[0] {
			return
		}
	}
	ts.Fatalf("the exit code is never %s", args[0])
}

// until is: until PATTERN COMMAND [ARG...]; it runs the command again and again until its output matches, or with !
// does not.
func until(ts *testscript.TestScript, neg bool, args []string) {
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if output := ts.ReadFile("stdout"); pattern.MatchString(output) != neg {
			return
		} else if time.Now().After(deadline) {
			ts.Fatalf("the output is still %q (%v)", output, err)
		}
	}
}

// signalBackground is: signal NAME WORD; it signals the command in the background that has the word among its
// arguments.
func signalBackground(ts *testscript.TestScript, neg bool, args []string) {
	number := unix.SignalNum("SIG" + args[0])
	for _, cmd := range ts.BackgroundCmds() {
		if slices.Contains(cmd.Args, args[1]) {
			ts.Check(cmd.Process.Signal(number))
			return
		}
	}
	ts.Fatalf("nothing in the background has the argument %q", args[1])
}

// own is what a script has of its own.
type own struct {
	t      testing.TB
	server *testservers.Etcd
}

type ownKey struct{}

// ownEtcd is: etcd start|auth|kill|again|pause|resume, for a server of the script's own.
func ownEtcd(ts *testscript.TestScript, neg bool, args []string) {
	o := ts.Value(ownKey{}).(*own)
	switch args[0] {
	case "start":
		o.server = testservers.EmbeddedEtcd(o.t)
		ts.Setenv("SERVER", o.server.Address)
		ts.Setenv("ENVDISCOVER_URL", "etcd://"+o.server.Address)
	case "auth":
		ts.Check(enableAuth(o.server.Address))
	case "kill":
		o.server.Kill(o.t)
	case "again":
		o.server.Start(o.t)
	case "pause":
		o.server.Pause(o.t)
	case "resume":
		o.server.Resume(o.t)
	default:
		ts.Fatalf("etcd %s?", args[0])
	}
}

// enableAuth makes root, with the password root-password, the only one who gets in.
func enableAuth(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := client.UserAdd(ctx, "root", "root-password"); err != nil {
		return err
	}
	if _, err := client.UserGrantRole(ctx, "root", "root"); err != nil {
		return err
	}
	_, err = client.AuthEnable(ctx)
	return err
}

// ownTLS is: tls; it starts a server with TLS and sets CA, CERT, KEY and SERVER.
func ownTLS(ts *testscript.TestScript, neg bool, args []string) {
	o := ts.Value(ownKey{}).(*own)
	certificates := testservers.NewCertificates(o.t)
	o.server = testservers.EmbeddedEtcdTLS(o.t, certificates)
	ts.Setenv("SERVER", o.server.Address)
	ts.Setenv("CA", certificates.CA)
	ts.Setenv("CERT", certificates.ClientCert)
	ts.Setenv("KEY", certificates.ClientKey)
}

// TestHelpFitsAScreen looks at the help of every command and topic. Each begins with a sentence and an example.
func TestHelpFitsAScreen(t *testing.T) {
	var text strings.Builder
	line := (&program{stdout: &text, lookupEnv: os.LookupEnv}).commandLine()
	for _, page := range line.Pages() {
		text.Reset()
		require.NoError(t, line.Run(page))
		lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
		require.LessOrEqual(t, len(lines), 24, "%v:\n%s", page, text.String())
		for _, line := range lines {
			require.LessOrEqual(t, len([]rune(line)), 80, "%v: %s", page, line)
		}
		if len(page) < 3 { // of a command, not a topic
			require.Regexp(t, `^[A-Z].*\n(.*\n)?\n  (eval "\$\()?envdiscover .*\n\nusage: envdiscover `, text.String())
		}
	}
}

// TestOptionsAreDescribedOnce: the tables of all commands are sound.
func TestOptionsAreDescribedOnce(t *testing.T) {
	require.NoError(t, (&program{}).commandLine().Check())
}

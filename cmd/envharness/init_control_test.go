//go:build linux

package main_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestControl: what the four questions are answered in each phase of a life.
func TestControl(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{
			"environment/A":   "a secret\n",
			"environment/B":   gated("resolve"),
			"export/held":     held,
			"export/teardown": "#!/bin/sh\necho teardown >>log\necho x >teardown.waits\nuntil [ -e torn ]; do sleep 0.02; done\n",
		}), "--grace", "10m", "probe", "watch", "-until", "finish", "log")

		appears(t, s.path("resolve.waits")) // starting
		s.becomes("status", 0)
		s.answers("ready", 1)
		status := s.status()
		require.Equal(t, "starting", status["phase"])
		require.Equal(t, false, status["ready"])
		require.EqualValues(t, 0, status["pid"])
		require.Equal(t, 1, s.ask("drain").code, "there is nothing to withdraw yet")
		require.Equal(t, 1, s.ask("resume").code)

		s.touch("resolve") // running
		s.logs("held start", "start")
		s.becomes("ready", 0)
		status = s.status()
		require.Equal(t, "running", status["phase"])
		require.Equal(t, true, status["ready"])
		require.Contains(t, childrenOf(t, s.pid), s.seen(int(status["pid"].(float64))))
		require.Len(t, status["names"], 2)
		for i, name := range []string{"A", "B"} {
			entry := status["names"].([]any)[i].(map[string]any)
			require.Equal(t, name, entry["name"])
			when, err := time.Parse(time.RFC3339Nano, entry["refreshed"].(string))
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), when, time.Hour)
		}
		require.Len(t, status["exporters"], 1)
		require.EqualValues(t, pidIn(t, s.path("held.pid")), status["exporters"].([]any)[0].(map[string]any)["pid"])
		s.answers("resume", 0) // it is exported already
		s.logs("held start", "start")

		drained := make(chan outcome, 1) // draining: the answer comes when all is withdrawn
		go func() { drained <- s.ask("drain") }()
		appears(t, s.path("teardown.waits"))
		s.answers("ready", 1)
		s.logs("held start", "start", "held TERM", "held gone", "teardown")
		select {
		case result := <-drained:
			t.Fatalf("drained before the withdrawal was done: %+v", result)
		default:
		}
		s.touch("torn")
		require.Equal(t, 0, (<-drained).code)
		status = s.status()
		require.Equal(t, "drained", status["phase"])
		require.Empty(t, status["exporters"])
		s.answers("ready", 1)
		s.answers("drain", 0) // it is drained already
		s.logs("held start", "start", "held TERM", "held gone", "teardown")
		s.signal(unix.SIGUSR1) // COMMAND runs on
		s.logs("held start", "start", "held TERM", "held gone", "teardown", "USR1")

		s.answers("resume", 0) // running again
		s.logs("held start", "start", "held TERM", "held gone", "teardown", "USR1", "held start")
		s.answers("ready", 0)
		require.Equal(t, "running", s.status()["phase"])

		s.signal(unix.SIGTERM) // stopping
		s.logsLine("TERM", 1)
		s.answers("ready", 1)
		status = s.status()
		require.Equal(t, "stopping", status["phase"])
		require.Equal(t, 1, s.ask("resume").code, "nobody is to be sent to it any more")
		s.logs("held start", "start", "held TERM", "held gone", "teardown", "USR1", "held start", "held TERM", "held gone", "teardown", "TERM")
		s.touch("finish")
		s.exits(0)

		for _, word := range []string{"ready", "status", "drain", "resume"} { // gone
			result := s.ask(word)
			require.Equal(t, 125, result.code, word)
			require.Regexp(t, `(?m)^envharness: error: .*control`, result.stderr)
			require.Regexp(t, `(?m)^envharness: hint: `, result.stderr)
			require.Empty(t, result.stdout)
		}
	})
}

// TestStopWhileDrained: what is withdrawn is not withdrawn again.
func TestStopWhileDrained(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{"export/held": held, "export/teardown": teardown}), "probe", "watch", "log")
		s.logs("held start", "start")
		s.becomes("ready", 0)
		s.answers("drain", 0)
		s.stop()
		s.logs("held start", "start", "held TERM", "held gone", "teardown", "withdrawn", "TERM")
	})
}

// TestDrainedStaysDrainedOverARestart: a new COMMAND is no reason to send anybody to it.
func TestDrainedStaysDrainedOverARestart(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{"environment/A": changing, "A.value": "1\n", "export/held": held}),
			"--refresh", "20ms", "probe", "watch", "log", "A")
		s.logs("held start", "start A=1")
		s.becomes("ready", 0)
		s.answers("drain", 0)
		s.set("A", "2")
		s.logs("held start", "start A=1", "held TERM", "held gone", "TERM", "start A=2")
		s.answers("ready", 1)
		require.Equal(t, "drained", s.status()["phase"])
		s.answers("resume", 0)
		s.logsLine("held start", 2)
		s.stop()
	})
}

// TestResumeFails: an exporter that fails is a no, and the harness goes on trying.
func TestResumeFails(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{"export/a": "#!/bin/sh\n[ ! -e broken ] && echo exported >>log\n"}), "probe", "watch", "log")
		s.logs("exported", "start")
		s.becomes("ready", 0)
		s.answers("drain", 0)
		s.touch("broken")
		s.answers("resume", 1)
		require.NoError(t, os.Remove(s.path("broken")))
		s.logsLine("exported", 2)
		s.stop()
	})
}

// TestTwoWhoDrain: both are told when it is done.
func TestTwoWhoDrain(t *testing.T) {
	t.Parallel()
	s := outside.start(t, tree(t, map[string]string{"export/held": held, "export/teardown": teardown}), "probe", "watch", "log")
	s.logs("held start", "start")
	s.becomes("ready", 0)
	codes := make(chan int, 5)
	for range cap(codes) {
		go func() { codes <- s.ask("drain").code }()
	}
	for range cap(codes) {
		require.Equal(t, 0, <-codes)
	}
	s.logs("held start", "start", "held TERM", "held gone", "teardown", "withdrawn")
	s.stop()
}

// TestControlLanguage: a client that says nothing, or too much, keeps nobody waiting.
func TestControlLanguage(t *testing.T) {
	t.Parallel()
	s := outside.start(t, tree(t, nil), "probe", "watch", "log")
	s.logs("start")
	s.becomes("ready", 0)
	// A socket's address is short, a test's directory may not be.
	short, err := os.MkdirTemp("", "c")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(short) })
	address := filepath.Join(short, "s")
	require.NoError(t, os.Symlink(s.path("control"), address))
	for i := range 50 {
		var conn net.Conn
		eventually(t, "there is room for one more", func() bool {
			conn, err = net.Dial("unix", address)
			return !errors.Is(err, unix.EAGAIN)
		})
		require.NoError(t, err)
		defer conn.Close()
		switch i % 5 {
		case 0: // silent
		case 1:
			conn.Write([]byte("sta"))
		case 2:
			conn.Write(make([]byte, 1<<16))
		case 3:
			conn.Write([]byte("\n\n\x00{}[]\nstop\n"))
		case 4:
			conn.Close()
		}
	}
	require.Equal(t, 0, s.ask("ready").code) // at once
	require.Equal(t, 0, s.ask("status").code)
	s.signal(unix.SIGUSR1)
	s.logs("start", "USR1")
	s.stop()
}

// asUser runs envharness word as another user.
func (s *service) asUser(uid, word string) outcome {
	s.t.Helper()
	return run(s.t, command(s.t, s.dir, "setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", harnessPath, word, "--socket", "control"))
}

// TestOtherUsersAreRefused: by the file's mode, and by a look at who asks when that was changed.
func TestOtherUsersAreRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		need(t, "root", "setpriv")
		files := map[string]string{"export/held": held}
		t.Run("a harness of root", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, files), "--user", "4242:4242", "sleep", "1000")
			s.becomes("ready", 0)
			var info unix.Stat_t
			require.NoError(t, unix.Stat(s.path("control"), &info))
			require.Equal(t, []uint32{unix.S_IFSOCK | 0o600, 0}, []uint32{info.Mode, info.Uid})
			for _, open := range []os.FileMode{0o600, 0o666} {
				require.NoError(t, os.Chmod(s.path("control"), open))
				for _, word := range []string{"drain", "status", "ready", "resume"} {
					result := s.asUser("4242", word)
					require.Contains(t, []int{1, 125}, result.code, "%s by COMMAND's user, mode %o", word, open)
					require.Empty(t, result.stdout)
					require.Regexp(t, `(?m)^envharness: error: `, result.stderr)
				}
			}
			s.answers("ready", 0)
			require.Equal(t, []string{"held start"}, s.log())
			s.signal(unix.SIGTERM)
			s.exits(143)
		})
		t.Run("a harness of somebody", func(t *testing.T) {
			t.Parallel()
			dir := tree(t, files)
			require.NoError(t, os.Chmod(dir, 0o777))
			cmd := in.initCommand(t, dir, "probe", "watch", "log")
			as := []string{"setpriv", "--reuid", "4242", "--regid", "4242", "--clear-groups"}
			cmd.Args = append(append(append([]string{}, cmd.Args[:len(in.wrap)]...), as...), cmd.Args[len(in.wrap):]...)
			cmd.Path = lookUp(t, cmd.Args[0])
			s := in.startCommand(t, cmd)
			s.logs("held start", "start")
			eventually(t, "its own user is answered", func() bool { return s.asUser("4242", "ready").code == 0 })
			require.NoError(t, os.Chmod(s.path("control"), 0o666))
			require.Contains(t, []int{1, 125}, s.asUser("4343", "drain").code)
			s.logs("held start", "start")
			s.signal(unix.SIGTERM)
			s.exits(0)
		})
	})
}

// TestSocketIsPrivateFromItsBirth: there is no moment at which its mode is another one, whatever the umask.
func TestSocketIsPrivateFromItsBirth(t *testing.T) {
	t.Parallel()
	dir := tree(t, nil)
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	require.NoError(t, err)
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	_, err = unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ATTRIB)
	require.NoError(t, err)
	s := outside.startCommand(t, func() *exec.Cmd {
		cmd := outside.initCommand(t, dir, "probe", "watch", "log")
		cmd.Args = append([]string{"sh", "-c", `umask 0; exec "$@"`, "sh"}, cmd.Args...)
		cmd.Path = lookUp(t, "sh")
		return cmd
	}())
	s.logs("start")
	s.becomes("ready", 0)
	info, err := os.Lstat(s.path("control"))
	require.NoError(t, err)
	require.Equal(t, os.ModeSocket|0o600, info.Mode())

	buffer := make([]byte, 1<<16)
	n, err := events.Read(buffer)
	require.NoError(t, err)
	var happened []uint32
	for at := 0; at < n; {
		size := int(binary.NativeEndian.Uint32(buffer[at+12:]))
		name := string(bytes.TrimRight(buffer[at+unix.SizeofInotifyEvent:at+unix.SizeofInotifyEvent+size], "\x00"))
		if name == "control" {
			happened = append(happened, binary.NativeEndian.Uint32(buffer[at+4:]))
		}
		at += unix.SizeofInotifyEvent + size
	}
	require.Equal(t, []uint32{unix.IN_CREATE}, happened, "it was made, and not changed")
	s.stop()
}

// TestFalseHarness: an answer of another user is worth nothing.
func TestFalseHarness(t *testing.T) {
	t.Parallel()
	need(t, "root", "setpriv", "socat")
	dir := tree(t, map[string]string{"answer": "#!/bin/sh\necho x >>asked\necho '{\"ok\":true,\"status\":{\"phase\":\"running\"}}'\n"})
	require.NoError(t, os.Chmod(dir, 0o777))
	impostor := command(t, dir, "setpriv", "--reuid", "4343", "--regid", "4343", "--clear-groups", "socat", "UNIX-LISTEN:control,fork,mode=666", "EXEC:./answer")
	require.NoError(t, impostor.Start())
	t.Cleanup(func() { impostor.Process.Kill(); impostor.Wait() })
	eventually(t, "it listens", func() bool {
		_, err := os.Lstat(filepath.Join(dir, "control"))
		return err == nil
	})
	s := &service{t: t, dir: dir}
	eventually(t, "it is asked", func() bool {
		s.asUser("4242", "ready")
		return len(lines(filepath.Join(dir, "asked"))) > 0
	})
	for _, word := range []string{"ready", "status", "drain", "resume"} {
		result := s.asUser("4242", word)
		require.Equal(t, 125, result.code, word)
		require.Empty(t, result.stdout)
	}
}

// TestStrangerInItsPlace: who listens where a harness would, and is neither root nor PID 1's user, keeps no service from
// being announced, whether others may talk to it or not.
func TestStrangerInItsPlace(t *testing.T) {
	t.Parallel()
	need(t, "root", "setpriv", "socat")
	for _, mode := range []string{"666", "000"} {
		dir := tree(t, map[string]string{"export/held": held, "export/teardown": teardown})
		require.NoError(t, os.Chmod(dir, 0o777))
		stranger := command(t, dir, "setpriv", "--reuid", "4343", "--regid", "4343", "--clear-groups", "socat", "UNIX-LISTEN:control,fork,mode="+mode, "-")
		require.NoError(t, stranger.Start())
		t.Cleanup(func() { stranger.Process.Kill(); stranger.Wait() })
		eventually(t, "it listens", func() bool {
			_, err := os.Lstat(filepath.Join(dir, "control"))
			return err == nil
		})
		s := outside.start(t, dir, "probe", "watch", "log")
		s.logs("held start", "start")
		s.stop()
	}
}

// TestSocketPlace: who may take the place of a socket, and what happens where none can be.
func TestSocketPlace(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		stale := func(t *testing.T, dir string) {
			need(t, "socat")
			cmd := command(t, dir, "socat", "UNIX-LISTEN:control,unlink-close=0", "-")
			require.NoError(t, cmd.Start())
			eventually(t, "a socket is there", func() bool {
				_, err := os.Lstat(filepath.Join(dir, "control"))
				return err == nil
			})
			require.NoError(t, cmd.Process.Kill())
			cmd.Wait()
		}
		t.Run("a stale one of ours", func(t *testing.T) {
			t.Parallel()
			dir := tree(t, nil)
			stale(t, dir)
			s := in.start(t, dir, "probe", "watch", "log")
			s.logs("start")
			s.becomes("ready", 0)
			require.Empty(t, s.text("stderr"))
			s.stop()
		})
		goesOn := func(t *testing.T, s *service) {
			s.logs("start")
			s.tells(`(?m)^envharness: warn.*control`)
			s.signal(unix.SIGUSR1)
			s.logs("start", "USR1")
			s.stop()
		}
		t.Run("a stale one of another", func(t *testing.T) {
			t.Parallel()
			need(t, "root")
			dir := tree(t, nil)
			stale(t, dir)
			require.NoError(t, os.Chown(filepath.Join(dir, "control"), 4242, 4242))
			before := inode(t, filepath.Join(dir, "control"))
			goesOn(t, in.start(t, dir, "probe", "watch", "log"))
			require.Equal(t, before, inode(t, filepath.Join(dir, "control")))
		})
		for name, content := range map[string]string{"a file": "precious\n", "an empty file": ""} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				dir := tree(t, map[string]string{"control": content})
				goesOn(t, in.start(t, dir, "probe", "watch", "log"))
				kept, err := os.ReadFile(filepath.Join(dir, "control"))
				require.NoError(t, err)
				require.Equal(t, content, string(kept))
			})
		}
		t.Run("a link", func(t *testing.T) {
			t.Parallel()
			dir := tree(t, map[string]string{"target": "precious\n"})
			require.NoError(t, os.Symlink("target", filepath.Join(dir, "control")))
			goesOn(t, in.start(t, dir, "probe", "watch", "log"))
			kept, err := os.ReadFile(filepath.Join(dir, "target"))
			require.NoError(t, err)
			require.Equal(t, "precious\n", string(kept))
		})
		t.Run("no directory", func(t *testing.T) {
			t.Parallel()
			goesOn(t, in.start(t, tree(t, nil), "--socket", "no/such/control", "probe", "watch", "log"))
		})
		t.Run("too long a path", func(t *testing.T) {
			t.Parallel()
			long := filepath.Join("a123456789b123456789c123456789d123456789e123456789f123456789g123456789h123456789i123456789j123456789", "control")
			goesOn(t, in.start(t, tree(t, nil), "--socket", long, "probe", "watch", "log"))
		})
		t.Run("another harness's", func(t *testing.T) {
			t.Parallel()
			dir := tree(t, nil)
			one := in.start(t, dir, "probe", "watch", "log")
			one.logs("start")
			one.becomes("ready", 0)
			before := inode(t, filepath.Join(dir, "control"))
			other := tree(t, nil)
			goesOn(t, in.start(t, other, "--socket", relative(t, other, filepath.Join(dir, "control")), "probe", "watch", "log"))
			require.Equal(t, before, inode(t, filepath.Join(dir, "control")), "also at its end")
			one.answers("ready", 0)
			one.stop()
		})
	})
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var info unix.Stat_t
	require.NoError(t, unix.Lstat(path, &info))
	return info.Ino
}

func relative(t *testing.T, from, to string) string {
	t.Helper()
	path, err := filepath.Rel(from, to)
	require.NoError(t, err)
	return path
}

// TestStatusIsJSON: one object, for programs.
func TestStatusIsJSON(t *testing.T) {
	t.Parallel()
	s := outside.start(t, tree(t, nil), "probe", "watch", "log")
	s.logs("start")
	s.becomes("ready", 0)
	result := s.ask("status")
	require.Equal(t, 0, result.code)
	var status struct {
		Phase     *string
		PID       *int
		Ready     *bool
		Names     []struct{}
		Exporters []struct{}
	}
	require.NoError(t, json.Unmarshal([]byte(result.stdout), &status))
	require.NotNil(t, status.Phase)
	require.NotNil(t, status.PID)
	require.NotNil(t, status.Ready)
	require.NotNil(t, status.Names, "an empty list is a list")
	require.NotNil(t, status.Exporters)
	s.stop()
}

// TestStatusTellsTheLastRefresh: of a name, by itself or pushed; one that fails is none.
func TestStatusTellsTheLastRefresh(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{
			"environment/A": changing, "A.value": "1\n",
			"environment/P": "#!/bin/sh\necho p\nprobe notify READY=1\nuntil [ -e go ]; do sleep 0.02; done\necho p\nprobe notify READY=1\nsleep 1000\n",
		}), "--refresh", "20ms", "probe", "watch", "log")
		s.logs("start")
		s.becomes("ready", 0)
		refreshed := func(name string) time.Time {
			for _, entry := range s.status()["names"].([]any) {
				if entry := entry.(map[string]any); entry["name"] == name {
					when, err := time.Parse(time.RFC3339Nano, entry["refreshed"].(string))
					require.NoError(t, err)
					return when
				}
			}
			t.Fatalf("no %s in the status", name)
			return time.Time{}
		}
		first := refreshed("A")
		eventually(t, "the time moves on", func() bool { return refreshed("A").After(first) })
		require.NoError(t, os.Remove(s.path("A.value")))
		s.tells(`(?m)^envharness: warn.*refresh`)
		last, pushed := refreshed("A"), refreshed("P")
		s.refreshed("A", 2)
		require.Equal(t, last, refreshed("A"), "it was not found again")
		s.touch("go")
		eventually(t, "a value was pushed", func() bool { return refreshed("P").After(pushed) })
		s.stop()
	})
}

// TestControlByVariable: the path may be said once for both ends.
func TestControlByVariable(t *testing.T) {
	t.Parallel()
	require.NoError(t, buildProbe())
	dir := tree(t, nil)
	cmd := command(t, dir, harnessPath, "--init", "sh", "-c", "until envharness ready --socket other; do sleep 0.05; done; echo ${ENVHARNESS_SOCKET-gone}")
	cmd.Env = append(os.Environ(), "ENVHARNESS_SOCKET=other")
	require.Equal(t, "gone\n", succeeds(t, cmd))
	for _, args := range [][]string{{"ready"}, {"status"}} {
		ask := exec.CommandContext(t.Context(), harnessPath, args...)
		ask.Dir = dir
		ask.Env = append(os.Environ(), "ENVHARNESS_SOCKET=other")
		output, _ := ask.CombinedOutput()
		require.Contains(t, string(output), "other", "it looks there")
		require.Equal(t, 125, ask.ProcessState.ExitCode())
	}
}

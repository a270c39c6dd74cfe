//go:build linux

package main_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// generation starts the next generation in a session of its own, waits until it was itself adopted by the harness,
// and ends: then the next one is an orphan.
const generation = `#!/bin/sh
if [ $1 -gt 1 ]; then setsid ./generation $(($1-1)) & fi
until grep -q "^PPid:[[:space:]]*$HARNESS\$" /proc/$$/status; do sleep 0.02; done
echo $$ >>adopted
`

// TestOrphansOfAllGenerations: the harness adopts and reaps children's children, as a subreaper too.
func TestOrphansOfAllGenerations(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		dir := tree(t, map[string]string{
			"generation": generation,
			"family": `#!/bin/sh
				export HARNESS=$PPID
				(setsid ./generation 5 &)
				until [ "$(grep -c . adopted)" = 5 ]; do sleep 0.02; done 2>/dev/null
				for orphan in $(cat adopted); do
					while [ -e /proc/$orphan ]; do sleep 0.02; done
				done
				exec probe watch log`,
		})
		s := in.start(t, dir, "./family")
		s.logs("start")
		require.Len(t, childrenOf(t, s.pid), 1, "COMMAND alone is left")
		s.stop()
	})
}

// TestOrphansOfExecutables: what executables leave behind is reaped too, and their own exit codes are not.
func TestOrphansOfExecutables(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		litter := "#!/bin/sh\nfor i in 1 2 3 4 5; do (setsid sh -c 'exit 5' >/dev/null 2>&1 &); done\n"
		s := in.start(t, tree(t, map[string]string{
			"export/a":      litter,
			"environment/A": litter + "echo run >>runs\necho a\n",
			"environment/B": litter + "exit $(cat code)\n",
			"code":          "0",
		}), "--refresh", "10ms", "--on-change", "restart", "probe", "watch", "log", "A", "B")
		s.logs("start A=a B=")
		eventually(t, "it was refreshed", func() bool { return len(lines(s.path("runs"))) >= 20 })
		require.Equal(t, []string{"start A=a B="}, s.log(), "a wrong exit code would be a failure, a lost one a hang")
		eventually(t, "nothing but COMMAND and an executable is left", func() bool { return len(childrenOf(t, s.pid)) <= 2 })
		s.stop()
	})
}

// TestStormOfOrphans: none of 100,000 stays a zombie; -short is content with fewer.
func TestStormOfOrphans(t *testing.T) {
	t.Parallel()
	need(t, "root", "unshare")
	orphans := "30000" // make bench has 100,000
	if testing.Short() {
		orphans = "5000"
	}
	s := first.start(t, tree(t, nil), "probe", "orphans", orphans)
	require.Equal(t, 0, s.endsWithin(10*time.Minute).code)
	require.Equal(t, "orphans left: 0\n", s.text("stdout"))
}

// TestCommandExitsInAStorm: among thousands of exits the one that counts is seen, with its code.
func TestCommandExitsInAStorm(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		dir := tree(t, nil)
		for code := range 5 {
			s := in.start(t, dir, "probe", "scatter", "2000", strconv.Itoa(code))
			s.exits(code)
		}
		s := in.start(t, dir, "sh", "-c", "probe scatter 2000 0; exec probe watch log")
		s.logs("start")
		eventually(t, "COMMAND alone is left", func() bool { return len(childrenOf(t, s.pid)) == 1 })
		s.stop()
	})
}

// TestSignalInAStorm: a harness that is busy reaping forwards.
func TestSignalInAStorm(t *testing.T) {
	t.Parallel()
	need(t, "root", "unshare")
	s := first.start(t, tree(t, nil), "sh", "-c", "while :; do probe scatter 1000 0; echo x >going; done & exec probe watch log")
	appears(t, s.path("going"))
	want := []string{"start"}
	s.logs(want...)
	for i := range 50 {
		sig := []unix.Signal{unix.SIGUSR1, unix.SIGHUP, 50}[i%3]
		s.signal(sig)
		want = append(want, short(sig))
		s.logs(want...)
	}
	s.stop()
}

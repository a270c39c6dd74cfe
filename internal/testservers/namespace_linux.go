package testservers

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Namespace is a network namespace with two ways to it from this machine, of which the far one can be
// cut: then packets are lost in both directions, as when a cable is out.
type Namespace struct {
	Near, Far string // addresses of the namespace

	name    string
	farName string // of the far link, within
}

// NewNamespace makes a namespace until the end of the test, or gives nil where this process may not.
func NewNamespace(t testing.TB) *Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	id := fmt.Sprintf("%06x", rand.IntN(1<<24))
	n := &Namespace{name: "envh-" + id, farName: "ef" + id}
	if out, err := exec.Command("ip", "netns", "add", n.name).CombinedOutput(); err != nil {
		t.Logf("no network namespace: %v: %s", err, out)
		return nil
	}
	t.Cleanup(func() { n.ip(t, "netns", "delete", n.name) }) // its links go with it
	n.ip(t, "-n", n.name, "link", "set", "lo", "up")
	n.Near = n.link(t, "eo"+id, "en"+id)
	n.Far = n.link(t, "ep"+id, n.farName)
	return n
}

// link joins this machine and the namespace by a subnet of its own and gives the address within.
func (n *Namespace) link(t testing.TB, outside, inside string) string {
	t.Helper()
	subnet := fmt.Sprintf("198.%d.%d.%d", 18+rand.IntN(2), rand.IntN(256), 4*rand.IntN(64)) // RFC 2544: for tests
	base := subnet[:strings.LastIndex(subnet, ".")+1]
	var last int
	fmt.Sscan(subnet[len(base):], &last)
	here, there := fmt.Sprint(base, last+1), fmt.Sprint(base, last+2)
	n.ip(t, "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", n.name)
	n.ip(t, "addr", "add", here+"/30", "dev", outside)
	n.ip(t, "link", "set", outside, "up")
	n.ip(t, "-n", n.name, "addr", "add", there+"/30", "dev", inside)
	n.ip(t, "-n", n.name, "link", "set", inside, "up")
	return there
}

// Cut loses every packet of the far way until Mend.
func (n *Namespace) Cut(t testing.TB) {
	t.Helper()
	n.ip(t, "-n", n.name, "link", "set", n.farName, "down")
}

// Mend ends Cut.
func (n *Namespace) Mend(t testing.TB) {
	t.Helper()
	n.ip(t, "-n", n.name, "link", "set", n.farName, "up")
}

// Command makes cmd run within the namespace.
func (n *Namespace) Command(cmd *exec.Cmd) *exec.Cmd {
	inside := exec.Command("ip", append([]string{"netns", "exec", n.name}, cmd.Args...)...)
	inside.Env = cmd.Env
	return inside
}

func (n *Namespace) ip(t testing.TB, arguments ...string) {
	t.Helper()
	if out, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(arguments, " "), err, out)
	}
}

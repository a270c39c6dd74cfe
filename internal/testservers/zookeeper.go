package testservers

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// zooKeeperJar is where Debian puts the server; the jar names those that it needs.
const zooKeeperJar = "/usr/share/java/zookeeper.jar"

// ZooKeeperTick is the tick of a test's ZooKeeper: sessions last 2 ticks at least.
const ZooKeeperTick = 500 * time.Millisecond

// ZooKeeper is one server of ZooKeeper, alone or of an ensemble.
type ZooKeeper struct {
	*Process
	Address string // host:port of its clients
	data    string
}

// Wipe kills the server and starts it again with no data.
func (z *ZooKeeper) Wipe(t testing.TB) { t.Helper(); z.wiped(t, z.data) }

// DebianZooKeeper starts a server of Debian's package zookeeper, which is 3.8.
func DebianZooKeeper(t testing.TB) *ZooKeeper {
	t.Helper()
	return newZooKeepers(t, 1)[0]
}

// DebianZooKeeperEnsemble starts an ensemble of servers that is ready when each of them has the quorum.
func DebianZooKeeperEnsemble(t testing.TB, size int) []*ZooKeeper {
	t.Helper()
	return newZooKeepers(t, size)
}

func newZooKeepers(t testing.TB, size int) []*ZooKeeper {
	t.Helper()
	java, err := exec.LookPath("java")
	if _, missing := os.Stat(zooKeeperJar); err != nil || missing != nil {
		Missing(t, "ZooKeeper 3.8", "apt-get install zookeeper")
	}
	var members strings.Builder
	for i := range size {
		if size > 1 {
			fmt.Fprintf(&members, "server.%d=127.0.0.1:%d:%d\n", i+1, FreePort(t), FreePort(t))
		}
	}
	servers := make([]*ZooKeeper, size)
	for i := range servers {
		directory := memoryDir(t)
		address := FreeAddress(t)
		writeZooKeeper(t, directory, address, i+1, members.String())
		command := func() *exec.Cmd {
			return exec.Command(java, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
				"-Dzookeeper.forceSync=no", // a test's data need not outlive the machine
				"-Dlog4j.configuration=file:"+filepath.Join(directory, "log4j.properties"),
				"-cp", zooKeeperJar+":"+logJars, "org.apache.zookeeper.server.quorum.QuorumPeerMain", filepath.Join(directory, "zoo.cfg"))
		}
		ready := func() error { return nil } // of an ensemble, none is before the others are started
		if size == 1 {
			ready = servesZooKeeper(address)
		}
		servers[i] = &ZooKeeper{StartProcess(t, fmt.Sprint("ZooKeeper 3.8 number ", i+1), command, ready), address, filepath.Join(directory, "version-2")}
	}
	for _, server := range servers {
		server.Await(t)
	}
	return servers
}

// logJars are for its log, which it only keeps when it finds them.
const logJars = "/usr/share/java/slf4j-log4j12.jar:/usr/share/java/log4j-1.2.jar"

func writeZooKeeper(t testing.TB, directory, address string, number int, members string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"myid": fmt.Sprintln(number),
		"zoo.cfg": fmt.Sprintf(`dataDir=%s
clientPortAddress=%s
clientPort=%s
tickTime=%d
initLimit=20
syncLimit=10
maxSessionTimeout=120000
maxClientCnxns=0
preAllocSize=1024
admin.enableServer=false
4lw.commands.whitelist=*
%s`, directory, host, port, ZooKeeperTick.Milliseconds(), members),
		"log4j.properties": `log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
`,
	} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Await waits until the server serves clients.
func (z *ZooKeeper) Await(t testing.TB) {
	t.Helper()
	z.lock.Lock()
	defer z.lock.Unlock()
	z.await(t, z.cmd, servesZooKeeper(z.Address))
}

// Leads reports whether the server is its ensemble's leader.
func (z *ZooKeeper) Leads() bool {
	text, err := askZooKeeper(z.Address, "srvr")
	return err == nil && strings.Contains(text, "Mode: leader")
}

// servesZooKeeper asks whether a server has a quorum, or needs none.
func servesZooKeeper(address string) func() error {
	return func() error {
		text, err := askZooKeeper(address, "srvr")
		if err == nil && !strings.Contains(text, "Mode: ") {
			err = fmt.Errorf("it says %.100q", text)
		}
		return err
	}
}

// askZooKeeper sends one of its four-letter words.
func askZooKeeper(address, word string) (string, error) {
	conn, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte(word)); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	return string(text), err
}

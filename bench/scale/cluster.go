//go:build linux

package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

const members = 3

// address is that of a member; the bridge, where the clients are, is 10.77.0.1.
func address(n int) string { return fmt.Sprintf("10.77.0.%d", 10+n) }

// endpoints are where the clients connect.
func endpoints() []string {
	all := make([]string, members)
	for n := range all {
		all[n] = address(n) + ":2379"
	}
	return all
}

// bridge makes what the members are connected by, in this network namespace.
func bridge() error {
	return ip("link set lo up", "link add br0 type bridge", "addr add 10.77.0.1/24 dev br0", "link set br0 up")
}

func ip(commands ...string) error {
	for _, command := range commands {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", command, err, out)
		}
	}
	return nil
}

// cluster is three members that this process has started.
type cluster struct{ processes []*exec.Cmd }

// startCluster starts members with empty disks, and waits until they answer.
func startCluster(directory string) (*cluster, error) {
	c := &cluster{}
	if err := os.RemoveAll(directory); err != nil {
		return nil, err
	}
	for n := range members {
		cmd := exec.Command("/proc/self/exe", "member", strconv.Itoa(n), address(n), filepath.Join(directory, strconv.Itoa(n)))
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		c.processes = append(c.processes, cmd)
		if err := plug(n, cmd.Process.Pid); err != nil {
			c.stop()
			return nil, err
		}
	}
	for n := range members {
		if err := answers(address(n) + ":2379"); err != nil {
			c.stop()
			return nil, err
		}
	}
	return c, nil
}

// plug connects the network namespace of a process with the bridge.
func plug(n, pid int) error {
	outside := fmt.Sprintf("member%d", n)
	_ = exec.Command("ip", "link", "del", outside).Run() // that of a member before
	return ip(
		fmt.Sprintf("link add %s type veth peer name eth0 netns %d", outside, pid),
		fmt.Sprintf("link set %s master br0 up", outside),
	)
}

func answers(address string) error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			return connection.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// kill ends one member as a broken machine would.
func (c *cluster) kill(n int) {
	_ = c.processes[n].Process.Kill()
	_ = c.processes[n].Wait()
}

func (c *cluster) stop() {
	for n := range c.processes {
		c.kill(n)
	}
}

// member is one etcd with its defaults, in a network namespace that gets its interface from outside.
func member(number, host, directory string) error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := net.InterfaceByName("eth0"); err == nil {
			break
		} else if time.Now().After(deadline) {
			return err
		}
	}
	if err := ip("link set lo up", "addr add "+host+"/24 dev eth0", "link set eth0 up"); err != nil {
		return err
	}
	at := func(port int) []url.URL {
		return []url.URL{{Scheme: "http", Host: fmt.Sprintf("%s:%d", host, port)}}
	}
	config := embed.NewConfig()
	config.Name, config.Dir, config.LogLevel = number, directory, "panic"
	config.QuotaBackendBytes = 8 << 30
	config.ListenClientUrls, config.AdvertiseClientUrls = at(2379), at(2379)
	config.ListenPeerUrls, config.AdvertisePeerUrls = at(2380), at(2380)
	var initial []string
	for n := range members {
		initial = append(initial, fmt.Sprintf("%d=http://%s:2380", n, address(n)))
	}
	config.InitialCluster = strings.Join(initial, ",")
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	return <-server.Err()
}

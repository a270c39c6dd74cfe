//go:build linux

package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// notify sends a message of sd_notify(3), and returns when it was received.
func notify(message string) { send(notifySocket(), message, true) }

func notifySocket() string {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		fail("no NOTIFY_SOCKET")
	}
	return address
}

// send may wait until the message was received: BARRIER=1 comes with a descriptor that the receiver closes.
func send(address, message string, wait bool) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	check(err)
	defer unix.Close(fd)
	to := &unix.SockaddrUnix{Name: address}
	check(unix.Sendto(fd, []byte(message), 0, to))
	if !wait {
		return
	}
	var ends [2]int
	check(unix.Pipe2(ends[:], unix.O_CLOEXEC))
	defer unix.Close(ends[0])
	check(unix.Sendmsg(fd, []byte("BARRIER=1"), unix.UnixRights(ends[1]), to, 0))
	check(unix.Close(ends[1]))
	poll := []unix.PollFd{{Fd: int32(ends[0])}}
	for {
		_, err := unix.Poll(poll, -1)
		if err != unix.EINTR {
			check(err)
			return
		}
	}
}

// push is a held discoverer: 0 is its first value. When the file GO is there it gives the values 1 to COUNT within
// a second, and writes to DONE the longest time between two of them.
func push(args []string) {
	flags := flag.NewFlagSet("push", flag.ExitOnError)
	check(flags.Parse(args))
	count, err := strconv.Atoi(flags.Arg(0))
	check(err)
	begin, done := flags.Arg(1), flags.Arg(2)
	end := make(chan os.Signal, 1)
	signal.Notify(end, unix.SIGTERM)

	value := func(i int) {
		fmt.Println(i)
		notify("READY=1")
	}
	value(0)
	for unix.Access(begin, unix.F_OK) != nil {
		time.Sleep(2 * time.Millisecond)
	}
	longest, last := time.Duration(0), time.Now()
	for i := 1; i <= count; i++ {
		value(i)
		longest, last = max(longest, time.Since(last)), time.Now()
		time.Sleep(time.Second/time.Duration(count) - time.Millisecond)
	}
	check(os.WriteFile(done+"~", []byte(longest.String()), 0o644))
	check(os.Rename(done+"~", done))
	<-end
}

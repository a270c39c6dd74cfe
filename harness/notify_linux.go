package harness

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// notifySocket receives the messages of sd_notify(3) for one executable. Its address is abstract and chosen
// by the kernel (autobind, unix(7)), so that it needs no writable disk and is nobody else's.
type notifySocket struct {
	fd      int
	address string
	also    int // a user that is heard beside root and the harness's own
}

// listenNotify opens a socket. Where that is forbidden there are no notifications, which is no failure:
// most executables send none. The owner closes it.
func listenNotify() *notifySocket {
	none := &notifySocket{fd: -1}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return none
	}
	n := &notifySocket{fd: fd}
	if n.bind() != nil {
		n.close()
		return none
	}
	return n
}

func (n *notifySocket) bind() error {
	if err := unix.SetsockoptInt(n.fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return err
	}
	if err := unix.Bind(n.fd, &unix.SockaddrUnix{}); err != nil {
		return err
	}
	bound, err := unix.Getsockname(n.fd)
	if err != nil {
		return err
	}
	n.address = bound.(*unix.SockaddrUnix).Name
	return nil
}

// environ is the entry that tells an executable the address, or nothing.
func (n *notifySocket) environ() []string {
	if n.fd < 0 {
		return nil
	}
	return []string{notifySocketName + "=" + n.address}
}

func (n *notifySocket) close() {
	if n.fd >= 0 {
		unix.Close(n.fd)
		n.fd = -1
	}
}

// ready takes what has arrived and counts the messages that said READY=1.
func (n *notifySocket) ready() int {
	count := 0
	for {
		message, ok := n.receive()
		if !ok {
			return count
		}
		if saysReady(message) {
			count++
		}
	}
}

func saysReady(message string) bool {
	for line := range strings.Lines(message) {
		if strings.TrimSuffix(line, "\n") == "READY=1" {
			return true
		}
	}
	return false
}

// receive takes one message. Only root, the harness's own user and n.also are heard: an abstract socket has no
// file permissions that would keep others out. Descriptors that come with a message are closed: a sender of
// BARRIER=1 (systemd-notify(1)) waits for that.
func (n *notifySocket) receive() (message string, ok bool) {
	var data [4096]byte
	var control [512]byte
	for {
		size, controlSize, _, _, err := unix.Recvmsg(n.fd, data[:], control[:], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", false
		}
		if uid := sender(control[:controlSize]); uid == 0 || uid == os.Getuid() || uid == n.also {
			return string(data[:size]), true
		}
	}
}

// sender reads a message's credentials and closes its descriptors. Without credentials it is nobody, -1.
func sender(control []byte) int {
	uid := -1
	messages, _ := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if credentials, err := unix.ParseUnixCredentials(&m); err == nil {
			uid = int(credentials.Uid)
		}
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
		}
	}
	return uid
}

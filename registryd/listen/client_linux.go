package listen

import (
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// unixPeer is the user who connected, by SO_PEERCRED (unix(7)).
func unixPeer(c net.Conn) string {
	socket, ok := c.(*net.UnixConn)
	if !ok {
		return "unix"
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return "unix"
	}
	name := "unix"
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			name = "uid " + strconv.FormatUint(uint64(peer.Uid), 10)
		}
	})
	return name
}

package sdnotify

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// FuzzDatagrams sends datagrams with descriptors to a socket: each is taken once, whole or cut at 4096 bytes, what it
// says counts, and no descriptor stays open.
func FuzzDatagrams(f *testing.F) {
	for i, message := range messages {
		f.Add(message, uint8(i%4))
	}
	f.Add("READY=1", uint8(255)) // more than fit into what is read beside a datagram
	f.Fuzz(func(t *testing.T, message string, descriptors uint8) {
		if len(message) > 64<<10 {
			t.Skip("more than a datagram")
		}
		listener := Listen()
		defer listener.Close()
		address := strings.TrimPrefix(listener.Environ()[0], Variable+"=")
		var ends [2]int
		require.NoError(t, unix.Pipe2(ends[:], unix.O_CLOEXEC))
		defer unix.Close(ends[0])
		send(t, address, message, ends[1], int(descriptors)%254)
		Send(address, "READY=1")
		unix.Close(ends[1])

		read := message[:min(len(message), 4096)]
		want := 1
		if SaysReady(read) {
			want++
		}
		require.Equal(t, want, listener.Ready(), "%q", message)
		valid, _ := ValidFor(read)
		require.Equal(t, valid, listener.Valid(), "%q", message)
		// Nobody has the pipe's end any more: it is at its end.
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(ends[0])}}, int(time.Minute/time.Millisecond))
		require.NoError(t, err)
		require.Equal(t, 1, n, "a descriptor that came with a message is open")
	})
}

// send sends a message with the same descriptor several times, as SCM_RIGHTS has them.
func send(t *testing.T, address, message string, fd, times int) {
	t.Helper()
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(socket)
	var rights []byte
	if times > 0 {
		fds := make([]int, times)
		for i := range fds {
			fds[i] = fd
		}
		rights = unix.UnixRights(fds...)
	}
	require.NoError(t, unix.Sendmsg(socket, []byte(message), rights, &unix.SockaddrUnix{Name: address}, unix.MSG_NOSIGNAL))
}

package control

import (
	"bufio"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// DefaultSocket is where a harness is reached, and looked for.
const DefaultSocket = "/run/envharness.sock"

// secondSocket is where it is when the directory of DefaultSocket is missing or cannot be written: images FROM scratch
// have no /run, a container with a read-only root or another user than root cannot write there, and every container
// has /dev/shm. Its mode is 01777, so that only the socket's owner and root can take it away.
const secondSocket = "/dev/shm/envharness.sock"

// places are where the harness of socket may listen. One that a user has named is at its place or nowhere.
func places(socket string) []string {
	if socket == DefaultSocket {
		return []string{DefaultSocket, secondSocket}
	}
	return []string{socket}
}

// lacksPlace tells that bind(2) failed for the sake of the directory.
func lacksPlace(err error) bool {
	for _, lack := range []error{unix.ENOENT, unix.ENOTDIR, unix.EROFS, unix.EACCES, unix.EPERM} {
		if errors.Is(err, lack) {
			return true
		}
	}
	return false
}

// isListenedAt tells whether a process of this network namespace listens on a socket that was bound to path: what
// can be known of another user's, as /proc/net/unix of proc_net(5) has it.
func isListenedAt(path string) bool {
	file, err := os.Open("/proc/net/unix")
	if err != nil {
		return false
	}
	defer file.Close()
	const listens = "00010000" // the flag __SO_ACCEPTCON
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 7 && fields[3] == listens && fields[7] == path {
			return true
		}
	}
	return false
}

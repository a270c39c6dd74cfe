package control

import "golang.org/x/sys/unix"

// peerUser is the user of the process at the other end of a unix socket.
func peerUser(fd int) (int, error) {
	credentials, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(credentials.Uid), nil
}

// peerProcess is that process's ID, or 0 when it has none in the PID namespace of this one.
func peerProcess(fd int) (int, error) {
	credentials, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(credentials.Pid), nil
}

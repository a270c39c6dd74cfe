package control

import "golang.org/x/sys/unix"

// peerUser is the user of the process at the other end of a unix socket.
func peerUser(fd int) (int, error) {
	credentials, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(credentials.Uid), nil
}

// peerProcess is not asked for: no harness stays here.
func peerProcess(int) (int, error) { return 0, nil }

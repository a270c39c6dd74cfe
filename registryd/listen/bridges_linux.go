package listen

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// isBridge asks the kernel.
func isBridge(device string) bool {
	_, err := os.Stat("/sys/class/net/" + device + "/bridge")
	return err == nil
}

// listenOnDevice listens for what arrives by one device only: an address alone would be reached by every other,
// because the kernel takes a packet for any of its addresses from any device.
func listenOnDevice(address, device string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		controlErr := raw.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), device) })
		return errors.Join(controlErr, err)
	}}
	return config.Listen(context.Background(), "tcp", address)
}

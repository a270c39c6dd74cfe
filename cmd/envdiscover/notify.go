package main

import "net"

// notify sends a message by the protocol of sd_notify(3), if somebody asked for one.
func (p *program) notify(message string) error {
	if p.notifySocket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: p.notifySocket, Net: "unixgram"})
	if err != nil {
		return failed(err, 0, "NOTIFY_SOCKET names no socket that listens; unset it to go without")
	}
	defer conn.Close()
	_, err = conn.Write([]byte(message))
	return err
}

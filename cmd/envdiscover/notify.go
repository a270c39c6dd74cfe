package main

import "github.com/envharness/envharness/internal/sdnotify"

// notify sends a message by the protocol of sd_notify(3), if somebody asked for one.
func (p *program) notify(message string) error {
	if p.notifySocket == "" {
		return nil
	}
	if err := sdnotify.Tell(p.notifySocket, message); err != nil {
		return failed(err, 0, sdnotify.Variable+" names no socket that listens; unset it to go without")
	}
	return nil
}

package service

import (
	"cmp"
	"strconv"
)

// ID names an instance so that it has the same name after a restart: SERVICE-HOSTNAME-PORT, without the last
// part for a port of 0.
func ID(service, hostname string, port int) string {
	id := service + "-" + cmp.Or(hostname, "localhost")
	if port != 0 {
		id += "-" + strconv.Itoa(port)
	}
	return id
}

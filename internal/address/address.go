// Package address finds the two addresses that a container is offered: the one that others reach it at,
// CONTAINER_HOST, and that of its machine's registry, DOCKERD. It uses nothing of package net, because
// envharness is to stay small.
package address

// DockerdPort is where envdiscoverd, one machine's registry, listens.
const DockerdPort = 7171

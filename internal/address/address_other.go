//go:build !linux

package address

// Offers finds nothing: there are no containers here.
func Offers() (containerHost, dockerd string) { return "", "" }

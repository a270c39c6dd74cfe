//go:build !linux

package main

// rest is for Linux alone.
func rest() {}

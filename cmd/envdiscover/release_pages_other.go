//go:build !linux

package main

// releasePages is for Linux alone.
func releasePages() {}

// Package buildinfo tells which version of the source a program was built from.
//
// `make build` gives version and commit to the linker. A plain `go build` in a checkout, and `go install` of a
// version, leave them in the module information that every Go binary carries; so does `go build` with
// -buildvcs=false, but for the commit.
package buildinfo

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Set by the linker, see the Makefile. Empty is unset.
var version, commit string

const commitLength = 12 // hexadecimal digits, as in a pseudo-version

// String is version, commit and Go version, as `v1.2.3 (0123456789ab, go1.26.1)`. It reads the module
// information when it is called, and not before.
func String() string {
	v, c := version, commit
	if v == "" || c == "" {
		v, c = describe(v, c, read())
	}
	return fmt.Sprintf("%s (%s, %s)", v, c, runtime.Version())
}

func read() *debug.BuildInfo {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info
	}
	return new(debug.BuildInfo)
}

// describe fills in what the linker left empty.
func describe(version, commit string, info *debug.BuildInfo) (string, string) {
	if version == "" {
		version = moduleVersion(info)
	}
	if commit == "" {
		commit = revision(info)
	}
	return version, commit
}

func moduleVersion(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "devel"
}

// revision is the commit of the checkout, else the one that a pseudo-version ends in.
func revision(info *debug.BuildInfo) string {
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && setting.Value != "" {
			return setting.Value[:min(commitLength, len(setting.Value))]
		}
	}
	return pseudoRevision(info.Main.Version)
}

// pseudoRevision is the commit in a version such as v1.2.4-0.20260102150405-0123456789ab, see
// https://go.dev/ref/mod#pseudo-versions.
func pseudoRevision(version string) string {
	version, _, _ = strings.Cut(version, "+")
	fields := strings.Split(version, "-")
	last := fields[len(fields)-1]
	if len(fields) < 3 || len(last) != commitLength || strings.Trim(last, "0123456789abcdef") != "" {
		return "unknown"
	}
	return last
}

package main

import (
	"fmt"
	"slices"
	"strings"
)

// A platform is what binaries are built for. The variant is the oldest processor that they run on.
type platform struct {
	os, arch string
	variant  string // NAME=VALUE of Go's variable for the processor
	image    string // the variant as the OCI calls it

	// The package managers' names where they are not what nfpm makes of arch. ARMv6 binaries are for
	// armhf, whatever of the two processors a distribution means by that.
	deb, rpm, apk string
}

var platforms = []platform{
	{os: "linux", arch: "amd64", variant: "GOAMD64=v1"},
	{os: "linux", arch: "arm64", variant: "GOARM64=v8.0", image: "v8"},
	{os: "linux", arch: "arm", variant: "GOARM=6", image: "v6", deb: "armhf", rpm: "armv7hl", apk: "armv7"},
	{os: "linux", arch: "386", variant: "GO386=sse2", rpm: "i686"},
	{os: "linux", arch: "riscv64", variant: "GORISCV64=rva20u64"},
	{os: "linux", arch: "ppc64le", variant: "GOPPC64=power8"},
	{os: "linux", arch: "s390x"},
	{os: "darwin", arch: "amd64", variant: "GOAMD64=v1"},
	{os: "darwin", arch: "arm64", variant: "GOARM64=v8.0"},
}

func (p platform) String() string { return p.os + "/" + p.arch }

// choose gives the platforms of a list as linux/amd64,darwin/arm64; an empty one is all.
func choose(list string) ([]platform, error) {
	if list == "" {
		return platforms, nil
	}
	var chosen []platform
	for name := range strings.SplitSeq(list, ",") {
		at := slices.IndexFunc(platforms, func(p platform) bool { return p.String() == name })
		if at < 0 {
			return nil, fmt.Errorf("%q: %w %v", name, errNoPlatform, platforms)
		}
		chosen = append(chosen, platforms[at])
	}
	return chosen, nil
}

// A program is one binary, and one package and one image.
type program struct {
	name, summary, description string

	// refuses is why there is none for a platform, empty where there is one.
	refuses func(platform) string
}

var programs = []program{
	{
		name:    "envharness",
		summary: "container entrypoint that resolves an environment directory",
		description: "Turns a directory into environment variables, running what is executable in it,\n" +
			"and then becomes the command, or stays beside it as PID 1.",
	},
	{
		name:    "envdiscover",
		summary: "client for registries of values and services",
		description: "Announces services and finds them, in envdiscoverd, etcd, Consul and ZooKeeper,\n" +
			"for people and scripts.",
	},
	{
		name:    "envdiscoverd",
		summary: "one machine's registry of values and services",
		description: "Keeps what the services of one machine and of its containers announce,\n" +
			"by the protocol of etcd v3, HTTP and a page, all on one port.",
		refuses: refusesRegistry,
	},
}

// refusesRegistry is why envdiscoverd is not for a platform. The storage of etcd maps its file, of up to 2 GiB,
// into memory whole, which 32 bit cannot address; and it serves containers, which are Linux.
func refusesRegistry(p platform) string {
	switch {
	case p.os != "linux":
		return "it is the registry of a machine with containers, which is Linux"
	case p.arch == "arm" || p.arch == "386":
		return "the etcd in it needs 64 bit"
	}
	return ""
}

// programs are those that are built for the platform.
func (p platform) programs() []program {
	return slices.DeleteFunc(slices.Clone(programs), func(program program) bool {
		return program.refuses != nil && program.refuses(p) != ""
	})
}

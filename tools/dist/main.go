// Command dist makes everything that a release is, from a clean checkout: archives, packages of three kinds,
// container images, a bill of materials for each binary, and SHA256SUMS.
//
//	make dist
//	make dist PLATFORMS=linux/amd64,linux/arm64
//
// One commit gives the same bytes wherever and whenever it is built by the same version of Go: binaries are built
// with -trimpath, every time is the commit's, every owner is a number, and every list is sorted. The version is
// the one that Go itself reads from the checkout: that of the commit's tag, or a pseudo-version.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"
)

func main() {
	source := flag.String("source", "../..", "the checkout")
	output := flag.String("output", "../../dist", "the directory to make")
	list := flag.String("platforms", "", "only these, as linux/amd64,linux/arm64")
	flag.Parse()
	if err := run(*source, *output, *list); err != nil {
		fmt.Fprintln(os.Stderr, "dist: error:", err)
		os.Exit(1)
	}
}

func run(source, output, list string) error {
	platforms, err := choose(list)
	if err != nil {
		return err
	}
	release, err := open(source)
	if err != nil {
		return err
	}
	defer release.close()
	if err := os.Mkdir(output, 0o755); err != nil {
		return fmt.Errorf("%w: the directory must be a new one", err)
	}
	release.output = output

	for _, p := range platforms {
		if err := release.build(p); err != nil {
			return err
		}
	}
	if err := release.describe(platforms[0]); err != nil {
		return err
	}
	if err := release.pack(platforms); err != nil {
		return err
	}
	return sum(output)
}

// pack writes what is made of the binaries, as many files at a time as there are processors: it is compression
// for the most part.
func (r *release) pack(platforms []platform) error {
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for _, p := range platforms {
		group.Go(func() error { return r.archive(p) })
		for _, program := range p.programs() {
			group.Go(func() error { return r.bill(program, p) })
			if p.os == "linux" {
				group.Go(func() error { return r.packages(program, p) })
			}
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, program := range programs {
		if err := r.images(program, platforms); err != nil {
			return fmt.Errorf("image of %s: %w", program.name, err)
		}
	}
	return nil
}

// file is the path of a file of the release.
func (r *release) file(format string, words ...any) string {
	return filepath.Join(r.output, fmt.Sprintf(format, words...))
}

var errNoPlatform = errors.New("no platform of this name; the platforms are")

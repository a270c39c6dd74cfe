package main

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	module   = "github.com/envharness/envharness"
	homepage = "https://" + module
	tags     = "urfave_cli_no_docs,grpcnotrace" // as in the Makefile
)

// A release is one commit's.
type release struct {
	source string // the checkout
	output string // where the files of the release go
	work   string // where binaries go
	commit string
	time   time.Time // of the commit; all files have it

	version   string // as Go has it: v1.2.3
	documents []document
}

// open looks at the checkout, which must be a commit as it is.
func open(source string) (*release, error) {
	r := &release{source: source}
	changed, err := r.git("status", "--porcelain")
	if err != nil {
		return nil, err
	}
	if changed != "" {
		return nil, fmt.Errorf("the checkout is not what was committed, and a release is one commit's; commit, or use a clean clone:\n%s", changed)
	}
	if r.commit, err = r.git("rev-parse", "HEAD"); err != nil {
		return nil, err
	}
	seconds, err := r.git("log", "-1", "--format=%ct")
	if err != nil {
		return nil, err
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return nil, err
	}
	r.time = time.Unix(unix, 0).UTC()
	// For the libraries that ask for it, https://reproducible-builds.org/specs/source-date-epoch/.
	if err := os.Setenv("SOURCE_DATE_EPOCH", seconds); err != nil {
		return nil, err
	}
	r.work, err = os.MkdirTemp("", "dist")
	return r, err
}

func (r *release) close() { _ = os.RemoveAll(r.work) }

func (r *release) git(words ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-C", r.source}, words...)...)
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", words[0], err)
	}
	return strings.TrimSpace(string(output)), nil
}

// binary is where build has put a program.
func (r *release) binary(program program, p platform) string {
	return filepath.Join(r.work, p.os+"_"+p.arch, program.name)
}

// build builds the programs of a platform, static and stripped. No setting of the user's has a say.
func (r *release) build(p platform) error {
	fmt.Println("building for", p)
	var packages []string
	for _, program := range programs {
		if program.refuses != nil && program.refuses(p) != "" {
			fmt.Printf("  no %s: %s\n", program.name, program.refuses(p))
			continue
		}
		packages = append(packages, "./cmd/"+program.name)
	}
	words := []string{"build", "-buildvcs=true", "-trimpath", "-tags", tags, "-ldflags", "-s -w -funcalign=16 -buildid=", "-o", filepath.Dir(r.binary(programs[0], p)) + "/"}
	cmd := exec.Command("go", append(words, packages...)...)
	cmd.Dir = r.source
	cmd.Env = append(os.Environ(), "GOOS="+p.os, "GOARCH="+p.arch, p.variant, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off", "GOEXPERIMENT=", "GOFIPS140=off")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build for %s: %w", p, err)
	}
	for _, program := range p.programs() {
		if err := r.checkVersion(r.binary(program, p)); err != nil {
			return err
		}
	}
	return nil
}

// checkVersion takes the version from the first binary: all have that of the commit.
func (r *release) checkVersion(path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	version := info.Main.Version
	if r.version == "" {
		r.version = version
	}
	if version != r.version || version == "(devel)" || strings.Contains(version, "+dirty") {
		return fmt.Errorf("%s is of version %s, not of the commit's", path, version)
	}
	return nil
}

// number is the version without its v, as names of files and tags of images have it.
func (r *release) number() string { return strings.TrimPrefix(r.version, "v") }

// packageVersion is the version as package managers sort it, 1.2.3 and what comes before that: rc1 of v1.2.3-rc.1,
// or pre and the time of a commit that has no tag. Alpine knows no other words.
func (r *release) packageVersion() (version, before string, err error) {
	version, before, found := strings.Cut(r.number(), "-")
	if !found {
		return version, "", nil
	}
	if t := r.time.Format("20060102150405"); strings.Contains(before, t+"-") {
		return version, "pre" + t, nil
	}
	word, number, _ := strings.Cut(before, ".")
	if _, err := strconv.ParseUint(number, 10, 32); err != nil || !(word == "alpha" || word == "beta" || word == "rc") {
		return "", "", errors.New("the tag " + r.version + " has no version that every package manager sorts; use alpha.N, beta.N or rc.N behind its hyphen")
	}
	return version, word + number, nil
}

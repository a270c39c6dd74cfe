package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	gomodule "golang.org/x/mod/module"
)

// addLicenses adds, for each program, the licences of the project and of all that is in its binary.
func (r *release) addLicenses(p platform) error {
	own, err := os.ReadFile(filepath.Join(r.source, "LICENSE"))
	if err != nil {
		return err
	}
	for _, program := range p.programs() {
		others, err := r.thirdParties(r.binary(program, p))
		if err != nil {
			return fmt.Errorf("licences of %s: %w", program.name, err)
		}
		text := fmt.Sprintf("%s is in %s:\n\n%s\n%s", program.name, homepage, own, others)
		r.documents = append(r.documents, document{program: program.name, path: "share/doc/" + program.name + "/copyright", content: []byte(text)})
	}
	return nil
}

var isLicense = regexp.MustCompile(`(?i)^(licen[sc]e|copying|notice|patents)([.-].*)?$`)

// thirdParties are the licences of the modules in a binary, and of Go; one that several have is there once.
func (r *release) thirdParties(binary string) (string, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return "", err
	}
	cache, err := goEnv("GOMODCACHE")
	if err != nil {
		return "", err
	}
	holders := map[string][]string{} // by the text of the licence
	for _, dependency := range info.Deps {
		directory, err := moduleDirectory(cache, dependency)
		if err != nil {
			return "", err
		}
		if err := readLicenses(holders, dependency.Path+" "+dependency.Version, directory); err != nil {
			return "", err
		}
	}
	root, err := goEnv("GOROOT")
	if err != nil {
		return "", err
	}
	if err := readLicenses(holders, "Go "+runtime.Version(), root); err != nil {
		return "", err
	}
	return joinLicenses(holders), nil
}

func joinLicenses(holders map[string][]string) string {
	var text strings.Builder
	for _, license := range slices.SortedFunc(maps.Keys(holders), func(a, b string) int {
		return strings.Compare(holders[a][0]+a, holders[b][0]+b)
	}) {
		fmt.Fprintf(&text, "%s\n\nIts binary has in it, under the terms below:\n  %s\n\n%s\n",
			strings.Repeat("-", 78), strings.Join(holders[license], "\n  "), strings.TrimSpace(license))
	}
	return text.String()
}

// readLicenses adds the licences in a module's directory. None is an error: what has no licence may not be given on.
func readLicenses(holders map[string][]string, holder, directory string) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return err
	}
	found := false
	for _, entry := range entries {
		if !isLicense.MatchString(entry.Name()) || entry.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(directory, entry.Name()))
		if err != nil {
			return err
		}
		key := string(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
		holders[key] = append(holders[key], holder)
		found = true
	}
	if !found {
		return fmt.Errorf("%s: no licence in %s", holder, directory)
	}
	return nil
}

func moduleDirectory(cache string, dependency *debug.Module) (string, error) {
	path, err := gomodule.EscapePath(dependency.Path)
	if err != nil {
		return "", err
	}
	version, err := gomodule.EscapeVersion(dependency.Version)
	return filepath.Join(cache, path+"@"+version), err
}

func goEnv(name string) (string, error) {
	output, err := exec.Command("go", "env", name).Output()
	return strings.TrimSpace(string(output)), err
}

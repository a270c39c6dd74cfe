package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// An entry is a file or, with a name that ends in a slash, a directory of an archive.
type entry struct {
	name    string
	mode    int64
	owner   int
	content []byte
}

// writeTar writes entries in the order of their names, all of the same time.
func writeTar(w io.Writer, at time.Time, entries []entry) error {
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	archive := tar.NewWriter(w)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Mode: e.mode, Uid: e.owner, Gid: e.owner, Size: int64(len(e.content)), ModTime: at, Typeflag: tar.TypeReg}
		if strings.HasSuffix(e.name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(e.content); err != nil {
			return err
		}
	}
	return archive.Close()
}

// archive writes a platform's tar.gz. Its bin, share and lib are those of /usr/local.
func (r *release) archive(p platform) error {
	top := fmt.Sprintf("envharness_%s_%s_%s", r.number(), p.os, p.arch)
	entries, err := r.archiveEntries(p)
	if err != nil {
		return err
	}
	for i := range entries {
		entries[i].name = top + "/" + entries[i].name
	}
	file, err := os.Create(r.file("%s.tar.gz", top))
	if err != nil {
		return err
	}
	packed := gzip.NewWriter(file)
	return errors.Join(writeTar(packed, r.time, withDirectories(entries)), packed.Close(), file.Close())
}

func (r *release) archiveEntries(p platform) ([]entry, error) {
	var entries []entry
	add := func(name string, mode int64, source string) error {
		content, err := os.ReadFile(source)
		entries = append(entries, entry{name: name, mode: mode, content: content})
		return err
	}
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		if err := add(name, 0o644, filepath.Join(r.source, name)); err != nil {
			return nil, err
		}
	}
	for _, program := range p.programs() {
		if err := add("bin/"+program.name, 0o755, r.binary(program, p)); err != nil {
			return nil, err
		}
		for _, d := range r.documents {
			if d.program == program.name && d.distribution != "deb" {
				entries = append(entries, entry{name: d.path, mode: 0o644, content: d.content})
			}
		}
		if program.name == registry {
			unit := filepath.Join(r.source, "examples/envdiscoverd/envdiscoverd.service")
			if err := add("lib/systemd/system/envdiscoverd.service", 0o644, unit); err != nil {
				return nil, err
			}
		}
	}
	return entries, nil
}

// withDirectories adds the directories that the entries are in.
func withDirectories(entries []entry) []entry {
	seen := map[string]bool{".": true}
	for _, e := range entries {
		for parent := filepath.Dir(e.name); !seen[parent]; parent = filepath.Dir(parent) {
			seen[parent] = true
			entries = append(entries, entry{name: parent + "/", mode: 0o755})
		}
	}
	return entries
}

// sum writes SHA256SUMS, as sha256sum --check reads it.
func sum(directory string) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, entry := range entries {
		digest, err := digest(filepath.Join(directory, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", digest, entry.Name())
	}
	return os.WriteFile(filepath.Join(directory, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

func digest(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, file)
	return hash.Sum(nil), err
}

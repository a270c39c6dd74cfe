package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A document goes to a path below /usr, with the program that it is of.
type document struct {
	program string
	path    string // below /usr or /usr/local
	content []byte

	distribution string // deb: only there; any: everywhere else; empty: everywhere
}

const zshSite = "share/zsh/site-functions/"

// describe gathers manual pages, completions and licences.
func (r *release) describe(p platform) error {
	pages, err := filepath.Glob(filepath.Join(r.source, "man", "*.[1-8]"))
	if err != nil {
		return err
	}
	for _, path := range pages {
		if err := r.addPage(path); err != nil {
			return err
		}
	}
	if err := r.addCompletions(); err != nil {
		return err
	}
	for _, program := range programs {
		if err := r.complete(program); err != nil {
			return err
		}
	}
	return r.addLicenses(p)
}

// complete refuses a program without a page or without a shell's completions.
func (r *release) complete(program program) error {
	for _, directory := range []string{"share/man/man", "share/bash-completion/", zshSite, "share/fish/"} {
		if !slices.ContainsFunc(r.documents, func(d document) bool {
			return d.program == program.name && strings.HasPrefix(d.path, directory)
		}) {
			return fmt.Errorf("%s has nothing in %s: is it not in man or completions?", program.name, directory)
		}
	}
	return nil
}

// owner is the program that the name of a file begins with: envharness-print.1 is envharness's.
func owner(name string) (string, error) {
	word := strings.TrimPrefix(name, "_")
	word = word[:strings.IndexAny(word+".", ".-")]
	if !slices.ContainsFunc(programs, func(p program) bool { return p.name == word }) {
		return "", fmt.Errorf("%s: belongs to no program", name)
	}
	return word, nil
}

func (r *release) addPage(path string) error {
	name := filepath.Base(path)
	program, err := owner(name)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	section := strings.TrimPrefix(filepath.Ext(name), ".")
	packed, err := compressed(text)
	if err != nil {
		return err
	}
	r.documents = append(r.documents, document{program: program, path: "share/man/man" + section + "/" + name + ".gz", content: packed})
	return nil
}

func (r *release) addCompletions() error {
	return filepath.WalkDir(filepath.Join(r.source, "completions"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name := entry.Name()
		program, err := owner(name)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		add := func(distribution, path string) {
			r.documents = append(r.documents, document{program, path, text, distribution})
		}
		switch {
		case strings.HasPrefix(name, "_"), strings.HasSuffix(name, ".zsh"):
			add("any", zshSite+"_"+program)
			add("deb", "share/zsh/vendor-completions/_"+program) // where Debian's zsh looks
		case strings.HasSuffix(name, ".fish"):
			add("", "share/fish/vendor_completions.d/"+program+".fish")
		default:
			add("", "share/bash-completion/completions/"+program)
		}
		return nil
	})
}

// compressed is gzip without a name and a time.
func compressed(text []byte) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(text)
	return packed.Bytes(), errors.Join(err, w.Close())
}

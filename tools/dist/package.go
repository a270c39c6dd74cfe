package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/apk" // the three kinds of package
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

const (
	registry     = "envdiscoverd"
	registryData = "/var/lib/envdiscoverd"
)

// packages writes a program's packages for a platform.
func (r *release) packages(program program, p platform) error {
	for _, kind := range []string{"deb", "rpm", "apk"} {
		if err := r.writePackage(kind, program, p); err != nil {
			return fmt.Errorf("%s of %s for %s: %w", kind, program.name, p, err)
		}
	}
	return nil
}

func (r *release) writePackage(kind string, program program, p platform) error {
	info, err := r.packageInfo(kind, program, p)
	if err != nil {
		return err
	}
	defer os.RemoveAll(info.Target)
	packager, err := nfpm.Get(kind)
	if err != nil {
		return err
	}
	// Not by the package manager's rule, which has a ~ that GitHub renames.
	file, err := os.Create(r.file("%s_%s_%s_%s.%s", program.name, r.number(), p.os, p.arch, kind))
	if err != nil {
		return err
	}
	return errors.Join(packager.Package(info, file), file.Close())
}

// packageInfo describes a package. Its Target is the directory with the files that exist for the package only.
func (r *release) packageInfo(kind string, program program, p platform) (*nfpm.Info, error) {
	version, before, err := r.packageVersion()
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp(r.work, kind)
	if err != nil {
		return nil, err
	}
	info := &nfpm.Info{
		Name: program.name, Arch: p.arch, Platform: p.os,
		Version: version, Prerelease: before, VersionSchema: "none", Release: "1",
		Section: "utils", Priority: "optional", License: "MIT", Homepage: homepage,
		Maintainer:      "The envharness authors <envharness@users.noreply.github.com>",
		Description:     program.summary + "\n" + program.description,
		DisableGlobbing: true,
		MTime:           r.time,
		Target:          directory,
	}
	info.Umask = 0o022
	info.RPM.BuildHost, info.RPM.Group = "localhost", "Applications/System"
	info.RPM.Summary = program.summary
	info.RPM.Arch, info.Deb.Arch, info.APK.Arch = p.rpm, p.deb, p.apk
	// Level 9 takes three times as long as these, for a hundredth of the size at most.
	info.Deb.Compression, info.RPM.Compression = "gzip:6", "gzip:7"
	if kind == "apk" {
		info.Release = "0" // its 1 would be r1: a second build
	}
	if info.Contents, err = r.contents(kind, program, p, directory); err != nil {
		return nil, err
	}
	if program.name == registry {
		return info, r.serve(kind, info)
	}
	return info, nil
}

func (r *release) contents(kind string, program program, p platform, directory string) (files.Contents, error) {
	contents := files.Contents{content(r.binary(program, p), "/usr/bin/"+program.name, 0o755)}
	for i, d := range r.documents {
		if d.program != program.name || d.distribution == "deb" && kind != "deb" || d.distribution == "any" && kind == "deb" {
			continue
		}
		source := filepath.Join(directory, fmt.Sprint(i))
		if err := os.WriteFile(source, d.content, 0o644); err != nil {
			return nil, err
		}
		contents = append(contents, content(source, "/usr/"+d.path, 0o644))
	}
	return contents, nil
}

func content(source, destination string, mode fs.FileMode) *files.Content {
	return &files.Content{Source: source, Destination: destination, FileInfo: &files.ContentFileInfo{Mode: mode}}
}

// serve adds what makes a service of envdiscoverd: settings that survive an upgrade, a user, and a unit, or
// Alpine's script.
func (r *release) serve(kind string, info *nfpm.Info) error {
	file := func(name string) string { return filepath.Join(r.source, "packaging", name) }
	settings := content(file("envdiscoverd.default"), "/etc/default/envdiscoverd", 0o644)
	settings.Type = files.TypeConfigNoReplace
	info.Contents = append(info.Contents, settings)
	scripts, err := r.scripts(info.Target)
	if err != nil {
		return err
	}
	info.Scripts = scripts
	if kind == "apk" {
		script := content(file("envdiscoverd.openrc"), "/etc/init.d/envdiscoverd", 0o755)
		script.Type = files.TypeConfigNoReplace
		info.Contents = append(info.Contents, script)
		info.APK.Scripts.PostUpgrade = scripts.PostInstall
		return nil
	}
	info.Contents = append(info.Contents,
		content(file("envdiscoverd.service"), "/usr/lib/systemd/system/envdiscoverd.service", 0o644),
		content(file("envdiscoverd.sysusers"), "/usr/lib/sysusers.d/envdiscoverd.conf", 0o644),
		content(file("envdiscoverd.tmpfiles"), "/usr/lib/tmpfiles.d/envdiscoverd.conf", 0o644))
	return nil
}

// scripts copies the maintainer scripts, as an .apk has the times of their files in it.
func (r *release) scripts(directory string) (nfpm.Scripts, error) {
	var problems []error
	dated := func(name string) string {
		content, err := os.ReadFile(filepath.Join(r.source, "packaging", name))
		path := filepath.Join(directory, name)
		problems = append(problems, err, os.WriteFile(path, content, 0o755), os.Chtimes(path, r.time, r.time))
		return path
	}
	scripts := nfpm.Scripts{PostInstall: dated("post-install"), PreRemove: dated("pre-remove"), PostRemove: dated("post-remove")}
	return scripts, errors.Join(problems...)
}

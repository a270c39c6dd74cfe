package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nobody is the user of the images, the number that other images without a shell use, too. It is a number, as
// runAsNonRoot of Kubernetes wants one.
const nobody = 65532

// images writes a program's images: each platform's as docker load takes it, and all of them as one, as an OCI
// image layout.
func (r *release) images(program program, platforms []platform) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	index = mutate.Annotations(index, r.labels(program)).(v1.ImageIndex)
	found := false
	for _, p := range platforms {
		if p.os != "linux" || program.refuses != nil && program.refuses(p) != "" {
			continue
		}
		image, err := r.image(program, p)
		if err != nil {
			return err
		}
		tag, err := name.NewTag(program.name+":"+r.number(), name.WithDefaultRegistry(""))
		if err != nil {
			return err
		}
		if err := tarball.WriteToFile(r.file("%s_%s_image_%s.tar", program.name, r.number(), p.arch), tag, image); err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: p.os, Architecture: p.arch, Variant: p.image},
		}})
		found = true
	}
	if !found {
		return nil
	}
	return r.writeLayout(index, r.file("%s_%s_image_oci.tar", program.name, r.number()))
}

// image is FROM scratch: the program at the root, where COPY --from finds it, and nothing else.
func (r *release) image(program program, p platform) (v1.Image, error) {
	layer, err := r.layer(program, p)
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: types.OCILayer, History: v1.History{
		Created: v1.Time{Time: r.time}, CreatedBy: "COPY " + program.name + " /",
	}})
	if err != nil {
		return nil, err
	}
	config := &v1.ConfigFile{
		OS: p.os, Architecture: p.arch, Variant: p.image,
		Created: v1.Time{Time: r.time},
		Config: v1.Config{
			Entrypoint: []string{"/" + program.name},
			User:       strconv.Itoa(nobody) + ":" + strconv.Itoa(nobody),
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/"},
			Labels:     r.labels(program),
		},
	}
	if program.name == registry {
		config.Config.Volumes = map[string]struct{}{registryData: {}}
	}
	old, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config.RootFS, config.History = old.RootFS, old.History
	return mutate.ConfigFile(image, config)
}

func (r *release) layer(program program, p platform) (v1.Layer, error) {
	content, err := os.ReadFile(r.binary(program, p))
	if err != nil {
		return nil, err
	}
	entries := []entry{{name: program.name, mode: 0o755, content: content}}
	if program.name == registry {
		entries = append(entries, entry{name: "var/", mode: 0o755}, entry{name: "var/lib/", mode: 0o755},
			entry{name: registryData[1:] + "/", mode: 0o700, owner: nobody})
	}
	var text bytes.Buffer
	if err := writeTar(&text, r.time, entries); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(text.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// labels are those of https://github.com/opencontainers/image-spec/blob/main/annotations.md.
func (r *release) labels(program program) map[string]string {
	const prefix = "org.opencontainers.image."
	return map[string]string{
		prefix + "title":         program.name,
		prefix + "description":   program.summary,
		prefix + "version":       r.number(),
		prefix + "revision":      r.commit,
		prefix + "created":       r.time.Format(time.RFC3339),
		prefix + "source":        homepage,
		prefix + "url":           homepage,
		prefix + "documentation": homepage + "/blob/main/docs/" + program.name + ".md",
		prefix + "licenses":      "MIT",
	}
}

// writeLayout writes the index, and all below it, as one file.
func (r *release) writeLayout(index v1.ImageIndex, path string) error {
	directory, err := os.MkdirTemp(r.work, "layout")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	written, err := layout.Write(directory, empty.Index)
	if err != nil {
		return err
	}
	if err := written.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": r.number()})); err != nil {
		return err
	}
	entries, err := readTree(directory)
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(writeTar(file, r.time, entries), file.Close())
}

func readTree(directory string) ([]entry, error) {
	var entries []entry
	err := filepath.WalkDir(directory, func(path string, found fs.DirEntry, err error) error {
		if err != nil || path == directory {
			return err
		}
		relative, err := filepath.Rel(directory, path)
		if err != nil {
			return err
		}
		if found.IsDir() {
			entries = append(entries, entry{name: relative + "/", mode: 0o755})
			return nil
		}
		content, err := os.ReadFile(path)
		entries = append(entries, entry{name: relative, mode: 0o644, content: content})
		return err
	})
	return entries, err
}

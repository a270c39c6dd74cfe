package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/generate/bin"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/licensedetect"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/licensedetect/local"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// licenses looks at each module once: most are in every program, for every platform.
var licenses = &knownLicenses{detector: local.NewDetector(zerolog.Nop())}

type knownLicenses struct {
	detector licensedetect.Detector
	modules  sync.Map // path@version to func() ([]cdx.License, error)
}

// Detect implements licensedetect.Detector.
func (k *knownLicenses) Detect(path, version, dir string) ([]cdx.License, error) {
	detect, _ := k.modules.LoadOrStore(path+"@"+version, sync.OnceValues(func() ([]cdx.License, error) {
		return k.detector.Detect(path, version, dir)
	}))
	found, err := detect.(func() ([]cdx.License, error))()
	return slices.Clone(found), err
}

// bill writes the bill of materials of a binary, by CycloneDX: the modules that are in it, as the binary itself
// tells, with their hashes and licences.
func (r *release) bill(program program, p platform) error {
	path := r.binary(program, p)
	generator, err := bin.NewGenerator(path, bin.WithIncludeStdlib(true), bin.WithLogger(zerolog.Nop()), bin.WithLicenseDetector(licenses))
	if err != nil {
		return err
	}
	bom, err := generator.Generate()
	if err != nil {
		return fmt.Errorf("bill of materials of %s: %w", path, err)
	}
	// No random number and no clock: the same binary has the same bill.
	digest, err := digest(path)
	if err != nil {
		return err
	}
	bom.SerialNumber = uuid.NewSHA1(uuid.NameSpaceURL, digest).URN()
	bom.Metadata.Timestamp = r.time.Format(time.RFC3339)
	bom.Metadata.Component.Name = program.name
	var text bytes.Buffer
	encoder := cdx.NewBOMEncoder(&text, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := encoder.EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return err
	}
	return os.WriteFile(r.file("%s_%s_%s_%s.cdx.json", program.name, r.number(), p.os, p.arch), text.Bytes(), 0o644)
}

// Package page is the page for people: what it is made of, all from this binary. It works without a network.
package page

import (
	"bytes"
	"embed"
	"html/template"
	"strings"
)

// Policy is the Content-Security-Policy of the page: its scripts and styles are its own alone, and it cannot be
// framed.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed index.html page.css page.js list.js parts.js icon.svg
var files embed.FS

// Options are what the page says of its server.
type Options struct {
	Host       string // this machine's name
	Version    string // of the program, with what it was built from
	Containers bool   // containers are served
	Insecure   bool   // so is everybody
}

// Short is the version alone.
func (o Options) Short() string {
	short, _, _ := strings.Cut(o.Version, " ")
	return short
}

// Page is all files of the page.
type Page struct{ index []byte }

// New writes the page of a server.
func New(options Options) *Page {
	var index bytes.Buffer
	parsed := template.Must(template.ParseFS(files, "index.html"))
	if err := parsed.Execute(&index, options); err != nil {
		panic(err) // the template is part of the program
	}
	return &Page{index.Bytes()}
}

// File gives a file and its Content-Type; the page itself has the empty name. There are no others if content is
// nil.
func (p *Page) File(name string) (content []byte, kind string) {
	switch name {
	case "":
		return p.index, "text/html; charset=utf-8"
	case "page.css":
		kind = "text/css; charset=utf-8"
	case "page.js", "list.js", "parts.js":
		kind = "text/javascript; charset=utf-8"
	case "icon.svg":
		kind = "image/svg+xml"
	default:
		return nil, ""
	}
	content, _ = files.ReadFile(name)
	return content, kind
}

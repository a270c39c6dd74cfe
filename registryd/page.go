package registryd

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
)

//go:embed page
var pageFiles embed.FS

// newPage answers / and the files that it is made of, all from this binary. Its scripts and styles are its own
// alone, and it cannot be framed.
func newPage(options Options) http.Handler {
	index := renderPage(options)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
			"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		name := strings.TrimPrefix(r.URL.Path, "/")
		content, kind := index, "text/html; charset=utf-8"
		if name != "" {
			content, kind = pageFile(name)
		}
		if content == nil {
			w.Header().Set(ErrorHeader, "there is nothing at this path")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content)
	})
}

func pageFile(name string) (content []byte, kind string) {
	switch name {
	case "page.css":
		kind = "text/css; charset=utf-8"
	case "page.js":
		kind = "text/javascript; charset=utf-8"
	case "icon.svg":
		kind = "image/svg+xml"
	default:
		return nil, ""
	}
	content, _ = pageFiles.ReadFile("page/" + name)
	return content, kind
}

// renderPage writes what the page says of its server.
func renderPage(options Options) []byte {
	var page bytes.Buffer
	index := template.Must(template.ParseFS(pageFiles, "page/index.html"))
	if err := index.Execute(&page, options); err != nil {
		panic(err) // the template is part of the program
	}
	return page.Bytes()
}

package discovery

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Engine is one way to remember instances. It is one package, and one line in package
// discovery/engines.
//
// Its steps are Validate, which looks at the configuration alone, Check, which looks whether what the
// configuration names is there and fit, and Open. What follows (watching, reporting up and down,
// disconnecting) is the [Registry]'s. A changed configuration is a new Registry: open it, register there,
// then close the old one.
type Engine struct {
	// Scheme is the URL scheme; the scheme with an s appended is the same engine over TLS, if Secure.
	Scheme string
	Secure bool

	// Help is for people: the form of its URL and what it is in one line, then what else there is to know.
	Help string

	// Promises are what its users can rely on, told in depth in docs/engines.md.
	Promises Promises

	// Options are the query keys of the URL that this engine has beside the common ones.
	Options []Option

	// Layouts are the names that ?layout= takes, the default one first.
	Layouts []string

	// Validate looks at the configuration without any input or output; ErrInvalid. May be nil.
	Validate func(Config) error

	// Check asks whether the engine can be used, with its timeout: files that the configuration names are
	// readable, a server answers, credentials are accepted. It leaves nothing behind.
	Check func(context.Context, Config) error

	// Open connects. It does not wait for the server: a registry that is unreachable is no error here.
	// ctx is for Open alone; the caller closes the Registry.
	Open func(context.Context, Config) (Registry, error)
}

// Promises are what the users of an engine can rely on, in a sentence or two each.
type Promises struct {
	Death     string `json:"death"`     // how soon who died without a word is gone
	Partition string `json:"partition"` // what who is cut off can still do, and what the others see of it
	Director  string `json:"director"`  // whether there is one at a time, and what an old one can still write
	Limits    string `json:"limits"`    // what it cannot do, or not beyond a size
}

// Option is one query key of an engine's URL.
type Option struct {
	Name string `json:"name"`
	Help string `json:"help"`
}

// CommonOptions are the query keys that every engine's URL takes.
var CommonOptions = []Option{
	{"timeout", "how long a call may take, 5s"},
	{"layout", "how instances are written as keys and values"},
	{"stale", "1: reads need not be linearizable"},
	{"ca", "PEM file of the authorities that sign the server's certificate"},
	{"cert", "PEM file of the client's certificate"},
	{"key", "PEM file of the client's key"},
	{"server-name", "the name that the server's certificate is checked for"},
	{"user-file", "file with user:password"},
	{"token-file", "file with a token"},
}

// Engines is a list of engines to open URLs with.
type Engines []Engine

// NewEngines makes a list. It panics when two engines claim one scheme: that is a mistake in the program.
func NewEngines(engines ...Engine) Engines {
	seen := map[string]bool{}
	for _, engine := range engines {
		for _, scheme := range engine.schemes() {
			if seen[scheme] {
				panic("discovery: two engines for the scheme " + scheme)
			}
			seen[scheme] = true
		}
	}
	return engines
}

func (e Engine) schemes() []string {
	if e.Secure {
		return []string{e.Scheme, e.Scheme + "s"}
	}
	return []string{e.Scheme}
}

// Schemes lists what the engines are called in URLs, sorted.
func (engines Engines) Schemes() []string {
	var schemes []string
	for _, engine := range engines {
		schemes = append(schemes, engine.schemes()...)
	}
	slices.Sort(schemes)
	return schemes
}

// Find gives the engine that a URL names and its configuration. The error matches ErrUnknownEngine for
// an unknown scheme, and ErrInvalid for an unknown query key and all that Validate refuses.
func (engines Engines) Find(rawURL string, settings ...Setting) (Engine, Config, error) {
	engine, config, err := engines.find(rawURL, settings)
	if err != nil {
		return Engine{}, Config{}, &Error{Op: "use registry", Engine: Redact(rawURL), Err: err}
	}
	return engine, config, nil
}

func (engines Engines) find(rawURL string, settings []Setting) (Engine, Config, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return Engine{}, Config{}, err
	}
	for _, engine := range engines {
		if !slices.Contains(engine.schemes(), u.Scheme) {
			continue
		}
		config, err := newConfig(u, engine, settings)
		if err == nil && engine.Validate != nil {
			err = engine.Validate(config)
		}
		return engine, config, err
	}
	return Engine{}, Config{}, fmt.Errorf("%w %q, known are %s", ErrUnknownEngine, u.Scheme, strings.Join(engines.Schemes(), ", "))
}

// Open opens the registry that a URL names, as [Engine.Open]; errors are those of Find too.
func (engines Engines) Open(ctx context.Context, rawURL string, settings ...Setting) (Registry, error) {
	engine, config, err := engines.Find(rawURL, settings...)
	if err != nil {
		return nil, err
	}
	return engine.Open(ctx, config)
}

// Check asks whether the registry that a URL names can be used, as [Engine.Check].
func (engines Engines) Check(ctx context.Context, rawURL string, settings ...Setting) error {
	engine, config, err := engines.Find(rawURL, settings...)
	if err != nil || engine.Check == nil {
		return err
	}
	return engine.Check(ctx, config)
}

// parseURL is url.Parse, but for the URL in its error, which may hold a password, and for several hosts
// with ports, which url.Parse refuses.
func parseURL(rawURL string) (*url.URL, error) {
	scheme, rest, found := strings.Cut(rawURL, "://")
	if !found || strings.ContainsFunc(scheme, notOfScheme) {
		return nil, Invalidf("a registry is named as SCHEME://HOST/PREFIX")
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if strings.Contains(path, "@") { // the rest of a password, more likely than a path
		return nil, Invalidf("after the hosts an @ is written %%40; in a password, / is written %%2F, ? %%3F and # %%23")
	}
	userinfo, hosts := "", authority
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		userinfo, hosts = authority[:i+1], authority[i+1:]
	}
	u, err := url.Parse(scheme + "://" + userinfo + "host" + path)
	if err != nil {
		return nil, Invalidf("the URL cannot be parsed: its user, password, path or query has characters that must be %%-escaped")
	}
	u.Host = hosts
	return u, nil
}

func notOfScheme(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '+' && r != '-' && r != '.'
}

// Redact gives the URL without its password, and without its query when it cannot be parsed.
func Redact(rawURL string) string {
	u, err := parseURL(rawURL)
	if err == nil {
		return u.Redacted()
	}
	scheme, rest, found := strings.Cut(rawURL, "://")
	if !found {
		return redacted
	}
	rest, _, _ = strings.Cut(rest[strings.LastIndex(rest, "@")+1:], "?")
	return scheme + "://" + rest
}

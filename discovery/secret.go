package discovery

import "log/slog"

// redacted is what a secret prints as.
const redacted = "xxxxx"

// Secret is a text that is not for logs and errors: it prints as xxxxx, or as nothing when empty. JSON
// and string(s) give the text itself.
type Secret string

// String hides the text.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the text from %#v too.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// LogValue hides the text from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Credentials are what the users of a service log in with.
type Credentials struct {
	User     string `json:"user,omitempty"`
	Password Secret `json:"password,omitempty"`
}

// IsZero reports whether there is neither user nor password.
func (c Credentials) IsZero() bool { return c == Credentials{} }

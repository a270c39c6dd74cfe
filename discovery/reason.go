package discovery

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxReason is the greatest length of an instance's Reason, in bytes. It stands in every snapshot.
const MaxReason = 256

// cleanReason makes a program's words fit for a record that others show: one line, nothing that a terminal obeys, no
// password of a URL.
func cleanReason(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
	})
	for i, word := range words {
		words[i] = maskLogin(word)
	}
	text = strings.ToValidUTF8(strings.Join(words, " "), string(unicode.ReplacementChar))
	if len(text) <= MaxReason {
		return text
	}
	const more = "…"
	end := MaxReason - len(more)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + more
}

// maskLogin hides what stands before the last @ of a word that is, or holds, a URL: rather too much than a password
// that has a slash in it.
func maskLogin(word string) string {
	scheme, rest, found := strings.Cut(word, "://")
	if at := strings.LastIndex(rest, "@"); found && at >= 0 {
		return scheme + "://xxxxx" + rest[at:]
	}
	return word
}

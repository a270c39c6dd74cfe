package envfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// ParseJSON reads the members of one JSON object (RFC 8259) in their order: a string is the value, a number or
// boolean its text, null is left out. What no variable can be is an error that names the member.
func ParseJSON(content []byte) ([]Variable, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	if !utf8.Valid(content) {
		return nil, &Error{Problem: "is not valid UTF-8, which JSON is", Next: "write other bytes as base64"}
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return nil, &Error{Problem: "is not one JSON object", Next: `print an object of names and values: {"NAME": "value"}`}
	}
	var variables []Variable
	seen := map[string]bool{}
	for decoder.More() {
		v, null, err := member(decoder)
		if err != nil {
			return nil, err
		}
		if seen[v.Name] {
			return nil, &Error{Name: v.Name, Problem: "comes twice in the object", Next: "give each name one value"}
		}
		seen[v.Name] = true
		if !null {
			variables = append(variables, v)
		}
	}
	if _, err := decoder.Token(); err != nil {
		return nil, syntax(err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, &Error{Problem: "has more behind its JSON object", Next: "print one object and nothing else; messages belong on stderr"}
	}
	return variables, nil
}

// member reads a name and its value.
func member(decoder *json.Decoder) (v Variable, null bool, err error) {
	name, err := decoder.Token()
	if err != nil {
		return v, false, syntax(err)
	}
	v.Name, _ = name.(string)
	var raw json.RawMessage
	if err := decoder.Decode(&raw); err != nil {
		return v, false, syntax(err)
	}
	switch raw[0] {
	case '{', '[':
		kind := map[byte]string{'{': "an object", '[': "an array"}[raw[0]]
		return v, false, &Error{Name: v.Name, Problem: "is " + kind + ", and a variable is text", Next: "let the store print one field, or flatten it: jq 'map_values(if type == \"object\" or type == \"array\" then tojson else . end)'"}
	case '"':
		if hasLoneSurrogate(raw) {
			return v, false, &Error{Name: v.Name, Problem: "has half of a surrogate pair, which is no character", Next: "write the character as UTF-8"}
		}
		err = json.Unmarshal(raw, &v.Value)
		return v, false, err
	}
	v.Value = string(raw)
	return v, v.Value == "null", nil
}

// syntax tells where JSON is broken, without the character there, which may belong to a value.
func syntax(err error) error {
	problem := "is not valid JSON: it ends too early"
	if broken := new(json.SyntaxError); errors.As(err, &broken) {
		problem = fmt.Sprintf("is not valid JSON at byte %d", broken.Offset)
	}
	return &Error{Problem: problem, Next: "print one object of names and values; messages belong on stderr"}
}

// hasLoneSurrogate finds a \uD800 to \uDFFF without its other half, which package json would replace by U+FFFD.
func hasLoneSurrogate(text []byte) bool {
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		if text[i] != 'u' {
			continue
		}
		switch high := escaped(text[i:]); {
		case high < 0xd800 || high > 0xdfff:
		case high < 0xdc00 && i+6 < len(text) && text[i+5] == '\\' && isLow(escaped(text[i+6:])):
			i += 10
		default:
			return true
		}
	}
	return false
}

func isLow(code uint64) bool { return 0xdc00 <= code && code <= 0xdfff }

// escaped is the number of uXXXX, or 0.
func escaped(text []byte) uint64 {
	if len(text) < 5 || text[0] != 'u' {
		return 0
	}
	code, _ := strconv.ParseUint(string(text[1:5]), 16, 16)
	return code
}

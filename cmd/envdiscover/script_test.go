package main

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// variables are what the words below are expanded with.
var variables = map[string]string{"NAME": "a  value", "EMPTY": "", "_2": "$NAME"}

func lookupVariable(name string) (string, error) {
	if value, ok := variables[name]; ok {
		return value, nil
	}
	return "", errors.New(name + " is not set")
}

// TestWordsAreThoseOfTheShell compares with what sh makes of the same text, which is to put what it expands
// between double quotes, because here a value is never split.
func TestWordsAreThoseOfTheShell(t *testing.T) {
	for _, text := range []string{
		`get NAME`,
		"get 'a\n# b\n\t#' \"c\n # d\n#\" e\n# 'f",
		"get \"$NAME\n# $NAME\"",
		"get \t NAME  \n",
		`url db --path '/a b' ''`,
		`"$NAME" "${NAME}x" "x$NAME-y" "${EMPTY}"`,
		`a'b'"c"d\ e`,
		`"a\"b\\c\d\$NAME\` + "`" + `'"`,
		`'$NAME "\'`,
		`\$NAME \'x\" a\\b`,
		"one \\\ntwo\\\nthree",
		`"$" $ "a$ b"`,
		"ü\\ü \"\\ü\"",
		"\"$_2\"",
		"'two\nlines'",
		`a"$EMPTY"`,
		`'' "" x''`,
	} {
		words, err := splitWords(text, lookupVariable)
		require.NoError(t, err, text)
		require.Equal(t, wordsOfShell(t, text), words, text)
	}
}

// wordsOfShell asks sh for the words of a text.
func wordsOfShell(t *testing.T, text string) []string {
	cmd := exec.Command("sh", "-c", `printf '%s\0' `+text)
	for name, value := range variables {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	output, err := cmd.Output()
	require.NoError(t, err, text)
	return strings.Split(strings.TrimSuffix(string(output), "\x00"), "\x00")
}

// TestCommentsAreLines: a # is one only where a line begins with it, and not within quotes.
func TestCommentsAreLines(t *testing.T) {
	for text, want := range map[string][]string{
		"#!/usr/bin/envdiscover\n \t# one\nget A\n# two":          {"get", "A"},
		"put A \"one\n# two\nthree\"":                             {"put", "A", "one\n# two\nthree"},
		"put A 'one\n#two'":                                       {"put", "A", "one\n#two"},
		"put A \"one\\\n#two\"":                                   {"put", "A", "one#two"},
		"register web \\\n  # the port\n  --port 80\r\n# end\r\n": {"register", "web", "--port", "80"},
		"get A#B #C": {"get", "A#B", "#C"},
		"#a\n#b\n#c": nil,
	} {
		words, err := splitWords(text, lookupVariable)
		require.NoError(t, err, text)
		require.Equal(t, want, words, text)
	}
}

func TestWordsThatOnlyAShellKnowsAreRefused(t *testing.T) {
	for _, text := range []string{`$(date)`, `${NAME:-x}`, `${NAME`, `$1`, `${}`, `$-`, `"`, `'`, `a "b`, "a\x00b", `$MISSING`} {
		_, err := splitWords(text, lookupVariable)
		require.Error(t, err, text)
	}
}

// FuzzSplitWords looks for texts that are too much for it, and for a value that is split.
func FuzzSplitWords(f *testing.F) {
	f.Add("get \"$NAME\" 'x' \\\n # no comment\n#comment", "a b")
	f.Add("${", "")
	f.Fuzz(func(t *testing.T, text, value string) {
		_, _ = splitWords(text, func(string) (string, error) { return value, nil })
		words, err := splitWords("one $X two", func(string) (string, error) { return value, nil })
		require.NoError(t, err)
		require.Equal(t, []string{"one", value, "two"}, words)
	})
}

//go:build race

package registryd

const raced = true

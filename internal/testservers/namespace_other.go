//go:build !linux

package testservers

import (
	"os/exec"
	"testing"
)

// Namespace is a network namespace, which only Linux has.
type Namespace struct{ Near, Far string }

// NewNamespace gives nil.
func NewNamespace(testing.TB) *Namespace { return nil }

// Cut is never called.
func (*Namespace) Cut(testing.TB) {}

// Mend is never called.
func (*Namespace) Mend(testing.TB) {}

// Command is never called.
func (*Namespace) Command(cmd *exec.Cmd) *exec.Cmd { return cmd }

package service_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/exporters/service"
)

// TestTargetsTellNoLogin: a target that is refused is told without the login that stands in it, be it a URL or not.
func TestTargetsTellNoLogin(t *testing.T) {
	for _, target := range []string{
		"htp://user:canary@host/",
		"http:user:canary@host",
		"http://user:can@canary@",
		"user:canary://x@host",
		"tcp://user:canary@host",
		"tcp://canary@host:80",
		"canary@host",
	} {
		_, err := service.ParseProbe(target)
		require.Error(t, err, target)
		require.NotContains(t, err.Error(), "canary", target)
		require.Contains(t, err.Error(), "@", "the rest tells which it was")
	}
}

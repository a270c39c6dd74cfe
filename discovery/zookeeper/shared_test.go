package zookeeper

import (
	"os"
	"testing"

	"github.com/envharness/envharness/internal/testservers"
	"github.com/envharness/envharness/internal/testservers/parallel"
)

func TestMain(m *testing.M) {
	os.Exit(parallel.Tests{M: m}.Run())
}

// TestShared are the tests that leave the server alone, each with a prefix of its own: a server of its own for each of
// them would be most of the work.
func TestShared(t *testing.T) {
	t.Parallel()
	server := testservers.DebianZooKeeper(t)
	for name, test := range map[string]func(*testing.T, *testservers.ZooKeeper){
		"close after an outage":   testCloseAfterOutage,
		"close beside a deaf one": testCloseBesideDeafServer,
		"login":                   testLogin,
		"ACL":                     testACL,
		"TLS":                     testTLS,
		"prefix":                  testPrefix,
		"fence":                   testFence,
		"data only":               testDataOnly,
		"expiry":                  testExpiry,
		"removed by others":       testRemovedByOthers,
		"in the way":              testInTheWay,
		"unreadable":              testUnreadable,
		"locked under watch":      testLockedUnderWatch,
		"no gap":                  testNoGap,
		"foreign candidates":      testForeignCandidates,
		"lighthouse":              testLighthouse,
		"value without writer":    testValueOutlivesWriter,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server)
		})
	}
}

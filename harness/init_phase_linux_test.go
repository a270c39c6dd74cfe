package harness

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	phaseNames  = map[phase]string{starting: "starting", running: "running", restarting: "restarting", withdrawing: "withdrawing", terminating: "terminating", exited: "exited", ended: "ended"}
	eventNames  = map[event]string{commandStarted: "commandStarted", startFailed: "startFailed", commandExited: "commandExited", stopWanted: "stopWanted", restartWanted: "restartWanted", withdrawn: "withdrawn", withdrawalLate: "withdrawalLate", graceOver: "graceOver"}
	nothingDone = []action(nil)
)

// TestEveryPhaseAndEvent has every pair: what does not change anything is written down, too, so that whoever adds a
// phase or an event has to say what the others make of it.
func TestEveryPhaseAndEvent(t *testing.T) {
	type step struct {
		next    phase
		actions []action
	}
	stays := func(p phase) step { return step{p, nothingDone} }
	table := map[phase]map[event]step{
		starting: {
			commandStarted: {running, nothingDone},
			startFailed:    {ended, nothingDone},
			commandExited:  stays(starting),
			stopWanted:     stays(starting), // it ends start-up, before there is anything to stop
			restartWanted:  stays(starting),
			withdrawn:      stays(starting),
			withdrawalLate: stays(starting),
			graceOver:      stays(starting),
		},
		running: {
			commandStarted: stays(running),
			startFailed:    stays(running),
			commandExited:  {exited, []action{endProbes, reclaimTerminal, beginGrace}},
			stopWanted:     {withdrawing, []action{beginGrace, limitWithdrawal}},
			restartWanted:  {restarting, []action{endProbes, clearReady, sendStop, beginGrace}},
			withdrawn:      stays(running), // drained, unhealthy, or not ready yet
			withdrawalLate: stays(running),
			graceOver:      stays(running),
		},
		restarting: {
			commandStarted: {running, nothingDone},
			startFailed:    {exited, []action{reclaimTerminal, beginGrace}},
			commandExited:  {restarting, []action{endGrace, startAgain}},
			stopWanted:     {withdrawing, []action{beginGrace, limitWithdrawal}},
			restartWanted:  stays(restarting), // it is started with the newest values anyway
			withdrawn:      stays(restarting),
			withdrawalLate: stays(restarting),
			graceOver:      {restarting, []action{killCommand}},
		},
		withdrawing: {
			commandStarted: stays(withdrawing),
			startFailed:    stays(withdrawing),
			commandExited:  {exited, []action{endProbes, reclaimTerminal}},
			stopWanted:     {terminating, []action{sendStop}}, // somebody insists
			restartWanted:  stays(withdrawing),
			withdrawn:      {terminating, []action{sendStop}},
			withdrawalLate: {terminating, []action{sendStop}},
			graceOver:      {terminating, []action{abandonWithdrawal, killCommand}},
		},
		terminating: {
			commandStarted: stays(terminating),
			startFailed:    stays(terminating),
			commandExited:  {exited, []action{endProbes, reclaimTerminal}},
			stopWanted:     {terminating, []action{sendStop}},
			restartWanted:  stays(terminating),
			withdrawn:      stays(terminating), // it has got the signal already
			withdrawalLate: stays(terminating),
			graceOver:      {terminating, []action{abandonWithdrawal, killCommand}},
		},
		exited: {
			commandStarted: stays(exited),
			startFailed:    stays(exited),
			commandExited:  stays(exited),
			stopWanted:     stays(exited), // it is ending already
			restartWanted:  stays(exited),
			withdrawn:      {ended, nothingDone},
			withdrawalLate: stays(exited),
			graceOver:      {exited, []action{abandonWithdrawal}},
		},
		ended: {
			commandStarted: stays(ended),
			startFailed:    stays(ended),
			commandExited:  stays(ended),
			stopWanted:     stays(ended),
			restartWanted:  stays(ended),
			withdrawn:      stays(ended),
			withdrawalLate: stays(ended),
			graceOver:      stays(ended),
		},
	}
	require.Len(t, table, int(ended)+1, "every phase")
	for p := starting; p <= ended; p++ {
		require.Len(t, table[p], int(graceOver)+1, "every event in %s", phaseNames[p])
		for e := commandStarted; e <= graceOver; e++ {
			next, actions := p.next(e)
			pair := fmt.Sprintf("%s in %s", eventNames[e], phaseNames[p])
			require.Equal(t, phaseNames[table[p][e].next], phaseNames[next], pair)
			require.Equal(t, table[p][e].actions, actions, pair)
		}
	}
}

// TestEveryPathEnds follows a stop from every phase: whatever comes in between, COMMAND gets one signal at least or has
// exited, and the harness ends once COMMAND has exited and the service is withdrawn.
func TestEveryPathEnds(t *testing.T) {
	for p := running; p <= exited; p++ {
		for between := commandStarted; between <= graceOver; between++ {
			at, actions := p.next(stopWanted)
			done := actions
			for _, e := range []event{between, withdrawn, graceOver, commandExited, withdrawn} {
				at, actions = at.next(e)
				done = append(done, actions...)
			}
			pair := fmt.Sprintf("%s after a stop in %s", eventNames[between], phaseNames[p])
			require.Equal(t, "ended", phaseNames[at], pair)
			if p != exited && between != commandExited {
				require.True(t, slices.Contains(done, sendStop) || slices.Contains(done, killCommand), pair)
			}
		}
	}
}
